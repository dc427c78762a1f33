from __future__ import annotations

import time

import pytest
from hypothesis import given, strategies as st

from me2sdk.annotate.answers import own_words, read_annotation, read_window


@pytest.mark.parametrize(
    ("text", "action", "parents"),
    [
        ("It goes on.\n<|action|>continue", "continue", ()),
        ("<|action|>backtrack\n<|previous|>3", "backtrack", (3,)),
        ("<|action|>merge\n<|previous|>3,5", "merge", (3, 5)),
        ("|action|: merge\n|previous|: s3, s5", "merge", (3, 5)),
        ("```\n<|action|> BACKTRACK\n<|previous|> [3]\n```", "backtrack", (3,)),
        ("**Action:** `merge`\n**Previous:** 1, 2 and 4", "merge", (1, 2, 4)),
        ("- Action: Continue.", "continue", ()),
        ("<|action|>\nbacktrack\n<|previous|>\nstep 7 (which has 2 unknowns)", "backtrack", (7,)),
        ("<|action|>merge\n<|previous|>3 5", "merge", (3, 5)),
        ("<|action|>merge <|previous|> (3), (5)", "merge", (3, 5)),
        ('<|action|>"backtrack"\n<|previous|>**s4**', "backtrack", (4,)),
        ("<action>backtrack</action>\n<previous>4</previous>", "backtrack", (4,)),
        ("<｜action｜>backtrack\n<｜previous｜>#4", "backtrack", (4,)),
        ("<|action|>merge\n<|parents|>[3; 5]", "merge", (3, 5)),
        ("<|action|>backtrack", "backtrack", ()),
        ("<|action|>backtrack\n<|previous|>K", "backtrack", ()),
        # The last one counts, with what follows it.
        (
            "<|action|>merge\n<|previous|>1,2\nNo, rather:\n<|action|>backtrack\n<|previous|>1",
            "backtrack",
            (1,),
        ),
        ("<|action|>merge\n<|previous|>1,2\nNo, rather:\n<|action|>continue", "continue", ()),
        # Without any marker, a last line that is nothing but an action.
        ("continue", "continue", ()),
        ("It goes on.\n\n**Continue.**", "continue", ()),
        ("continue...", "continue", ()),  # Qwen2.5-Coder-0.5B
        ("backtrack to step 3.", "backtrack", (3,)),
        ("It joins both.\nmerge 3, 5", "merge", (3, 5)),
        # A model that is held to a schema, and one that should be.
        ('{"explanation": "x", "action": "merge", "previous": [3, 5]}', "merge", (3, 5)),
        ('```json\n{"action": "Backtrack", "previous": "step 3"}\n```', "backtrack", (3,)),
        ('{"action": "continue", "previous": [4]}', "continue", ()),
        ('{"action": "backtrack", "previous": null}', "backtrack", ()),
        ('{"action": "backtrack", "previous": [{}, "x", -1, 2.5, 3]}', "backtrack", (3,)),
        ('{"explanation": "<|action|>merge", "action": "backtrack", "previous": ["s3"]}', "backtrack", (3,)),
    ],
)
def test_reads_every_form(text: str, action: str, parents: tuple[int, ...]) -> None:
    annotation = read_annotation(text)
    assert annotation is not None
    assert (annotation.action, annotation.parents) == (action, parents)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<|action|>continue, <|action|>backtrack, <|action|>merge.",
        "<|action|>continue\n\n<|action|>backtrack\n<|previous|>3\n\n<|action|>merge\n<|previous|>3,5",
        "continue, merge",
        "continue or backtrack",
        "continue\n\nI am sure.",
        "continued",
        "I would continue here, the action is clear.",
        "<|action|>continue|backtrack|merge",
        "<|action|>continued",
        "<|action|>continue, backtrack.",
        "<|action|>continue or merge",
        "<|action|>delete",
        "(action)merge",
        '{"action": "delete", "previous": [3]}',
        '{"action": ["merge"], "previous": [3]}',
        '{"previous": [3]}',
    ],
)
def test_does_not_guess(text: str) -> None:
    assert read_annotation(text) is None


def test_keeps_the_explanation() -> None:
    annotation = read_annotation("```text\nIt computes\n  the sum. \n\n<|action|>continue\n```")
    assert annotation is not None
    assert annotation.explanation == "It computes the sum."
    long = read_annotation("word " * 1000 + "the end\n<|action|>continue")
    assert long is not None
    assert long.explanation is not None
    assert long.explanation.startswith("…")
    assert long.explanation.endswith("the end")
    assert len(long.explanation) == 501
    bare = read_annotation("<|action|>continue")
    assert bare is not None
    assert bare.explanation is None


def test_reads_a_window() -> None:
    text = (
        "Let me go through them.\n<|step|>3\nIt goes on.\n<|action|>continue\n"
        "**<|step|> s4**\nAnother way.\n<|action|>backtrack\n<|previous|>1\n"
        "|step|: 5\n<|action|>merge\n<|previous|>1,3\n<|step|>6\nnot sure\n"
        "<|step|>3\n<|action|>backtrack\n<|previous|>0"
    )
    found = read_window(text)
    assert {number: (one.action, tuple(one.parents)) for number, one in found.items()} == {
        3: ("backtrack", (0,)),  # said again at the end
        4: ("backtrack", (1,)),
        5: ("merge", (1, 3)),
    }
    assert found[4].explanation == "Another way."
    assert read_window("<|action|>continue") == {}


def test_reads_the_lines_of_a_form_that_were_filled_in() -> None:
    found = read_window(
        "<|step|>2 … continue\n<|step|>3 … backtrack 1\n<|step|>4 … <|action|>…merge <|previous|>1,3"
    )
    assert {number: (one.action, tuple(one.parents)) for number, one in found.items()} == {
        2: ("continue", ()),
        3: ("backtrack", (1,)),
        4: ("merge", (1, 3)),
    }
    assert found[2].explanation is None
    assert read_window("<|step|>2 … <|action|>…\n<|step|>3 … <|action|>…") == {}


def test_thoughts_are_no_words() -> None:
    thought = "<|action|>merge\n<|previous|>1,2"
    assert own_words({"content": f"<think>{thought}</think>\n<|action|>continue"}) == "<|action|>continue"
    assert own_words({"content": f"{thought}</think><|action|>continue"}) == "<|action|>continue"
    assert own_words({"content": f"<think>{thought}"}) == ""
    assert own_words({"content": "<|action|>continue", "reasoning_content": thought}) == "<|action|>continue"
    assert own_words({"content": None, "reasoning_content": thought}) == ""
    assert own_words({"content": ""}) == ""
    assert own_words({"content": None}) == ""


def test_half_an_id_is_none() -> None:
    cut = own_words({"content": "Why.\n<|action|>backtrack\n<|previous|>1"}, "length")  # of 12, perhaps
    assert cut == "Why.\n<|action|>backtrack"
    whole = own_words({"content": "Why.\n<|action|>continue\nAnd then"}, "length")
    assert read_annotation(whole) == ("continue", (), "Why.")


_PIECES = [
    "<|action|>",
    "<|previous|>",
    "<|step|>",
    "merge",
    "continue",
    "1",
    ",",
    " ",
    "\n",
    "s",
    "|",
    "<",
    "*",
    "é",
]


@given(st.lists(st.sampled_from(_PIECES), max_size=60).map("".join))
def test_reads_any_text(text: str) -> None:
    annotation = read_annotation(text)
    assert annotation is None or annotation.action in ("continue", "backtrack", "merge")
    for number, one in read_window(text).items():
        assert number >= 0
        assert one.action in ("continue", "backtrack", "merge")


@pytest.mark.parametrize(
    "unit", ["<|action|>", "|", " ", "\n", "* ", "<|step|>1", "<|action|>merge\n", "<", "action", "1,"]
)
def test_time_is_linear(unit: str) -> None:
    text = "<|action|>merge<|previous|>" + unit * (400_000 // len(unit))
    started = time.perf_counter()
    read_annotation(text)
    read_window(text)
    assert time.perf_counter() - started < 5.0


def test_a_window_in_json() -> None:
    found = read_window(
        '{"steps": [{"step": 6, "action": "continue", "previous": []}, {"step": "s7", "explanation": "Why.", '
        '"action": "merge", "previous": [3, 6]}, {"step": 8, "action": "jump"}, {"action": "continue"}, 9]}'
    )
    assert found == {6: ("continue", (), None), 7: ("merge", (3, 6), "Why.")}


@pytest.mark.parametrize("text", ['{"steps": {}}', '{"steps": "all"}', '{"steps": []}', '{"other": []}'])
def test_a_window_in_json_that_names_no_step(text: str) -> None:
    assert read_window(text) == {}
