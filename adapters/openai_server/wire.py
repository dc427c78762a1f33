"""Chat completions in OpenAI's form: whole, and as the chunks of a stream. Pure functions."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from me2sdk.adapters._shared import choice
from me2sdk.llm import Generation
from me2sdk.schema import BestOfNResult, Candidate, Message, RerankResult, Usage

__all__ = ["ChatAnswer", "chunks", "completion", "failures", "pieces"]

_CHUNK_CHARACTERS = 200
_STREAMED = ("role", "reasoning_content", "content", "tool_calls", "refusal")
_REASONS = ("stop", "length", "tool_calls", "content_filter", "function_call")


@dataclass(frozen=True)
class ChatAnswer:
    """What was sampled for a request.

    Attributes:
        model: the name that the client knows.
        n: candidates to ask for at most.
        choices: how many of the best the client wants.
        show_all: whether it wants to see all candidates.
        result: the candidates, best first.
        generations: what the upstream sent, by the candidate's index.
    """

    model: str
    n: int
    choices: int
    show_all: bool
    result: BestOfNResult
    generations: Mapping[int, Generation]

    @cached_property
    def head(self) -> dict[str, Any]:
        """The fields that the answer shares with all its chunks."""
        return {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": self.model}

    @property
    def chosen(self) -> tuple[Candidate, ...]:
        """The candidates to return; fewer than asked for where others failed."""
        return self.result.candidates[: self.choices]

    def message(self, candidate: Candidate) -> Message:
        """The message as the upstream sent it, with a refusal where OpenAI's clients look for it."""
        message = self.generations[candidate.index].message
        if candidate.refusal is None or message.get("refusal"):
            return message
        # Only the finish reason says so: any content is the refusal, or must be dropped.
        return {**message, "content": None, "refusal": candidate.refusal}

    def finish(self, candidate: Candidate) -> dict[str, Any]:
        """Why the message ended, and its log-probabilities if the upstream sent them."""
        message = self.message(candidate)
        calls, call = message.get("tool_calls"), message.get("function_call")
        raw = self.generations[candidate.index].raw
        logprobs = getattr(raw.choices[0], "logprobs", None) if getattr(raw, "choices", None) else None
        dump = getattr(logprobs, "model_dump", None)
        natural = "tool_calls" if calls else "function_call" if call else "stop"
        reason = candidate.finish_reason or natural
        # Clients check the reason against OpenAI's five. The upstream's own stands beside it, as in OpenRouter.
        known = reason in _REASONS
        openai = reason if known else "length" if candidate.trace.truncated else natural
        return {
            "finish_reason": openai,
            **({} if known else {"native_finish_reason": reason}),
            "logprobs": dump(mode="json", warnings=False) if dump else logprobs,
        }

    @property
    def me2(self) -> dict[str, Any]:
        """How the answer was chosen, and all candidates if the client wants them."""
        result = self.result
        fields: dict[str, Any] = {
            "n": self.n,
            "answered": len(result.candidates),
            "refused": sum(candidate.refusal is not None for candidate in result.candidates),
            "reward": result.best.score,
            "scorer": result.scorer,
            "select": result.select,
            **choice(result),
            "seconds": round(result.seconds, 3),
            "usage": _usage(result.usage),
        }
        if self.show_all:
            fields["candidates"] = [self._shown(candidate) for candidate in result.candidates]
            fields["failures"] = failures(result)
        return fields

    def _shown(self, candidate: Candidate) -> dict[str, Any]:
        return {
            "index": candidate.index,
            "reward": candidate.score,
            "answer": candidate.answer,
            "confidence": candidate.confidence,
            "message": self.message(candidate),
            "finish_reason": candidate.finish_reason,
            "truncated": candidate.trace.truncated,
            "refusal": candidate.refusal,
            "score_truncated": candidate.score_truncated,
            "usage": _usage(candidate.usage) if candidate.usage else None,
        }

    @property
    def usage(self) -> dict[str, Any] | None:
        """Tokens of all candidates in OpenAI's form; None if the upstream did not report them."""
        usage = self.result.usage
        if usage.total_tokens is None:
            return None
        return {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        }


def _usage(usage: Usage) -> dict[str, Any]:
    return {**usage.model_dump(), "total_tokens": usage.total_tokens}


def failures(result: RerankResult) -> list[dict[str, Any]]:
    """What failed, without messages, which may hold addresses. The index is None where it concerns all candidates."""
    return [
        {
            "index": failure.index,
            "stage": failure.stage,
            "error": failure.error,
            "status": failure.status,
            "attempts": failure.attempts,
        }
        for failure in result.failures
    ]


def completion(answer: ChatAnswer) -> dict[str, Any]:
    """A ``chat.completion``."""
    choices = [
        {"index": place, "message": answer.message(candidate), **answer.finish(candidate)}
        for place, candidate in enumerate(answer.chosen)
    ]
    return {
        **answer.head,
        "object": "chat.completion",
        "choices": choices,
        "usage": answer.usage,
        "me2": answer.me2,
    }


def chunks(answer: ChatAnswer, include_usage: bool) -> Iterator[dict[str, Any]]:
    """The same as a stream of ``chat.completion.chunk``. The last chunk of the last choice holds ``me2``."""

    def chunk(**fields: Any) -> dict[str, Any]:
        usage = {"usage": None} if include_usage else {}
        return {**answer.head, "object": "chat.completion.chunk", **usage, **fields}

    def choice(place: int, delta: dict[str, Any], **finish: Any) -> dict[str, Any]:
        return {"index": place, "delta": delta, "finish_reason": None, "logprobs": None, **finish}

    for place, candidate in enumerate(answer.chosen):
        for delta in _deltas(answer.message(candidate)):
            yield chunk(choices=[choice(place, delta)])
        extra = {"me2": answer.me2} if place == len(answer.chosen) - 1 else {}
        yield chunk(choices=[choice(place, {}, **answer.finish(candidate))], **extra)
    if include_usage:
        yield chunk(choices=[], usage=answer.usage)


def pieces(text: str) -> Iterator[str]:
    """A text in the pieces in which it is streamed."""
    return (text[start : start + _CHUNK_CHARACTERS] for start in range(0, len(text), _CHUNK_CHARACTERS))


def _deltas(message: Message) -> Iterator[dict[str, Any]]:
    rest = {name: value for name, value in message.items() if name not in _STREAMED}
    yield {"role": "assistant", "content": "", **rest}
    for name in ("reasoning_content", "content", "refusal"):
        text = message.get(name)
        if isinstance(text, str):
            yield from ({name: piece} for piece in pieces(text))
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        yield {"tool_calls": [{"index": index, **call} for index, call in enumerate(calls)]}
