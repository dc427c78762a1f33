"""Best of n over the calls of a LlamaIndex LLM, and what its responses hold."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.bridge.pydantic import BaseModel
from llama_index.core.callbacks.token_counting import get_tokens_from_response
from llama_index.core.llms.llm import LLM

from me2sdk.adapters._shared import Answered, WrapperConfig, abest_native, best_native, finished, record
from me2sdk.adapters.llama_index.messages import Asked, as_message, question
from me2sdk.errors import ConfigurationError
from me2sdk.schema import BestOfNResult

__all__ = ["abest", "achunk", "best", "check", "chunk", "name_of", "prompt_settings"]

R = TypeVar("R", ChatResponse, CompletionResponse)
_PROMPT = ("prompt_tokens", "input_tokens", "prompt_token_count")
_COMPLETION = ("completion_tokens", "output_tokens", "candidates_token_count")
_TOTAL = ("total_tokens", "total_token_count")
_PROMPT_SETTINGS = (
    "completion_to_prompt",
    "messages_to_prompt",
    "output_parser",
    "pydantic_program_mode",
    "query_wrapper_prompt",
    "system_prompt",
)


def best(config: WrapperConfig, call: Callable[[LLM], Callable[..., R]], asked: Asked, **kwargs: Any) -> R:
    """The best of n answers of ``call(llm)(asked, **kwargs)``."""

    def ask(llm: LLM) -> Answered[R]:
        return _answered(call(llm)(asked, **kwargs))

    return _chosen(*best_native(question(asked), ask, config))


async def abest(
    config: WrapperConfig, call: Callable[[LLM], Callable[..., Awaitable[R]]], asked: Asked, **kwargs: Any
) -> R:
    """`best` of an asynchronous call."""

    async def ask(llm: LLM) -> Answered[R]:
        return _answered(await call(llm)(asked, **kwargs))

    return _chosen(*await abest_native(question(asked), ask, config))


def chunk(response: R) -> R:
    """An answer as a stream of one chunk."""
    text = response.message.content if isinstance(response, ChatResponse) else response.text
    return response.model_copy(update={"delta": text or ""})


async def achunk(
    config: WrapperConfig, call: Callable[[LLM], Callable[..., Awaitable[R]]], asked: Asked, **kwargs: Any
) -> AsyncGenerator[R, None]:
    """`abest` as a stream of one chunk."""
    yield chunk(await abest(config, call, asked, **kwargs))


def prompt_settings(llm: Any) -> dict[str, Any]:
    """The settings that `LLM.predict` and other methods read from the LLM on which they are called.

    Raises:
        ConfigurationError: ``llm`` is not an LLM.
    """
    check(llm, "llm")
    return {name: getattr(llm, name) for name in _PROMPT_SETTINGS}


def check(llm: Any, name: str) -> None:
    """Refuse what is not an LLM.

    Raises:
        ConfigurationError: it is none.
    """
    if not isinstance(llm, LLM):
        raise ConfigurationError(f"{name} must be a LlamaIndex LLM, not a {type(llm).__name__}.")


def name_of(llm: LLM) -> str:
    """What candidates and failures call an LLM."""
    name = llm.metadata.model_name
    return llm.class_name() if name == "unknown" else name


def _chosen(result: BestOfNResult, best: R, arrived: list[R]) -> R:
    """The best answer, with the result and the tokens of all answers in the fields that LlamaIndex reads."""
    extra = {**best.additional_kwargs, "me2sdk": record(result)}
    tokens = [count for response in arrived for count in _tokens(response)]
    if None in tokens:
        return best.model_copy(update={"additional_kwargs": extra})
    prompt, completion = sum(tokens[::2]), sum(tokens[1::2])  # type: ignore[arg-type]
    counts = {
        **dict.fromkeys(_PROMPT, prompt),
        **dict.fromkeys(_COMPLETION, completion),
        **dict.fromkeys(_TOTAL, prompt + completion),
    }
    extra |= {name: counts[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    return best.model_copy(update={"additional_kwargs": extra, "raw": _with_usage(best.raw, counts)})


def _answered(response: R) -> Answered[R]:
    prompt, completion = _tokens(response)
    if isinstance(response, ChatResponse):
        message = as_message(response.message)
    else:
        message = {"role": "assistant", "content": response.text}
    choices = _get(response.raw, "choices")
    last = choices[0] if isinstance(choices, list) and choices else response.raw
    if refusal := _get(_get(last, "message"), "refusal"):
        message = {**message, "refusal": refusal}
    reasons = (_get(last, name) for name in ("finish_reason", "stop_reason", "done_reason"))
    reason = finished(next(filter(None, reasons), None))
    return Answered(
        response, message, finish_reason=reason, prompt_tokens=prompt, completion_tokens=completion
    )


def _tokens(response: ChatResponse | CompletionResponse) -> tuple[int | None, int | None]:
    """Tokens of the prompt and of the answer, or None if the LLM does not report them."""
    try:
        found = get_tokens_from_response(response)
    except (AttributeError, TypeError, ValueError):  # raw can be anything
        found = (0, 0)
    names = ("prompt_tokens", "completion_tokens")
    prompt, completion = (
        n or response.additional_kwargs.get(name) for n, name in zip(found, names, strict=True)
    )
    return prompt or None, completion or None


def _with_usage(raw: Any, counts: dict[str, int]) -> Any:
    """The provider's response, with these counts in its usage."""
    for name in ("usage", "usage_metadata"):
        usage = _get(raw, name)
        if isinstance(usage, dict | BaseModel) and isinstance(raw, dict | BaseModel):
            known = {key: count for key, count in counts.items() if _get(usage, key) is not None}
            return _updated(raw, {name: _updated(usage, known)})
    return raw


def _updated(value: Any, update: dict[str, Any]) -> Any:
    return {**value, **update} if isinstance(value, dict) else value.model_copy(update=update)


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)
