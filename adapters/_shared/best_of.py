"""Shared by the wrappers of chat models: ask a framework's own model n times, and rank its own answers."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Generic, TypeVar, cast

from me2sdk._sync import run_sync
from me2sdk.errors import GenerationError
from me2sdk.llm import LLM
from me2sdk.sampling import SelectionConfig, arerank, sample
from me2sdk.schema import BestOfNResult, Message, Question, Select, Trace
from me2sdk.scorers import Scorer

__all__ = [
    "Answered",
    "WrapperConfig",
    "abest_answers",
    "abest_native",
    "aorder",
    "best_native",
    "finished",
    "record",
]

_HOURS = 24 * 3600.0
# Finish reasons of OpenAI, Anthropic, Google and Inspect for an answer that was cut off.
_CUT_OFF = ("length", "max_tokens", "max_output_tokens", "model_length")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class WrapperConfig(SelectionConfig):
    """How a wrapper asks the model that it wraps, and chooses among its answers.

    Attributes:
        max_concurrency: calls of the wrapped model in flight at most.
        model: what candidates and failures call the wrapped model.
    """

    max_concurrency: int = 16
    model: str = "model"


class Answered(Generic[T]):
    """An answer in a framework's own form, in the shape in which `LLM` reads answers.

    Args:
        native: the framework's own answer.
        message: the same as an assistant message in OpenAI's form.
        finish_reason: "length" marks an answer that was cut off.
        prompt_tokens: tokens sent, or None where that is not known.
        completion_tokens: tokens received, or None where that is not known.
    """

    def __init__(
        self,
        native: T,
        message: Message,
        *,
        finish_reason: str | None = None,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
    ) -> None:
        self.native = native
        self.choices = [SimpleNamespace(message=message, finish_reason=finish_reason)]
        self.usage = SimpleNamespace(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)


async def abest_answers(
    question: Question, ask: Callable[[], Awaitable[Answered[T]] | Answered[T]], config: WrapperConfig
) -> tuple[BestOfNResult, list[T]]:
    """Ask ``config.n`` times and rank the answers. An answer that fails does not affect the others.

    Retries and timeouts are those of the wrapped model.

    Args:
        question: what was asked, as chat messages in OpenAI's form or as text.
        ask: asks the wrapped model once. A plain function runs in a thread.
        config: how many, and how to choose.

    Returns:
        The result, and the framework's own answers in the same order, best first.

    Raises:
        GenerationError: no answer came back.
        ScoringError: no answer could be scored and ``select`` needs rewards.
        ConfigurationError: the scorer lacks a dependency.
    """
    llm = LLM(
        _as_function(ask, config.model),
        max_concurrency=config.max_concurrency,
        max_retries=0,
        timeout=_HOURS,
        total_timeout=_HOURS,
    )
    result, generations = await sample(llm, question, config, {})
    return result, [generations[candidate.index].raw.native for candidate in result.candidates]


async def abest_native(
    question: Question, ask: Callable[[], Awaitable[Answered[T]] | Answered[T]], config: WrapperConfig
) -> tuple[BestOfNResult, T, list[T]]:
    """`abest_answers` for frameworks that act on what their models raise, or on answers without text.

    If nothing can be ranked, the framework gets the same as without a wrapper: the first answer that came back (an
    image, an empty message), or else the first error of the wrapped model.

    Returns:
        The result, the answer to return, and all answers that came back, in order of arrival.

    Raises:
        Exception: what the wrapped model raised first, if no answer came back.
        ScoringError: no answer could be scored and ``select`` needs rewards.
        ConfigurationError: the scorer lacks a dependency.
    """
    arrived: list[T] = []
    raised: list[Exception] = []

    async def awaited() -> Answered[T]:
        try:
            answer: Answered[T] = await ask()  # type: ignore[misc]
        except Exception as error:
            raised.append(error)
            raise
        arrived.append(answer.native)
        return answer

    def called() -> Answered[T]:
        try:
            answer = cast("Answered[T]", ask())
        except Exception as error:
            raised.append(error)
            raise
        arrived.append(answer.native)
        return answer

    recorded = awaited if inspect.iscoroutinefunction(ask) else called
    try:
        result, ranked = await abest_answers(question, recorded, config)
    except GenerationError as error:
        if arrived and error.partial is not None:
            return error.partial, arrived[0], arrived
        if raised:
            raise raised[0] from error
        raise
    return result, ranked[0], arrived


def best_native(
    question: Question, ask: Callable[[], Answered[T]], config: WrapperConfig
) -> tuple[BestOfNResult, T, list[T]]:
    """`abest_native` without ``await``; ``ask`` is a plain function then."""
    return run_sync(abest_native(question, ask, config))


async def aorder(
    question: Question | None, outputs: Sequence[str | Trace | Message], scorer: str | Scorer, select: Select
) -> list[tuple[int, float | None]]:
    """Index and reward of each output, best first. Outputs that cannot be read come last, without a reward.

    Raises:
        ScoringError: no output could be scored and ``select`` needs rewards.
        ConfigurationError: the scorer or ``select`` cannot work.
    """
    if not outputs:
        return []
    result = await arerank(question, outputs, scorer=scorer, select=select)
    unread = [(failure.index, None) for failure in result.failures if failure.stage == "read"]
    return [(candidate.index, candidate.score) for candidate in result.candidates] + unread


def record(result: BestOfNResult) -> dict[str, Any]:
    """The result as JSON values, for a framework's metadata; ``BestOfNResult.model_validate`` reads it back.

    Without the questions: n copies of a conversation in each of its messages would make a stored one quadratic.
    """
    return result.model_dump(mode="json", exclude={"candidates": {"__all__": {"trace": {"question"}}}})


def finished(reason: Any) -> str | None:
    """The finish reason of any provider, with "length" for every name of an answer that was cut off."""
    text = getattr(reason, "value", reason)
    if not isinstance(text, str):
        return None
    return "length" if text.lower() in _CUT_OFF else text


def _as_function(ask: Callable[[], Any], name: str) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(ask):

        async def asynchronous(messages: list[Message], **params: Any) -> Any:
            return await ask()

        asynchronous.__name__ = name
        return asynchronous

    def plain(messages: list[Message], **params: Any) -> Any:
        return ask()

    plain.__name__ = name
    return plain
