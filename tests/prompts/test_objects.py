from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, strategies as st

from me2sdk.prompts import read_object

PLAIN = {"assessment": "One {is} short.", "decision": "Trace 1"}
VALUES = st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.integers()))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(PLAIN),
        json.dumps(PLAIN, indent=2),
        f"```json\n{json.dumps(PLAIN, indent=2)}\n```",
        f"Here it is:\n\n```\n{json.dumps(PLAIN)}\n```\n",
        f"  {json.dumps(PLAIN)}  \n",
    ],
)
def test_an_object_at_the_end_is_read(text: str) -> None:
    assert read_object(text) == PLAIN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<|decision|>Trace 1",
        f"{json.dumps(PLAIN)}\nSo Trace 2.",  # not its last word
        f"In a line: {json.dumps(PLAIN)}",
        json.dumps(PLAIN)[:-1],
        "[1, 2]",
        "{'assessment': 'no JSON'}",
        f"{json.dumps(PLAIN)}\n{json.dumps(PLAIN)}",
        '{"a": ' * 100_000 + "}",
        '{"a": ' + "9" * 10_000 + "}",
    ],
)
def test_what_is_no_object_at_the_end_is_none(text: str) -> None:
    assert read_object(text) is None


@given(VALUES)
def test_any_object_is_read(value: dict[str, Any]) -> None:
    assert read_object(json.dumps(value)) == value


def test_formulas_and_line_breaks_in_strings_are_read() -> None:
    found = read_object('{"explanation": "by \\(x\\) and\nthe \\sum", "action": "continue"}')
    assert found == {"explanation": "by \\(x\\) and\nthe \\sum", "action": "continue"}


def test_reading_takes_linear_time() -> None:
    def seconds(size: int) -> float:
        started = time.perf_counter()
        assert read_object("{\n" * size + "}") is None
        return time.perf_counter() - started

    seconds(1000)
    assert seconds(200_000) < 100 * max(seconds(20_000), 1e-3)
