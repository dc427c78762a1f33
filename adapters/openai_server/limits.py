"""How many requests run, and how many may wait."""

from __future__ import annotations

import asyncio
from types import TracebackType

from me2sdk.adapters.openai_server.errors import ApiError

__all__ = ["RequestLimiter", "Slot"]

_RETRY_AFTER_SECONDS = 1


class RequestLimiter:
    """Slots for requests. A request without a free slot waits; if too many wait, it is refused.

    Attributes:
        running: requests that run.
        waiting: requests that wait, or whose body is still being read.

    Args:
        max_running: requests that run at a time.
        max_waiting: requests that may wait.
    """

    def __init__(self, max_running: int, max_waiting: int) -> None:
        self.running = 0
        self.waiting = 0
        self.capacity = max_running + max_waiting
        self.semaphore = asyncio.Semaphore(max_running)

    @property
    def full(self) -> bool:
        """Whether a request would have to wait for its slot."""
        return self.semaphore.locked()

    def slot(self) -> Slot:
        """A slot for one request; use it as a context manager.

        Raises:
            ApiError: on entering, if too many requests wait.
        """
        return Slot(self)


class Slot:
    """The slot of one request in a `RequestLimiter`."""

    def __init__(self, limiter: RequestLimiter) -> None:
        self._limiter = limiter
        self._acquired = False

    def __enter__(self) -> Slot:
        limiter = self._limiter
        if limiter.running + limiter.waiting >= limiter.capacity:
            raise ApiError(
                429,
                "The server has all the requests it can hold. Try again later.",
                code="server_busy",
                headers={"Retry-After": str(_RETRY_AFTER_SECONDS)},
            )
        limiter.waiting += 1
        return self

    async def acquire(self) -> None:
        """Wait until the request may run."""
        await self._limiter.semaphore.acquire()
        self._acquired = True
        self._limiter.waiting -= 1
        self._limiter.running += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._acquired:
            self._limiter.running -= 1
            self._limiter.semaphore.release()
        else:
            self._limiter.waiting -= 1
