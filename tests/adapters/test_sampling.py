from __future__ import annotations

import itertools
import threading

import pytest

from me2sdk.adapters._sampling import Answered, Settings, abest_answers, best_answers
from me2sdk.errors import ConfigurationError, GenerationError

GOOD, BAD = "12 * 13 = 120 + 36 = 156. The answer is 156.", "12 * 13 = 140, or 12 * 13 = 141. Hmm. It is 146."


def answered(text: str, **fields: object) -> Answered[tuple[str, str]]:
    return Answered(("native", text), {"role": "assistant", "content": text}, **fields)  # type: ignore[arg-type]


async def test_the_native_answers_come_back_in_order_of_reward() -> None:
    texts = iter([BAD, GOOD, BAD])

    async def ask() -> Answered[tuple[str, str]]:
        return answered(next(texts), prompt_tokens=7, completion_tokens=5)

    result, natives = await abest_answers("12 * 13?", ask, Settings(n=3))
    assert natives == [("native", candidate.response) for candidate in result.candidates]
    assert natives[0] == ("native", GOOD)
    assert (result.usage.calls, result.usage.prompt_tokens, result.usage.completion_tokens) == (3, 21, 15)


def test_plain_functions_run_side_by_side_and_a_failure_costs_one_answer() -> None:
    together, counter = threading.Barrier(4, timeout=20), itertools.count()

    def ask() -> Answered[tuple[str, str]]:
        together.wait()
        if next(counter) == 2:
            raise KeyError("lost")
        return answered(GOOD)

    result, natives = best_answers("12 * 13?", ask, Settings(n=4))
    assert len(natives) == 3
    (failure,) = result.failures
    assert failure.error == "KeyError"


async def test_nothing_is_tried_again_and_no_answer_at_all_is_an_error() -> None:
    calls = itertools.count(1)

    def ask() -> Answered[str]:
        next(calls)
        raise ConnectionError("gone")

    with pytest.raises(GenerationError, match="gone"):
        await abest_answers("?", ask, Settings(n=2))
    assert next(calls) == 3


async def test_an_answer_that_was_cut_off_stands_last() -> None:
    parts = iter([answered(GOOD, finish_reason="length"), answered(BAD)])
    _, natives = await abest_answers("12 * 13?", lambda: next(parts), Settings(n=2, max_concurrency=1))
    assert [text for _, text in natives] == [BAD, GOOD]


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        Settings(n=0)
