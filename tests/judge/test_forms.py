from __future__ import annotations

import pytest

from me2sdk.judge.decisions import read_decision
from me2sdk.judge.forms import (
    DECISION_SCHEMA,
    GRADE_SCHEMA,
    ORDER_SCHEMA,
    decision_again,
    decision_form,
    grade_again,
    grade_form,
    order_again,
    order_form,
)
from me2sdk.judge.reading import read_grade, read_order


def test_the_reason_comes_before_the_decision() -> None:
    for sent, last in ((DECISION_SCHEMA, "decision"), (GRADE_SCHEMA, "grade"), (ORDER_SCHEMA, "order")):
        schema = sent["response_format"]["json_schema"]["schema"]
        assert list(schema["properties"]) == schema["required"] == ["assessment", last]


@pytest.mark.parametrize("as_json", [True, False])
def test_a_copy_of_the_form_is_no_decision(as_json: bool) -> None:
    for words in (decision_form(as_json=as_json), decision_again(as_json=as_json)):
        assert read_decision({"role": "assistant", "content": words}).choice is None
    schema = GRADE_SCHEMA["response_format"]["json_schema"]["schema"]
    for grade in schema["properties"]["grade"]["enum"]:
        assert read_grade(f'{{"assessment": "So.", "grade": "{grade}"}}') == int(grade)
    for words in (grade_form(as_json=as_json), grade_again(as_json=as_json)):
        assert "from 0 to 10" in words
        assert read_grade(words) is None


@pytest.mark.parametrize("as_json", [True, False])
def test_an_order_is_asked_for_with_all_numbers(as_json: bool) -> None:
    assert "all 3 traces" in order_form(3, as_json=as_json)
    assert ("<|decision|>" in order_form(3, as_json=as_json)) != as_json
    assert read_order(order_form(3, as_json=as_json), 3) is None
    # In words no order is shown again: a model that copied it would have said nothing.
    assert ("[[3], [2], [1]]" if as_json else "numbers of all 3 traces") in order_again(3, as_json=as_json)
