"""Which errors are worth another try, and when.

All retries of the SDK are made here: the clients below are told to make none, so that tries do not multiply.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import math
import random
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from me2sdk.errors import ME2Error

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]

_TRANSIENT_STATUS = frozenset((408, 409, 429))
_TRANSIENT_NAMES = frozenset(("APIConnectionError", "APITimeoutError", "Timeout", "TransportError"))
_LACKS_KEY = re.compile(r"missing credentials|api_key client option must be set", re.IGNORECASE)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds


class EmptyResponse(Exception):
    """The provider answered without a single choice."""


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error carries, or None."""
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def lacks_key(error: BaseException) -> bool:
    """Whether a client made no call because no API key was set, which LiteLLM reports as a server error."""
    status = status_of(error)
    return status is not None and status >= 500 and _LACKS_KEY.search(str(error)) is not None


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed when it is made again."""
    # An error of ours comes from a model function that uses this SDK, which has retried already.
    if lacks_key(error) or isinstance(error, ME2Error):
        return False
    if isinstance(error, (TimeoutError, ConnectionError, EmptyResponse)):
        return True
    status = status_of(error)
    if status is not None:
        return status in _TRANSIENT_STATUS or status >= 500
    return any(parent.__name__ in _TRANSIENT_NAMES for parent in type(error).__mro__)


def retry_after(error: BaseException) -> float | None:
    """Seconds the provider asks to wait (``Retry-After`` as seconds or as an HTTP date), or None."""
    # LiteLLM keeps the real headers beside an empty response; other clients keep them in the response.
    for headers in (
        getattr(error, "litellm_response_headers", None),
        getattr(error, "headers", None),
        getattr(getattr(error, "response", None), "headers", None),
    ):
        get: Any = getattr(headers, "get", None)
        value = (get("retry-after") or get("Retry-After")) if get is not None else None
        if value is None:
            continue
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            try:
                seconds = email.utils.parsedate_to_datetime(str(value)).timestamp() - time.time()
            except ValueError:
                continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None


class Attempts:
    """The attempts of one call: at most ``max_retries`` + 1, in at most ``total_timeout`` seconds.

    Args:
        max_retries: attempts after the first one.
        total_timeout: seconds for all of them.
        sleep: awaited with the seconds of a pause.
        is_final: says of an error that another attempt would not help, though its status says otherwise.

    Attributes:
        made: attempts so far.
        seconds: time spent on attempts and on the pauses between them. Waiting for a free slot is not counted,
            since calls would then fail because of a long queue.
    """

    def __init__(
        self,
        max_retries: int,
        total_timeout: float,
        sleep: Sleep,
        is_final: Callable[[BaseException], bool] = lambda error: False,
    ) -> None:
        self.made = 0
        self.seconds = 0.0
        self._max_retries = max_retries
        self._total_timeout = total_timeout
        self._sleep = sleep
        self._is_final = is_final

    async def run(self, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Call ``attempt`` until it returns, its error is final, or a limit is reached. Raises its last error.

        Args:
            attempt: a coroutine function that makes one attempt, inside `timed`.
        """
        failed: list[Exception] = []
        try:
            return await attempt()
        except Exception as error:
            failed.append(error)

        # Most calls never get here: a tenth of what me2sdk itself does for a call would go into setting this up.
        async def first_or_next() -> T:
            if failed:
                raise failed.pop()
            return await attempt()

        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: is_transient(error) and not self._is_final(error)),
            wait=self._wait,
            stop=self._is_over,
            sleep=self._pause,
            reraise=True,
        )
        return await retrying(first_or_next)

    @contextlib.contextmanager
    def timed(self, seconds: float) -> Iterator[float]:
        """Count an attempt and its time; gives the seconds that it may take, at most ``seconds``."""
        self.made += 1
        started = time.monotonic()
        try:
            yield min(seconds, max(0.001, self._total_timeout - self.seconds))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # This call was not cancelled: something inside it was, which is a failure of this call alone.
            raise ConnectionError("the call was cancelled from within") from None
        finally:
            self.seconds += time.monotonic() - started

    def _wait(self, state: RetryCallState) -> float:
        backoff = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (state.attempt_number - 1))
        error = state.outcome.exception() if state.outcome else None
        asked = retry_after(error) if error else None
        # The jitter keeps callers that were refused at the same time from coming back at the same time.
        jitter = random.uniform(0.0, backoff / 2)
        return (asked if asked is not None else backoff / 2) + jitter

    def _is_over(self, state: RetryCallState) -> bool:
        return (
            state.attempt_number > self._max_retries
            or self.seconds + state.upcoming_sleep >= self._total_timeout
        )

    async def _pause(self, seconds: float) -> None:
        self.seconds += seconds
        await self._sleep(seconds)
