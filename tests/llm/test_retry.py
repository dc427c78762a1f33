from __future__ import annotations

import asyncio
import email.utils
import time
from typing import Any

import pytest

from me2sdk.errors import BudgetExceeded, GenerationError
from me2sdk.llm.retry import Attempts, EmptyResponse, is_transient, retry_after, status_of


class Status(Exception):
    def __init__(self, code: Any, headers: Any = None) -> None:
        super().__init__(f"status {code}")
        self.status_code = code
        self.litellm_response_headers = headers


class APIConnectionError(Exception):
    """Named as the clients of several providers name theirs, which carry no status."""


@pytest.mark.parametrize("code", [408, 409, 429, 500, 502, 503, 504, 529])
def test_transient_status(code: int) -> None:
    assert is_transient(Status(code))


@pytest.mark.parametrize("code", [200, 400, 401, 402, 403, 404, 413, 422])
def test_permanent_status(code: int) -> None:
    assert not is_transient(Status(code))


def test_transient_errors() -> None:
    for error in (TimeoutError(), ConnectionResetError(), EmptyResponse(), APIConnectionError()):
        assert is_transient(error)
    for error in (
        ValueError(),
        KeyError(),
        Status("429"),
        BudgetExceeded(),
        GenerationError("x", status=503),
    ):
        assert not is_transient(error)
    assert status_of(Status("429")) is None


def test_retry_after() -> None:
    assert retry_after(Status(429)) is None
    assert retry_after(Status(429, {"retry-after": "3.5"})) == 3.5
    assert retry_after(Status(429, {"Retry-After": "-3"})) == 0
    for nonsense in ("soon", "", "nan", "inf"):
        assert retry_after(Status(429, {"retry-after": nonsense})) is None
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    seconds = retry_after(Status(429, {"retry-after": date}))
    assert seconds is not None
    assert 97 < seconds <= 100
    assert retry_after(Status(429, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})) == 0


async def run(errors: list[Exception], **limits: Any) -> tuple[Attempts, list[float], Any]:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    async def attempt() -> str:
        with attempts.timed(10):
            if errors:
                raise errors.pop(0)
            return "done"

    attempts = Attempts(**{"max_retries": 9, "total_timeout": 600.0, **limits}, sleep=nap)
    try:
        return attempts, naps, await attempts.run(attempt)
    except Exception as error:
        return attempts, naps, error


async def test_pauses_grow_and_differ() -> None:
    attempts, naps, result = await run([Status(500) for _ in range(9)])
    assert (result, attempts.made) == ("done", 10)
    for number, pause in enumerate(naps):
        longest = min(30.0, 0.5 * 2**number)
        assert longest / 2 <= pause <= longest
    assert attempts.seconds >= sum(naps)
    other = (await run([Status(500) for _ in range(9)]))[1]
    assert other != naps


async def test_total_time_counts_pauses() -> None:
    attempts, naps, error = await run([Status(500) for _ in range(9)], total_timeout=3.0)
    assert isinstance(error, Status)
    assert 2 <= attempts.made < 6
    assert sum(naps) < 3.0


async def test_the_last_try_is_cut_to_what_is_left() -> None:
    attempts = Attempts(0, 5.0, asyncio.sleep)
    attempts.seconds = 4.0
    with attempts.timed(120.0) as seconds:
        assert seconds == pytest.approx(1.0)


async def test_a_cancellation_from_outside_passes_through() -> None:
    started = asyncio.Event()

    async def attempt() -> None:
        with attempts.timed(5.0):
            started.set()
            await asyncio.Event().wait()

    attempts = Attempts(3, 5.0, asyncio.sleep)
    task = asyncio.create_task(attempts.run(attempt))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert attempts.made == 1
