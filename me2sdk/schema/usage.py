"""What calls cost."""

from __future__ import annotations

from typing import TypeVar

from me2sdk.schema.question import Value

__all__ = ["Usage"]

_Number = TypeVar("_Number", int, float)


class Usage(Value):
    """What calls cost.

    Attributes:
        calls: calls that reached a provider.
        cached_calls: answers that came from the cache instead.
        prompt_tokens: tokens sent, or None where a provider did not say.
        completion_tokens: tokens received, or None where a provider did not say.
        cost: US dollars, or None where a price is not known. Unknown is never counted as 0.

    Example:
        ```python
        from me2sdk import Usage

        total = Usage(calls=1, prompt_tokens=10, completion_tokens=5, cost=0.25) + Usage(calls=2, cost=None)
        print(total.calls, total.total_tokens, total.cost)  # 3 15 None
        ```
    """

    calls: int = 0
    cached_calls: int = 0
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    cost: float | None = 0.0

    @property
    def total_tokens(self) -> int | None:
        """Prompt and completion tokens together, or None where either is not known."""
        return _plus(self.prompt_tokens, self.completion_tokens)

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            calls=self.calls + other.calls,
            cached_calls=self.cached_calls + other.cached_calls,
            prompt_tokens=_plus(self.prompt_tokens, other.prompt_tokens),
            completion_tokens=_plus(self.completion_tokens, other.completion_tokens),
            cost=_plus(self.cost, other.cost),
        )


def _plus(a: _Number | None, b: _Number | None) -> _Number | None:
    return None if a is None or b is None else a + b
