"""What the calls of one event loop share: slots, and threads for model functions that are not async."""

from __future__ import annotations

import asyncio
import threading
import weakref
from concurrent.futures import Executor, ThreadPoolExecutor


class Lane:
    """The slots and threads of one event loop. Threads are started when a function needs them."""

    def __init__(self, size: int) -> None:
        self.slots = asyncio.Semaphore(size)
        self._size = size
        self._threads: ThreadPoolExecutor | None = None

    def threads(self) -> Executor:
        """As many threads as there are slots; asyncio's own pool has a handful on a small machine."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._size, thread_name_prefix="me2sdk-model")
        return self._threads


class Lanes:
    """A `Lane` for each event loop.

    Args:
        size: slots of a lane.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lanes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Lane] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def here(self) -> Lane:
        """The lane of the running loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._lanes:
                # A semaphore that was waited for holds its loop, so closed loops have to be dropped by hand.
                for closed in [other for other in self._lanes if other.is_closed()]:
                    del self._lanes[closed]
                self._lanes[loop] = Lane(self._size)
            return self._lanes[loop]
