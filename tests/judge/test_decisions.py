from __future__ import annotations

import time
from typing import Any

import pytest

from me2sdk.judge.decisions import read_decision, settled, tally
from me2sdk.schema import Vote


def decision(content: str | None, finish_reason: str | None = "stop", **fields: Any) -> str | None:
    return read_decision({"role": "assistant", "content": content, **fields}, finish_reason).choice


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Tight.\n<|decision|>Trace 1", "1"),
        ("<|decision|> Trace 2.", "2"),
        ("<|decision|>\n\n**Trace 2**", "2"),
        ("<|decision|>Tie", "tie"),
        ("|decision|: trace 1", "1"),
        ("<｜decision｜>Trace 2", "2"),
        ("<|Decision|>trace_1_", "1"),
        ("<|decision|>2", "2"),
        ("<|decision|>Trace 1<|im_end|>", "1"),
        ("<|decision|>Trace 1, since Trace 2 rambles.", "1"),
        ("<|decision|>Trace 2 (narrowly)", "2"),
        ("<|decision|>Trace 1 is better", "1"),
        ("Good.\n\n**Trace 1**", "1"),
        ("Good.\n\n`Trace 2`.\n", "2"),
        ("\\boxed{\\text{Trace 2}}", "2"),
        ("Decision: trace_1", "1"),
        ("**Final decision:** Trace two.", "2"),
        ("The decision is Trace 2", "2"),
        ("- Decision = tie", "tie"),
        ("<decision>Trace 1</decision>", "1"),
        ("```\nfine\n<|decision|>Trace 2\n```", "2"),
        ('{"rationale": "x",\n "decision": "Trace 2"}', "2"),
        ('{"decision": "Trace 1", "rationale": "Trace 2 rambles"}', "1"),
        ('{"assessment": "Trace 2 says \\"decision\\": \\"Trace 2\\"", "decision": "Trace 1"}', "1"),
        ('```json\n{"assessment": "x", "decision": "Tie"}\n```', "tie"),
        ('So:\n\n{"assessment": "by \\(x\\)", "decision": "trace 2."}', "2"),
        ('{"assessment": "x", "decision": "1"}', "1"),
        ("Both are clear.\n\nTherefore, the decision is: Trace 1", "1"),
        ("Trace 1 repeats itself.\nSo my final decision: Trace 2.", "2"),
        ("It checks its result. Therefore, Trace 1 is more efficient in terms of structure.", "1"),
        ("It checks.\n\nTherefore, Trace 2 is the more effective trace compared to Trace 1.", "2"),
        ("It repeats itself. So, the decision is Trace 2.", "2"),
        ("Therefore, both traces are equally efficient in terms of the work they do.", "tie"),
        ("It is <|decision|>Trace 1, I say it again: <|decision|>Trace 1", "1"),
    ],
)
def test_decisions_in_the_forms_that_models_write(said: str, expected: str) -> None:
    assert decision(said) == expected


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Trace 1 is better in every way, I think.",
        "<|decision|>",
        "<|decision|>Trace 1 or Trace 2",
        "<|decision|>1/2",
        "<|decision|>Trace 1, 2",
        "<|decision|>Trace 12",
        "<|decision|>Trace 3",
        "<|decision|>2 steps are wrong",
        "<|decision|>Not Trace 1",
        "<|decision|>Neither",
        "<|decision|>Trace 1 is weaker",
        "<|decision|>Tiebreak: Trace 1",
        "<|decision|>Tie-break: Trace 1",
        "<|decision|>Trace 1\n<|decision|>Trace 2\n<|decision|>Tie",
        "Good <|decision|>Trace 1 at first.\n<|decision|>unsure",
        "The decision Trace 1 makes is bold.",
        "Verdict: Trace 2 is weaker",
        "<|decision|>Trace 1, <|decision|>Trace 2 or <|decision|>Tie",
        "I end with a line that starts with <|decision|>, as in <|decision|>Tie",
        "<|decision|>Trace 1 at first, later <|decision|>Trace 2",
        "Therefore, Trace 1 is less efficient in terms of structure compared to Trace 2.",
        "Therefore, Trace 1 is more efficient, but Trace 2 is clearer.",
        "Therefore, Trace 1 is more or less the same.",
        "Therefore, Trace 1 is more efficient. Still, it is wrong.",
        'It says "Therefore, Trace 1 is better."',
        "Therefore, the decision is Trace 1, Trace 2 or Tie.",
        "It is plain. Therefore, the decision is Trace 1 or Trace 2.",
        "Trace 1 is more efficient.",
        '{"assessment": "x", "decision": "both"}',
        '{"assessment": "x", "decision": "Trace 1 or Trace 2"}',
        '{"assessment": "it ends <|decision|>Trace 1", "decision": "unsure"}',
        '{"assessment": "Trace 1 is tighter."}',
    ],
)
def test_what_is_unclear_is_not_read(said: str) -> None:
    reading = read_decision({"role": "assistant", "content": said})
    assert reading.choice is None
    assert reading.problem


def test_the_last_word_counts() -> None:
    assert decision("<|decision|>Trace 1\nNo, on reflection:\n<|decision|>Trace 2") == "2"
    assert decision("<|decision|>Trace 1\n\nThe trace says\nDecision: Trace 2\n") == "1"  # a quotation


def test_thinking_is_not_the_answer() -> None:
    assert decision("<think>So <|decision|>Trace 1</think>It is even.\n<|decision|>Tie") == "tie"
    assert decision("<think>So <|decision|>Trace 1</think>It is hard to say.") is None
    assert decision("<think>So <|decision|>Trace 1", "length") is None
    assert (
        decision("<think>So <|decision|>Trace 1", "stop") == "1"
    )  # it came to its end there: that is the answer
    assert decision("<|decision|>Trace 2", reasoning_content="<|decision|>Trace 1") == "2"
    assert decision(None, "length", reasoning_content="<|decision|>Trace 1") is None
    assert (
        decision(None, reasoning_content="<|decision|>Trace 1") == "1"
    )  # it finished, and this is all there is


def test_the_problem_tells_what_went_wrong() -> None:
    assert "cut off" in read_decision({"role": "assistant", "content": "Trace 1 is"}, "length").problem
    assert "cut off" in read_decision({"role": "assistant", "content": "<think>Trace 1 is"}).problem
    assert "empty" in read_decision({"role": "assistant", "content": ""}).problem


@pytest.mark.parametrize(
    ("said", "rationale"),
    [
        ("Trace 1 is tight.\n\n**<|decision|>Trace 1**", "Trace 1 is tight."),
        ("Decision: Trace 1\n\nTrace 2 rambles.", "Trace 2 rambles"),
        ("<|decision|>Tie", ""),
    ],
)
def test_the_rationale_is_what_stands_beside_the_decision(said: str, rationale: str) -> None:
    assert read_decision({"role": "assistant", "content": said}).rationale == rationale


@pytest.mark.parametrize(
    "unit", ["a", " ", "\n", "*", "trace ", "decision", "<|decision|>", "decision:\n", "\\a{", "<|", "_"]
)
def test_reading_takes_time_that_grows_with_the_text_alone(unit: str) -> None:
    content = unit * (500_000 // len(unit))
    started = time.process_time()
    assert decision("x" + content + "y") is None
    assert time.process_time() - started < 5.0


def votes(*decisions: str) -> list[Vote]:
    """Votes in alternating order; "-" stands for a failed one."""
    return [
        Vote(
            subject="aggregate",
            order="ba" if place % 2 else "ab",
            repeat=place // 2,
            decision="failed" if choice == "-" else choice,
            rationale=f"{choice}{place}",
        )
        for place, choice in enumerate(decisions)
    ]


@pytest.mark.parametrize(
    ("decisions", "preference", "agreement", "consistent", "can_change"),
    [
        ("aaaaaa", "a", 1.0, True, True),
        ("bb", "b", 1.0, True, True),
        ("aaaaab", "tie", 5 / 6, False, False),
        ("aaaaat", "tie", 5 / 6, False, False),
        ("tttttt", "tie", 1.0, True, False),
        ("ababab", "tie", 0.5, False, False),
        ("aa-a--", "a", 1.0, True, True),
        ("a-a-a-", "failed", 1.0, True, True),
        ("t-t-t-", "tie", 1.0, True, False),
        ("------", "failed", 0.0, False, True),
        ("", "failed", 0.0, False, True),
    ],
)
def test_a_label_needs_all_votes(
    decisions: str, preference: str, agreement: float, consistent: bool, can_change: bool
) -> None:
    cast = votes(*("tie" if letter == "t" else letter for letter in decisions))
    label = tally(cast)
    assert (label.preference, label.consistent) == (preference, consistent)
    assert label.agreement == pytest.approx(agreement)
    assert settled(cast) is not can_change


def test_the_reasons_of_both_sides_are_kept() -> None:
    assert tally(votes("a", "a")).rationale == "a0"
    assert tally(votes("b", "tie", "a", "b")).rationale == "For A: a2\n\nFor B: b0\n\nFor a tie: tie1"
