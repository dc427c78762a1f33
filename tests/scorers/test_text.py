"""Scoring text, and how the arguments of a scorer are read."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.schema import Trace, question_text
from me2sdk.scorers import RemoteTRMScorer, Scorer, TRMScorer
from me2sdk.scorers.base import read_inputs
from me2sdk.scorers.text import (
    answer_text,
    answer_texts,
    chat_messages,
    is_known_plain,
    prompt_text,
    read_scoring_text,
    scoring_parts,
    scoring_text,
    trace_text,
)

USER: dict[str, object] = {"role": "user", "content": "What is 1+1?"}


@pytest.mark.parametrize(
    "reasoning",
    [
        "It is 2.",
        "<think>It is 2.",
        "<think>\nIt is 2.\n</think>\n\n2",
        "\n <think>It is 2.</think>x</think>y",
        "It is 2.\n</think>2",
        "It is 2.\n\n",
    ],
)
def test_the_trace_is_cut_at_its_tags(reasoning: str) -> None:
    assert scoring_text("What is 1+1?", Trace(reasoning=reasoning)) == "What is 1+1?\nIt is 2."


def test_a_completion_and_its_bare_trace_read_the_same() -> None:
    whole = Trace.from_text("<think>\nIt is 2.\n</think>\nThe answer is 2.")
    assert scoring_text("Q", whole) == scoring_text("Q", Trace(reasoning="It is 2."))


def test_the_part_that_is_read() -> None:
    whole = Trace.from_text("<think>\n1 + 1 = 2.\n</think>\n\nIt is 2.\ud800 ")
    assert answer_text(whole) == answer_text(whole, "reasoning") == "1 + 1 = 2."
    assert answer_text(whole, "response") == "It is 2.\ufffd"
    assert answer_text(whole, "both") == "1 + 1 = 2.\n\nIt is 2.\ufffd"


@pytest.mark.parametrize("trace", [Trace.from_text("It is 2."), Trace(reasoning="It is 2.")])
def test_what_is_both_reasoning_and_response_or_only_one_of_them_is_read_once(trace: Trace) -> None:
    assert answer_text(trace, "both") == "It is 2."


def test_a_trace_without_the_part_that_is_read_is_named() -> None:
    traces = [Trace.from_text("It is 2."), Trace(reasoning="It is 2.", response=" ")]
    assert answer_texts(traces, "both") == ["It is 2."] * 2
    with pytest.raises(InvalidTraceError, match="Trace 1 has no response"):
        answer_texts(traces, "response")


def test_a_question_as_chat_keeps_its_turns() -> None:
    chat = [{"role": "system", "content": "Be short."}, {"role": "user", "content": [{"text": "1+1?\ud800"}]}]
    assert chat_messages(chat) == [chat[0], {"role": "user", "content": "1+1?\ufffd"}]
    assert chat_messages("1+1?") == [{"role": "user", "content": "1+1?"}]
    assert chat_messages(None) == [{"role": "user", "content": ""}]


def test_models_known_to_read_plain_text() -> None:
    assert all(
        map(is_known_plain, ("mini", "small", "zzzhr97/TRM-8B", "/models/trm-8b", "C:\\models\\TRM-8B"))
    )
    assert not any(
        map(is_known_plain, ("a/small", "Skywork/Skywork-Reward-V2-Qwen3-0.6B", "TRM-8B-chat", ""))
    )


def test_an_inner_opening_tag_stays() -> None:
    assert scoring_text("Q", Trace(reasoning="we write <think> here")) == "Q\nwe write <think> here"


@pytest.mark.parametrize("question", [None, "", "  \n", []])
def test_without_a_question_the_trace_stands_alone(question: object) -> None:
    assert scoring_text(question, Trace(reasoning="It is 2.")) == "It is 2."  # type: ignore[arg-type]


def test_messages_are_joined_and_other_parts_left_out() -> None:
    parts: list[object] = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text"},
    ]
    messages: list[dict[str, object]] = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": parts},
        USER,
    ]
    assert prompt_text(messages) == "Be short.\nLook:\nWhat is 1+1?"
    assert prompt_text([{"role": "assistant", "content": None}, USER]) == "What is 1+1?"


@pytest.mark.parametrize("question", [3, [3], [{"role": "user", "content": 3}], {"role": "user"}])
def test_other_questions_are_refused(question: object) -> None:
    with pytest.raises(ConfigurationError, match=r"question|content"):
        prompt_text(question)  # type: ignore[arg-type]


@given(st.text(), st.text(st.characters()))
def test_any_text_can_be_encoded_and_is_the_sum_of_its_parts(question: str, reasoning: str) -> None:
    text = scoring_text(question, Trace(reasoning=reasoning))
    text.encode()
    assert text == "".join(scoring_parts(question, Trace(reasoning=reasoning)))


def test_lone_surrogates_are_replaced() -> None:
    assert scoring_text("a\ud800", Trace(reasoning="b\udfff")) == "a\ufffd\nb\ufffd"


def test_one_question_for_all_or_one_a_trace() -> None:
    def asked(question: object, count: int = 2) -> list[object]:
        return [q for q, _ in read_inputs(question, ["a", "b"][:count])]  # type: ignore[arg-type]

    assert asked("Q") == ["Q", "Q"]
    assert asked([USER]) == [[USER], [USER]]
    assert asked([USER, USER], count=1) == [[USER, USER]]  # two messages are one question
    assert asked(["Q", [USER]]) == ["Q", [USER]]
    assert asked(("Q", None)) == ["Q", None]
    assert asked(None) == [None, None]


def test_a_trace_brings_its_own_question_where_none_is_given() -> None:
    own = Trace(reasoning="a", question="mine")
    assert [q for q, _ in read_inputs(None, [own, "b"])] == ["mine", None]
    assert [q for q, _ in read_inputs("given", [own, "b"])] == ["given", "given"]
    assert [q for q, _ in read_inputs([None, "given"], [own, "b"])] == ["mine", "given"]


@pytest.mark.parametrize("question", [["one"], ["one", "two", "three"], [], [[USER]]])
def test_the_number_of_questions_must_fit(question: list[object]) -> None:
    with pytest.raises(ConfigurationError, match=rf"{len(question)} questions for 2 traces"):
        read_inputs(question, ["a", "b"])  # type: ignore[arg-type]


@pytest.mark.parametrize("question", [[USER, "two"], [{"content": "no role"}], 3, [3, 4], {"role": "user"}])
def test_mixed_or_foreign_questions_are_refused(question: object) -> None:
    with pytest.raises(ConfigurationError):
        read_inputs(question, ["a", "b"])  # type: ignore[arg-type]


@pytest.mark.parametrize("traces", ["a trace", Trace(reasoning="a trace")])
def test_a_single_trace_is_not_taken_for_a_list(traces: object) -> None:
    with pytest.raises(ConfigurationError, match=r"\[trace\]"):
        read_inputs("Q", traces)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad", ["", " \n", Trace(reasoning=""), Trace(reasoning="</think>2", response="2"), None, 3]
)
def test_a_trace_without_reasoning_is_named(bad: object) -> None:
    with pytest.raises(InvalidTraceError, match="Trace 1 "):
        read_inputs("Q", ["fine", bad])  # type: ignore[list-item]


def test_text_is_read_as_a_completion() -> None:
    ((_, trace),) = read_inputs("Q", ["<think>because</think>2"])
    assert trace == Trace(reasoning="because", response="2")


def test_ours_are_scorers() -> None:
    assert isinstance(TRMScorer(), Scorer)
    assert isinstance(RemoteTRMScorer("http://localhost:1"), Scorer)
    assert not isinstance(object(), Scorer)


HOSTILE = st.lists(st.sampled_from(["\n", " ", "a", "<think>", "</think>", "\ud800", "é"]), max_size=12).map(
    "".join
)


@given(HOSTILE, HOSTILE)
def test_a_scoring_text_is_read_back(question: str, reasoning: str) -> None:
    trace = Trace(reasoning=reasoning)
    before, after = scoring_parts(question, trace)
    asked, read = read_scoring_text(before + after, len(before))
    assert scoring_parts(asked, read) == (before, after)
    assert trace_text(read) == trace_text(trace)


def test_without_an_offset_the_first_line_is_the_question() -> None:
    def split(text: str) -> tuple[str, str]:
        return scoring_parts(*read_scoring_text(text))

    assert split("Q\none\ntwo") == ("Q\n", "one\ntwo")
    assert split("one line") == ("", "one line")
    assert split("one line\n") == ("", "one line")
    assert split("Q\nsays </think>, no?\n<think>one\ntwo") == ("Q\nsays </think>, no?\n", "<think>one\ntwo")


@pytest.mark.parametrize("offset", [-1, 1, 3, 99])
def test_a_trace_begins_behind_a_line_break(offset: int) -> None:
    with pytest.raises(ConfigurationError, match="No trace begins"):
        read_scoring_text("Q\none", offset)


def test_judges_and_scorers_read_the_same_parts_of_a_message() -> None:
    parts = [
        {"type": "input_text", "text": "What is"},
        {"type": "image_url", "image_url": {}},
        {"text": "2 + 2?"},
    ]
    chat = [{"role": "system", "content": None}, {"role": "user", "content": parts}]
    assert prompt_text(chat) == question_text(chat) == "What is\n2 + 2?"
    for read in (prompt_text, question_text):
        with pytest.raises(ConfigurationError, match="content of a chat message"):
            read([{"role": "user", "content": 5}])
