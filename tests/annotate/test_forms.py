from __future__ import annotations

import json
import re

import pytest

from me2sdk.annotate.answers import read_annotation, read_window
from me2sdk.annotate.forms import annotation_form, annotation_schema


def test_the_schema_names_the_fields_that_the_reader_reads() -> None:
    (sent,) = annotation_schema(1).values()
    schema = json.loads(json.dumps(sent))["json_schema"]["schema"]
    assert list(schema["properties"]) == schema["required"] == ["explanation", "action", "previous"]
    (sent,) = annotation_schema(4).values()
    items = json.loads(json.dumps(sent))["json_schema"]["schema"]["properties"]["steps"]["items"]
    assert items["required"] == ["step", "explanation", "action", "previous"]


def test_every_example_of_the_json_form_is_read() -> None:
    words = annotation_form([3], as_json=True).words
    found = [read_annotation(line) for line in re.findall(r"^\{.*\}$", words, re.MULTILINE)]
    assert [(one.action, one.parents) for one in found if one] == [
        ("continue", ()),
        ("backtrack", (3,)),
        ("merge", (3, 5)),
    ]


@pytest.mark.parametrize("as_json", [True, False])
def test_a_copy_of_the_example_says_nothing_about_the_other_steps(as_json: bool) -> None:
    window = read_window(annotation_form([6, 7, 8, 9], as_json=as_json).words)
    assert {step: one.action for step, one in window.items()} in ({6: "continue"}, {})


@pytest.mark.parametrize("steps", [[6], [6, 7, 8]])
@pytest.mark.parametrize("as_json", [True, False])
def test_each_form_says_what_is_missing_in_its_own_terms(steps: list[int], as_json: bool) -> None:
    form = annotation_form(steps, as_json=as_json)
    assert ("JSON" in form.missing) == ("JSON" in form.last) == as_json
    assert ("<|action|>" in form.words) != as_json
