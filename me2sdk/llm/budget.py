"""Spending limits that hold before a call is made, not after."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from typing import NamedTuple

from me2sdk.errors import BudgetExceeded, ConfigurationError
from me2sdk.llm.door import Prices
from me2sdk.schema import Usage

__all__ = ["Budget"]


class Estimate(NamedTuple):
    """The most that a call may use: tokens of its prompt, and of each answer (None where that is not known)."""

    prompt: int
    completion: int | None
    samples: int
    prices: Prices | None


class Reservation:
    """A part of the budget, held while a call is in flight."""

    def __init__(self, prompt: int, completion: int, estimate: Estimate, unbounded: bool) -> None:
        self.prompt = prompt
        self.completion = completion
        self.samples = estimate.samples
        self.prices = estimate.prices
        self.unbounded = unbounded

    @property
    def tokens(self) -> int:
        """Prompt and completions together."""
        return self.prompt + self.completion

    @property
    def cost(self) -> float:
        """US dollars, 0 where no price is known (a budget in dollars never gets that far)."""
        return self.prices.cost(self.prompt, self.completion) if self.prices else 0.0


class Budget:
    """A limit on what calls may spend. It stops before it is passed.

    One budget may be shared by several `LLM` objects, threads and event loops. Before each call the most that
    it may use is set aside: its prompt, and ``max_tokens`` (or ``max_completion_tokens``) for each answer.
    Afterwards what the call did use is counted instead. Without ``max_tokens`` the longest answer so far is
    set aside, and the first call of all is made alone; the last calls may then pass the limit by as much as
    they are longer than any before. Cached answers are free.

    Args:
        usd: the most to spend in US dollars, or None for no such limit. Needs models whose price LiteLLM knows.
        tokens: the most tokens to use, prompts and answers together, or None for no such limit.

    Raises:
        ConfigurationError: neither limit is given, or one is negative.

    Example:
        ```python
        from me2sdk import Budget, best_of_n

        budget = Budget(tokens=10_000)
        best_of_n("2 + 2?", model=lambda messages, **params: "It is 4.", n=4, budget=budget, max_tokens=100)
        print(budget.spent.calls)  # 4
        ```
    """

    def __init__(self, usd: float | None = None, tokens: int | None = None) -> None:
        if usd is None and tokens is None:
            raise ConfigurationError(
                "A Budget needs a limit: Budget(usd=2.50), Budget(tokens=100_000), or both."
            )
        if any(limit is not None and not (limit >= 0 and math.isfinite(limit)) for limit in (usd, tokens)):
            raise ConfigurationError("The limits of a Budget are finite numbers of at least 0.")
        self.usd = usd
        self.tokens = tokens
        self._spent = Usage()
        self._held: set[Reservation] = set()
        self._longest: int | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._lock = threading.Lock()

    @property
    def spent(self) -> Usage:
        """What has been used so far. A call whose provider reports no usage counts with its estimate."""
        with self._lock:
            return self._spent

    def __repr__(self) -> str:
        return f"Budget(usd={self.usd}, tokens={self.tokens}, spent={self.spent})"

    def _knows_length(self) -> bool:
        with self._lock:
            return self._longest is not None

    def _reserve(self, estimate: Estimate) -> tuple[Reservation | None, asyncio.Future[None] | None]:
        """Set aside what a call may use, or return a future to await before asking again.

        Raises:
            BudgetExceeded: what is left is less than the call may use.
        """
        with self._lock:
            each = estimate.completion if estimate.completion is not None else self._longest
            unbounded = each is None
            if unbounded and any(other.unbounded for other in self._held):
                future = asyncio.get_running_loop().create_future()
                self._waiting.append(future)
                return None, future
            # An answer of unknown length has at least one token.
            reservation = Reservation(estimate.prompt, (each or 1) * estimate.samples, estimate, unbounded)
            self._check(reservation)
            self._held.add(reservation)
            return reservation, None

    def _check(self, wanted: Reservation) -> None:
        limits: list[tuple[str, float, float, float, float]] = []
        if self.tokens is not None:
            held = sum(other.tokens for other in self._held)
            limits.append(("tokens", self._spent.total_tokens or 0, held, wanted.tokens, self.tokens))
        if self.usd is not None:
            held_cost = sum(other.cost for other in self._held)
            limits.append(("US dollars", self._spent.cost or 0.0, held_cost, wanted.cost, self.usd))
        for unit, spent, reserved, needed, limit in limits:
            if spent + reserved + needed > limit:
                raise BudgetExceeded(
                    f"The next call may use {needed:.6g} {unit}. Of the budget of {limit:.6g}, "
                    f"{spent:.6g} are spent and {reserved:.6g} are set aside for calls in flight. "
                    "Raise the budget, lower max_tokens, ask for fewer samples, or lower max_concurrency."
                )

    def _settle(self, reservation: Reservation, usage: Usage, estimated: int) -> Usage:
        """Count what a call used instead of what was set aside for it.

        Args:
            reservation: what `_reserve` returned.
            usage: what the provider reported.
            estimated: tokens of the answers as estimated from their text, for a provider that reports none.
        """
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        if prompt is None:
            prompt = reservation.prompt
        if completion is None:
            completion = estimated if reservation.unbounded else reservation.completion
        cost = usage.cost
        if cost is None and reservation.prices is not None:
            cost = reservation.prices.cost(prompt, completion)
        charged = Usage(calls=usage.calls, prompt_tokens=prompt, completion_tokens=completion, cost=cost)
        with self._lock:
            self._spent += charged
            self._longest = max(self._longest or 1, math.ceil(completion / max(1, reservation.samples)))
        self._release(reservation)
        return charged

    def _release(self, reservation: Reservation) -> None:
        """Give back what was set aside, if it still is, and wake the calls that wait."""
        with self._lock:
            self._held.discard(reservation)
            waiting, self._waiting = self._waiting, []
        for future in waiting:
            with contextlib.suppress(RuntimeError):  # its event loop is closed, so nothing waits any more
                future.get_loop().call_soon_threadsafe(_wake, future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
