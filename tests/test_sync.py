from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading

import pytest

from me2sdk._sync import all_or_none, in_thread_if_long, run_sync

variable = contextvars.ContextVar("variable", default="unset")


async def loop_id() -> int:
    return id(asyncio.get_running_loop())


def test_all_calls_share_one_loop() -> None:
    assert run_sync(loop_id()) == run_sync(loop_id())


async def test_works_where_a_loop_is_running() -> None:
    here = id(asyncio.get_running_loop())
    assert run_sync(loop_id()) != here


def test_errors_and_context_variables_pass_through() -> None:
    async def fail() -> None:
        raise ValueError(variable.get())

    variable.set("seen")
    with pytest.raises(ValueError, match="seen"):
        run_sync(fail())


def test_from_inside_it_says_what_to_do() -> None:
    async def nested() -> None:
        run_sync(loop_id())

    with pytest.raises(RuntimeError, match="a-prefixed twin"):
        run_sync(nested())


def test_many_threads_at_once() -> None:
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(run_sync(loop_id()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert len(set(results)) == 1


def test_interrupt_cancels_and_waits_for_clean_up() -> None:
    code = """
import asyncio, os, signal
from me2sdk._sync import all_or_none, in_thread_if_long, run_sync
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs start with it ignored
async def work():
    asyncio.get_running_loop().call_later(0.2, os.kill, os.getpid(), signal.SIGINT)  # once the caller waits
    try:
        await asyncio.Event().wait()
    finally:
        print("cleaned up")
try:
    run_sync(work())
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout == "cleaned up\ninterrupted\n", done.stderr


async def test_all_or_none_leaves_nothing_behind() -> None:
    waiting = asyncio.Event()

    async def wait() -> None:
        waiting.set()
        await asyncio.Event().wait()

    async def fail() -> None:
        await waiting.wait()
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await all_or_none(wait(), fail())
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_only_long_work_leaves_the_thread_of_the_loop() -> None:
    here = threading.get_ident()
    assert await in_thread_if_long(10, threading.get_ident) == here
    assert await in_thread_if_long(10**6, threading.get_ident) != here


async def test_a_single_coroutine_runs_without_a_task_of_its_own() -> None:
    async def task() -> asyncio.Task[object] | None:
        return asyncio.current_task()

    assert await all_or_none(task()) == [asyncio.current_task()]
