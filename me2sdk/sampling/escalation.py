"""Asking a stronger model where a weaker one is not sure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from me2sdk.errors import ConfigurationError
from me2sdk.llm import CONNECTION, LLM, Model, same_provider

__all__ = ["Escalate", "escalation", "open_stronger"]

_BELOW = 0.8
_PRICES = frozenset(("input_cost_per_token", "output_cost_per_token"))


@dataclass(frozen=True)
class Escalate:
    """Which stronger model to ask, how often, and when.

    Each of its candidates counts for half of the weaker model's, since where that one is not sure, the stronger one is
    right far more often: one answer of it then beats any minority, and equal answers still support each other.

    Args:
        model: the stronger model, as `best_of_n` takes it.
        n: how many answers to ask it for.
        below: it is asked where the confidence in the weaker model's choice is below this, or not known.
        params: what is sent to it beside, or in place of, what is sent to the weaker model. Keys and addresses of the
            weaker model are sent only where both names start with the same provider, its prices never.

    Raises:
        ConfigurationError: a setting cannot work.

    Example:
        ```python
        from me2sdk import Escalate, best_of_n

        answers = iter(["It is 5.", "It is 6.", "It is 7."])
        weak = lambda messages, **params: next(answers)  # or "openai/gpt-4o-mini"
        strong = Escalate(lambda messages, **params: "The answer is 4.", below=0.9)  # or "openai/gpt-4o"
        result = best_of_n("What is 2 + 2?", model=weak, n=3, escalate=strong)
        print(result.escalated, result.best.answer)  # True 4
        ```
    """

    model: Model | LLM
    n: int = 1
    below: float = _BELOW
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.n < 1 or not 0 < self.below <= 1:
            raise ConfigurationError(
                f"Escalate needs n of at least 1 and below in (0, 1]; got n={self.n}, below={self.below}."
            )


def escalation(given: Escalate | Model | LLM | None, min_confidence: float | None) -> Escalate | None:
    """What a caller passed for ``escalate``; a model alone is asked once, below ``min_confidence`` if that is set."""
    if given is None or isinstance(given, Escalate):
        return given
    return Escalate(given, below=_BELOW if min_confidence is None else min_confidence)


def open_stronger(weak: LLM, stronger: Escalate, params: Mapping[str, Any]) -> tuple[LLM, dict[str, Any]]:
    """The stronger model with the limits of the weaker one, unless it is an `LLM` of its own, and what to send to it.

    Args:
        weak: the weaker model.
        stronger: the stronger model.
        params: what was sent to the weaker one.
    """
    skipped = _PRICES
    if isinstance(stronger.model, LLM):
        strong = stronger.model.session()
        skipped |= CONNECTION
    else:
        if not same_provider(weak.session(stronger.model), weak):
            skipped |= CONNECTION
        strong = weak.session(stronger.model, without=skipped)
    kept = {name: value for name, value in params.items() if name not in skipped}
    return strong, {**kept, **stronger.params}
