"""One call of a model: its slot, its time, its retries and its share of the budget."""

from __future__ import annotations

import asyncio
import copy
import math
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, NamedTuple

from me2sdk import _tracing
from me2sdk.errors import ConfigurationError, ME2Error
from me2sdk.llm.answer import Answer
from me2sdk.llm.budget import Budget, Estimate, Reservation
from me2sdk.llm.door import Prices
from me2sdk.llm.request import answer_limit, generation_error, rejects_n
from me2sdk.llm.retry import Attempts, EmptyResponse
from me2sdk.llm.targets import Target
from me2sdk.llm.tokens import estimate_tokens
from me2sdk.schema import Message, Usage


class Request(NamedTuple):
    """What one question asks, the same for all its samples.

    Attributes:
        messages: the chat messages.
        params: every parameter of the calls, but ``n``.
        secrets: keys that no message may show.
        cache_texts: the request as text, by target, where there is a cache.
        prices: prices by target, where a budget is in dollars.
    """

    messages: list[Message]
    params: dict[str, Any]
    secrets: frozenset[str]
    cache_texts: dict[Target, str]
    prices: dict[Target, Prices]


class LoopLimits:
    """What the calls of one event loop share: slots, and threads for model functions that are not async."""

    def __init__(self, size: int) -> None:
        self.slots = asyncio.Semaphore(size)
        self._size = size
        self._threads: ThreadPoolExecutor | None = None

    def threads(self) -> Executor:
        """As many threads as there are slots, started when first needed; asyncio's own pool may have fewer."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._size, thread_name_prefix="me2sdk-model")
        return self._threads


class LimitsPerLoop:
    """`LoopLimits` for each event loop.

    Args:
        size: slots per loop.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopLimits] = (
            weakref.WeakKeyDictionary()
        )
        self._lock = threading.Lock()

    def here(self) -> LoopLimits:
        """The limits of the running loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._by_loop:
                # A semaphore that was waited for holds its loop, so closed loops are removed by hand.
                for closed in [other for other in self._by_loop if other.is_closed()]:
                    del self._by_loop[closed]
                self._by_loop[loop] = LoopLimits(self._size)
            return self._by_loop[loop]


class Caller:
    """Makes calls within limits; see `LLM` for what they mean.

    Raises:
        ConfigurationError: a limit cannot work.
    """

    def __init__(
        self,
        max_concurrency: int,
        timeout: float,
        max_retries: int,
        total_timeout: float,
        budget: Budget | None,
    ) -> None:
        if max_concurrency < 1 or max_retries < 0:
            raise ConfigurationError("max_concurrency is at least 1, max_retries at least 0.")
        if not all(math.isfinite(seconds) and seconds > 0 for seconds in (timeout, total_timeout)):
            raise ConfigurationError("timeout and total_timeout are finite numbers of seconds above 0.")
        self.max_concurrency = max_concurrency
        self.budget = budget
        self.sleep = asyncio.sleep
        self._timeout = timeout
        self._max_retries = max_retries
        self._total_timeout = total_timeout
        self._limits = LimitsPerLoop(max_concurrency)

    def with_budget(self, budget: Budget | None) -> Caller:
        """The same limits with another budget and with slots of its own."""
        view = copy.copy(self)
        view.budget = budget
        view._limits = LimitsPerLoop(self.max_concurrency)
        return view

    def may_ask_for_several(self, params: dict[str, Any]) -> bool:
        """Whether the budget can bound a call for several samples: the longest answer must be known or limited."""
        return self.budget is None or answer_limit(params) is not None or self.budget._knows_length()

    async def call_with_retries(
        self, target: Target, request: Request, params: dict[str, Any], count: Callable[[Usage], None]
    ) -> tuple[Answer, float]:
        """Make one call, again where its error may pass by itself, as a span.

        Args:
            target: the model to ask.
            request: the messages, and what is known of the request.
            params: the parameters of this call, with ``n`` where it asks for several samples.
            count: called with the usage of every response.

        Returns:
            The answer, and the seconds that all tries and the pauses between them took.

        Raises:
            GenerationError: the call failed for good.
            BudgetExceeded: the call could have passed the budget, so it was not made.
        """
        limits, budget = self._limits.here(), self.budget
        several = params.get("n", 1) > 1
        attempts = Attempts(
            self._max_retries, self._total_timeout, self.sleep, lambda error: several and rejects_n(error)
        )
        estimate = _estimate(target, request, params) if budget else None
        reservation: Reservation | None = None

        async def attempt() -> Answer:
            nonlocal reservation
            while True:
                async with limits.slots:
                    turn = None
                    if budget and estimate and reservation is None:
                        reservation, turn = budget._reserve(estimate)
                    if turn is None:
                        # Copies, since some of LiteLLM's providers and some functions change what they are given.
                        messages = copy.deepcopy(request.messages)
                        with attempts.timed(self._timeout) as seconds:
                            answer = await target.ask(messages, dict(params), seconds, limits.threads)
                        break
                # Another call must show first how long answers are. It may need this slot meanwhile.
                await turn
            count(answer.usage)
            if budget and reservation:
                budget._settle(reservation, answer.usage, answer.estimated_tokens)
                reservation = None
            if not answer.choices:
                raise EmptyResponse("the provider returned no choices")
            return answer

        failed: Exception
        with _tracing.span(
            "call", target.name, messages=request.messages, params=params, provider=target.provider
        ) as span:
            try:
                answer = await attempts.run(attempt)
                span.record(answer=answer, attempts=attempts.made, seconds=attempts.seconds)
                return answer, attempts.seconds
            except ME2Error:
                raise
            except Exception as error:
                failed = error
            finally:
                if budget and reservation:
                    budget._release(reservation)
            # Raised out here, so that no traceback leads to the provider's error: its text may hold the key.
            raise generation_error(failed, target.name, attempts, request.secrets)


def _estimate(target: Target, request: Request, params: dict[str, Any]) -> Estimate:
    prompt = estimate_tokens([request.messages, params.get("tools"), params.get("functions")])
    return Estimate(prompt, answer_limit(params), params.get("n", 1), request.prices.get(target))
