"""How many requests are in work and how many may wait."""

from __future__ import annotations

import asyncio
from types import TracebackType

from me2sdk.adapters.openai_server.errors import ApiError

__all__ = ["Gate", "Visit"]

_WAIT_SECONDS = 1


class Gate:
    """Places for requests. Those that find none wait in line, and beyond that they are turned away.

    Attributes:
        inside: requests in work.
        waiting: requests that wait, or whose body is still being read.

    Args:
        places: requests in work at a time.
        queue: requests that may wait.
    """

    def __init__(self, places: int, queue: int) -> None:
        self.inside = 0
        self.waiting = 0
        self._most = places + queue
        self._places = asyncio.Semaphore(places)

    def visit(self) -> Visit:
        """A request; use it as a context manager.

        Raises:
            ApiError: on entering, where the line is full.
        """
        return Visit(self)


class Visit:
    """A request on its way through the `Gate`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._inside = False

    def __enter__(self) -> Visit:
        gate = self._gate
        if gate.inside + gate.waiting >= gate._most:
            wait = {"Retry-After": str(_WAIT_SECONDS)}
            raise ApiError(
                429,
                "The server has all the requests it can hold. Try again later.",
                code="server_busy",
                headers=wait,
            )
        gate.waiting += 1
        return self

    async def enter(self) -> None:
        """Wait for a place."""
        await self._gate._places.acquire()
        self._inside = True
        self._gate.waiting -= 1
        self._gate.inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._inside:
            self._gate.inside -= 1
            self._gate._places.release()
        else:
            self._gate.waiting -= 1
