"""The one place where synchronous callers meet the asynchronous core.

All synchronous twins run on a single event loop in a daemon thread, so they work where a loop is already
running (a notebook, a web handler), and connections, semaphores and caches are shared by all of them.
`all_or_none` runs coroutines side by side, `in_thread_if_long` keeps long work off the event loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_SHORT = 2_000  # characters; reading so few takes less time than changing to another thread and back

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_owner: int | None = None


def _background_loop() -> asyncio.AbstractEventLoop:
    global _loop, _owner
    with _lock:
        # A forked child inherits the loop object but not its thread.
        if _loop is None or _owner != os.getpid():
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="me2sdk", daemon=True).start()
            _loop, _owner = loop, os.getpid()
        return _loop


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run ``coroutine`` to its end and return its result.

    The coroutine sees the caller's context variables. Ctrl-C cancels it, waits for its clean-up, and is raised here.

    Raises:
        RuntimeError: the call comes from inside an asynchronous me2sdk call, which would wait for itself.
    """
    if threading.current_thread().name == "me2sdk":
        coroutine.close()
        raise RuntimeError(
            "A synchronous me2sdk call was made from inside an asynchronous one (a callback, a scorer or a model "
            "function). Use the a-prefixed twin there and await it."
        )
    future = start(coroutine)
    try:
        return future.result()
    except BaseException:
        if not future.done():
            future.cancel()
            concurrent.futures.wait([future], timeout=10)
        raise


def start(coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
    """Start ``coroutine`` on the loop of the synchronous twins, and return at once."""
    return asyncio.run_coroutine_threadsafe(coroutine, _background_loop())


async def all_or_none(*work: Coroutine[Any, Any, T]) -> list[T]:
    """Run coroutines side by side. If one raises, or this is cancelled, the others are cancelled and waited for."""
    if len(work) == 1:
        return [await work[0]]
    tasks = [asyncio.create_task(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def in_thread_if_long(characters: float, function: Callable[[], T]) -> T:
    """Call ``function``, in a thread where it reads so many characters that the event loop would be held up."""
    return function() if characters <= _SHORT else await asyncio.to_thread(function)
