"""What the wrappers of chat models share: ask a framework's own model n times and rank its own answers."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

from me2sdk._candidates import sample
from me2sdk._sync import run_sync
from me2sdk.errors import ConfigurationError
from me2sdk.llm import LLM
from me2sdk.schema import BestOfNResult, Message, Question, Select
from me2sdk.scorers import Scorer

__all__ = ["Answered", "Settings", "abest_answers", "best_answers"]

_HOURS = 24 * 3600.0
T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """How a wrapper chooses among the answers of the model that it wraps.

    Attributes:
        n: answers to sample.
        scorer: as in `best_of_n`.
        select: as in `best_of_n`.
        max_concurrency: calls of the wrapped model in flight at most.
    """

    n: int = 8
    scorer: str | Scorer = "mini"
    select: Select = "best"
    max_concurrency: int = 16

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ConfigurationError(f"n is the number of answers to sample, at least 1; it is {self.n}.")


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
    question: Question, ask: Callable[[], Awaitable[Answered[T]] | Answered[T]], settings: Settings
) -> tuple[BestOfNResult, list[T]]:
    """Ask ``settings.n`` times and rank the answers; one that fails costs the others nothing.

    Retries and timeouts are left to the wrapped model, which has its own.

    Args:
        question: what was asked, as chat messages in OpenAI's form or as text.
        ask: asks the wrapped model once. A plain function runs in a thread.
        settings: how many, and how to choose.

    Returns:
        the result, and the framework's own answers in the same order, best first.

    Raises:
        GenerationError: no answer came back.
        ScoringError: no answer could be scored and ``select`` needs rewards.
        ConfigurationError: the scorer lacks a dependency.
    """
    llm = LLM(
        _as_function(ask),
        max_concurrency=settings.max_concurrency,
        max_retries=0,
        timeout=_HOURS,
        total_timeout=_HOURS,
    )
    result, generations = await sample(
        llm, question, settings.n, settings.scorer, settings.select, 1, None, {}
    )
    return result, [generations[candidate.index].raw.native for candidate in result.candidates]


def best_answers(
    question: Question, ask: Callable[[], Answered[T]], settings: Settings
) -> tuple[BestOfNResult, list[T]]:
    """`abest_answers` without ``await``; ``ask`` is a plain function then."""
    return run_sync(abest_answers(question, ask, settings))


def _as_function(ask: Callable[[], Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(ask):

        async def asynchronous(messages: list[Message], **params: Any) -> Any:
            return await ask()

        return asynchronous

    def plain(messages: list[Message], **params: Any) -> Any:
        return ask()

    return plain
