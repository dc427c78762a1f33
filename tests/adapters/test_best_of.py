from __future__ import annotations

import itertools
import json
import threading
from typing import Any

import pytest

from me2sdk import Escalate
from me2sdk.adapters._shared import (
    Answered,
    WrapperConfig,
    abest_native,
    aorder,
    best_native,
    finished,
    record,
)
from me2sdk.adapters._shared.best_of import abest_answers
from me2sdk.errors import ConfigurationError, GenerationError
from me2sdk.schema import BestOfNResult

GOOD, BAD = "12 * 13 = 120 + 36 = 156. The answer is 156.", "12 * 13 = 140, or 12 * 13 = 141. Hmm. It is 146."


def answered(text: str, **fields: object) -> Answered[tuple[str, str]]:
    return Answered(("native", text), {"role": "assistant", "content": text}, **fields)  # type: ignore[arg-type]


async def test_the_native_answers_come_back_in_order_of_reward() -> None:
    texts = iter([BAD, GOOD, BAD])

    async def ask(model: Any) -> Answered[tuple[str, str]]:
        return answered(next(texts), prompt_tokens=7, completion_tokens=5)

    result, natives = await abest_answers("12 * 13?", ask, WrapperConfig(n=3, select="best"))
    assert natives == [("native", candidate.response) for candidate in result.candidates]
    assert natives[0] == ("native", GOOD)
    assert (result.usage.calls, result.usage.prompt_tokens, result.usage.completion_tokens) == (3, 21, 15)


async def test_plain_functions_run_side_by_side_and_a_failure_costs_one_answer() -> None:
    together, counter = threading.Barrier(4, timeout=20), itertools.count()

    def ask(model: Any) -> Answered[tuple[str, str]]:
        together.wait()
        if next(counter) == 2:
            raise KeyError("lost")
        return answered(GOOD)

    result, natives = await abest_answers("12 * 13?", ask, WrapperConfig(n=4))
    assert len(natives) == 3
    (failure,) = result.failures
    assert failure.error == "KeyError"


async def test_nothing_is_tried_again_and_no_answer_at_all_is_an_error() -> None:
    calls = itertools.count(1)

    def ask(model: Any) -> Answered[str]:
        next(calls)
        raise ConnectionError("gone")

    with pytest.raises(GenerationError, match="gone"):
        await abest_answers("?", ask, WrapperConfig(n=2))
    assert next(calls) == 3


async def test_an_answer_that_was_cut_off_stands_last() -> None:
    parts = iter([answered(GOOD, finish_reason="length"), answered(BAD)])
    _, natives = await abest_answers(
        "12 * 13?", lambda model: next(parts), WrapperConfig(n=2, max_concurrency=1)
    )
    assert [text for _, text in natives] == [BAD, GOOD]


async def test_a_framework_gets_the_best_answer_and_all_that_arrived() -> None:
    parts = iter([answered(""), answered(BAD), answered(GOOD)])
    result, best, arrived = await abest_native(
        "12 * 13?", lambda model: next(parts), WrapperConfig(n=3, max_concurrency=1)
    )
    assert best == ("native", GOOD)
    assert arrived == [("native", ""), ("native", BAD), ("native", GOOD)]  # an empty one was paid for, too
    assert len(result.candidates) == 2


@pytest.mark.parametrize("awaited", [False, True])
async def test_where_nothing_can_be_ranked_the_framework_gets_what_its_model_gave(awaited: bool) -> None:
    script: list[Answered[tuple[str, str]] | Exception] = []

    def ask(model: Any) -> Answered[tuple[str, str]]:
        one = script.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    async def aask(model: Any) -> Answered[tuple[str, str]]:
        return ask(model)

    settings = WrapperConfig(n=2, max_concurrency=1)
    script[:] = [ConnectionError("first"), answered("")]
    result, best, arrived = await abest_native("?", aask if awaited else ask, settings)
    assert (best, arrived) == (("native", ""), [("native", "")])
    assert {failure.stage for failure in result.failures} == {"generate", "read"}

    script[:] = [ConnectionError("first"), ConnectionError("second")]
    with pytest.raises(ConnectionError, match="first") as caught:
        await abest_native("?", aask if awaited else ask, settings)
    assert isinstance(caught.value.__cause__, GenerationError)


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        WrapperConfig(n=0)


def test_the_synchronous_twin_brings_the_best_answer_and_all_that_arrived() -> None:
    texts = iter([BAD, GOOD])
    result, best, arrived = best_native("12 * 13?", lambda model: answered(next(texts)), WrapperConfig(n=2))
    assert best == ("native", GOOD)
    assert len(arrived) == len(result.candidates) == 2


async def test_what_failed_is_called_by_the_name_of_the_wrapped_model() -> None:
    def ask(model: Any) -> Answered[str]:
        raise ConnectionError("gone")

    with pytest.raises(GenerationError, match="gpt-4o-mini failed after 1 attempt"):
        await abest_answers("?", ask, WrapperConfig(n=2, model="gpt-4o-mini", name_of=str))


async def test_a_stronger_model_of_the_framework_is_asked_by_the_same_function() -> None:
    async def ask(model: str) -> Answered[tuple[str, str]]:
        text = GOOD if model == "strong" else f"{BAD} The answer is 146."
        return answered(text, completion_tokens=5, prompt_tokens=7)

    config = WrapperConfig(n=3, model="weak", name_of=str, escalate=Escalate("strong", n=2, below=1))
    result, best, arrived = await abest_native("12 * 13?", ask, config)
    assert best == ("native", GOOD)
    assert len(arrived) == 5
    assert {one.model for one in result.candidates if one.response == GOOD} == {"strong"}
    assert {name: usage.calls for name, usage in result.usage_by_model.items()} == {"weak": 3, "strong": 2}
    assert result.usage.completion_tokens == 25


async def test_outputs_are_ordered_and_what_is_empty_stands_last() -> None:
    order, result = await aorder("12 * 13?", [BAD, "", GOOD], select="best")
    assert [place for place, _ in order] == [2, 0, 1]
    assert [found and found.index for _, found in order] == [2, 0, None]
    assert result.candidates == tuple(found for _, found in order[:2])
    order, result = await aorder("12 * 13?", [])
    assert (order, result.candidates, result.confidence) == ([], (), None)


async def test_a_record_is_json_without_the_questions() -> None:
    result, _ = await abest_answers(
        "12 * 13?", lambda model: answered(GOOD), WrapperConfig(n=2, model="gpt-4o-mini", name_of=str)
    )
    kept = record(result)
    assert "12 * 13?" not in json.dumps(kept)
    back = BestOfNResult.model_validate(kept)
    assert [c.score for c in back.candidates] == [c.score for c in result.candidates]
    assert back.best.model == "gpt-4o-mini"


def test_an_answer_that_was_cut_off_has_one_name() -> None:
    assert [finished(reason) for reason in ("length", "MAX_TOKENS", "max_output_tokens")] == ["length"] * 3
    assert [finished(reason) for reason in ("stop", None, 3)] == ["stop", None, None]
