from __future__ import annotations

from typing import Any

import pytest

from me2sdk import InvalidTraceError, Trace
from me2sdk.annotate.inputs import holds_traces, read_job
from me2sdk.schema import Step


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (["one", "two"], False),
        ([Step("one", ""), "two"], False),
        ([Trace(reasoning="one")], True),
        ([["one"], [Step("two", "")]], True),
        ([], False),
    ],
)
def test_a_list_holds_steps_or_traces(items: list[Any], expected: bool) -> None:
    assert holds_traces(items) == expected


@pytest.mark.parametrize("items", [["one", Trace(reasoning="two")], [7], ["one", ["two"]]])
def test_a_list_of_both_is_refused(items: list[Any]) -> None:
    with pytest.raises(InvalidTraceError, match="not both"):
        holds_traces(items)


def test_the_question_of_the_call_wins_over_that_of_the_trace() -> None:
    trace = Trace(reasoning="One.\n\nTwo.", question="Its own?")
    assert read_job(0, trace, None, "auto", False).question == "Its own?"
    assert read_job(3, trace, "Another?", "auto", True) == (
        3,
        read_job(0, trace, None, "auto", False).steps,
        "Another?",
    )


def test_steps_that_are_given_are_joined_by_blank_lines() -> None:
    steps = read_job(0, ["one", "two\ud800"], None, "auto", False).steps
    assert [(step.text, step.separator) for step in steps] == [("one", "\n\n"), ("two�", "")]


@pytest.mark.parametrize(
    ("item", "match"), [(7, "not int"), ([" ", "\n"], "Trace 2 is empty"), ([7], "not list")]
)
def test_what_is_no_trace_is_refused(item: Any, match: str) -> None:
    with pytest.raises(InvalidTraceError, match=match):
        read_job(2, item, None, "auto", True)
