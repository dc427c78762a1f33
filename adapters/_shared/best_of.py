"""Shared by the wrappers of chat models: ask a framework's own model n times, and rank its own answers."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, Generic, TypeVar, cast

from me2sdk._sync import run_sync
from me2sdk.errors import ConfigurationError, GenerationError
from me2sdk.llm import LLM
from me2sdk.sampling import Escalate, SelectionConfig, arerank, sample
from me2sdk.schema import BestOfNResult, Candidate, Message, Question, RerankResult, Trace

__all__ = [
    "OPTIONS",
    "Answered",
    "WrapperConfig",
    "abest_answers",
    "abest_native",
    "aorder",
    "best_native",
    "finished",
    "record",
    "with_model",
]

OPTIONS = (
    "n",
    "scorer",
    "select",
    "answer",
    "stop",
    "min_confidence",
    "escalate",
    "deadline",
    "max_concurrency",
)
"""What every wrapper of a chat model takes, by the names of `WrapperConfig`."""

_HOURS = 24 * 3600.0
# Finish reasons of OpenAI, Anthropic, Google and Inspect for an answer that was cut off.
_CUT_OFF = ("length", "max_tokens", "max_output_tokens", "model_length")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class WrapperConfig(SelectionConfig):
    """How a wrapper asks the model that it wraps, and chooses among its answers.

    Attributes:
        escalate: another model of the same framework, or an `Escalate` of one.
        max_concurrency: calls in flight at most.
        model: the wrapped model.
        name_of: what candidates and failures call a model.

    Raises:
        ConfigurationError: a setting cannot work.
    """

    escalate: Any = None
    max_concurrency: int = 16
    model: Any = field(default=None, compare=False)
    name_of: Callable[[Any], str] = field(default=lambda model: "model", compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.escalation is not None and self.escalation.params:
            raise ConfigurationError(
                "A framework's model has its own parameters: leave Escalate(params=…) out."
            )

    @property
    def stronger(self) -> Any:
        """The stronger model, or None."""
        return None if self.escalation is None else self.escalation.model


def with_model(escalate: Any, change: Callable[[Any], Any]) -> Any:
    """``escalate`` as a caller passed it, a model or an `Escalate` of one, with ``change(model)`` in its place."""
    if isinstance(escalate, Escalate):
        return replace(escalate, model=change(escalate.model))
    return None if escalate is None else change(escalate)


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


Ask = Callable[[Any], Awaitable[Answered[T]] | Answered[T]]
"""Asks a model of the framework once. A plain function runs in a thread."""


async def abest_answers(
    question: Question, ask: Ask[T], config: WrapperConfig
) -> tuple[BestOfNResult, list[T]]:
    """Ask ``config.n`` times and rank the answers. An answer that fails does not affect the others.

    Retries and timeouts are those of the wrapped model.

    Args:
        question: what was asked, as chat messages in OpenAI's form or as text.
        ask: asks a model once: the wrapped one, or the stronger one of ``config.escalate``.
        config: how many, and how to choose.

    Returns:
        The result, and the framework's own answers in the same order, best first.

    Raises:
        GenerationError: no answer came back.
        ScoringError: no answer could be scored and ``select`` needs rewards.
        ConfigurationError: the scorer lacks a dependency.
    """
    llm = LLM(
        _as_function(ask, config.model, config),
        max_concurrency=config.max_concurrency,
        max_retries=0,
        timeout=_HOURS,
        total_timeout=_HOURS,
    )
    stronger = with_model(config.escalation, lambda model: _as_function(ask, model, config))
    result, generations = await sample(llm, question, replace(config, escalate=stronger), {})
    return result, [generations[candidate.index].raw.native for candidate in result.candidates]


async def abest_native(
    question: Question, ask: Ask[T], config: WrapperConfig
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

    async def awaited(model: Any) -> Answered[T]:
        try:
            answer: Answered[T] = await ask(model)  # type: ignore[misc]
        except Exception as error:
            raised.append(error)
            raise
        arrived.append(answer.native)
        return answer

    def called(model: Any) -> Answered[T]:
        try:
            answer = cast("Answered[T]", ask(model))
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
    question: Question, ask: Callable[[Any], Answered[T]], config: WrapperConfig
) -> tuple[BestOfNResult, T, list[T]]:
    """`abest_native` without ``await``; ``ask`` is a plain function then."""
    return run_sync(abest_native(question, ask, config))


async def aorder(
    question: Question | None, outputs: Sequence[str | Trace | Message], **options: Any
) -> tuple[list[tuple[int, Candidate | None]], RerankResult]:
    """Put outputs in order, best first. Those that cannot be read come last.

    Args:
        question: what was asked.
        outputs: what was said; none is no error here.
        **options: those of `rerank`.

    Returns:
        For each output its index and its `Candidate`, or None where it could not be read; and the result.

    Raises:
        ScoringError: no output could be scored and ``select`` needs rewards.
        ConfigurationError: an option cannot work.
    """
    if not outputs:
        return [], RerankResult(candidates=())
    result = await arerank(question, outputs, **options)
    read: list[tuple[int, Candidate | None]] = [
        (candidate.index, candidate) for candidate in result.candidates
    ]
    unread = sorted(set(range(len(outputs))) - {index for index, _ in read})
    return [*read, *((index, None) for index in unread)], result


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


def _as_function(ask: Ask[T], model: Any, config: WrapperConfig) -> Callable[..., Any]:
    """A function that `LLM` takes as a model."""
    if inspect.iscoroutinefunction(ask):

        async def asynchronous(messages: list[Message], **params: Any) -> Any:
            return await ask(model)

        asynchronous.__name__ = config.name_of(model)
        return asynchronous

    def plain(messages: list[Message], **params: Any) -> Any:
        return ask(model)

    plain.__name__ = config.name_of(model)
    return plain
