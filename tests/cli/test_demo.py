from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from me2sdk import Candidate, Trace
from me2sdk.cli import demo
from me2sdk.cli.demo import LAST_NUMBER, METHODS, SETS, word_problems
from me2sdk.sampling import answer_reader

Me2 = Callable[..., Any]


@pytest.fixture(scope="module")
def summaries() -> dict[str, dict[str, Any]]:
    return {name: demo.bundled(name, show=0, quiet=True) for name in SETS}


def test_every_set_is_told_in_every_way(summaries: dict[str, dict[str, Any]]) -> None:
    assert {name: one["questions"] for name, one in summaries.items()} == {
        "math500": 60,
        "math_l5": 80,
        "reasoning_gym": 60,
        "gsm8k": 660,
        "champ": 40,
    }
    for summary in summaries.values():
        accuracy = summary["accuracy"]
        assert tuple(accuracy) == METHODS
        best = accuracy.pop("best possible")
        assert all(0 < value < best for value in accuracy.values())


def test_what_the_help_says_of_the_sets_is_so(summaries: dict[str, dict[str, Any]]) -> None:
    for name in ("math500", "math_l5", "reasoning_gym"):
        accuracy = summaries[name]["accuracy"]
        assert min(accuracy["majority vote"], accuracy["auto"]) > accuracy["mini (best reward)"]
    assert abs(too_sure(summaries, "math500", "math_l5", "reasoning_gym")) < 0.05
    assert too_sure(summaries, "gsm8k") > 0.03
    assert too_sure(summaries, "champ") > 0.03


def too_sure(summaries: dict[str, dict[str, Any]], *names: str) -> float:
    """By how much the mean confidence is above the accuracy."""
    stated = [summaries[name]["confidence"] for name in names]
    questions = sum(one["questions"] for one in stated)
    return sum(one["questions"] * (one["mean"] - one["right"]) for one in stated) / questions


def test_confidence_stands_beside_the_accuracy_of_the_same_questions(
    summaries: dict[str, dict[str, Any]],
) -> None:
    for summary in summaries.values():
        stated = summary["confidence"]
        assert 0.9 * summary["questions"] < stated["questions"] <= summary["questions"]
        assert 0 < stated["mean"] < 1
    whole = summaries["gsm8k"]
    assert whole["confidence"]["right"] == whole["accuracy"]["auto"]


def test_each_way_is_told_from_one_scored_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    from me2sdk import verify
    from me2sdk.scorers.mini import MiniScorer

    scored, compared = [], []
    score, group = MiniScorer.score, verify.group_answers
    monkeypatch.setattr(MiniScorer, "score", lambda *given: scored.append(given[1]) or score(*given))
    monkeypatch.setattr(verify, "group_answers", lambda given: compared.append(given) or group(given))
    assert demo.bundled("math_l5", show=0, quiet=True)["questions"] == len(scored) == len(compared) == 80


def test_ways_that_differ_are_counted_apart() -> None:
    said = [("The answer is 5.", 0.0), ("The answer is 4.", 1.0), ("So it is 4, the answer is 4.", 0.5)]
    candidates = [
        Candidate(index=index, trace=Trace.from_text(text), score=score)
        for index, (text, score) in enumerate([*said, ("It is long, and the answer is 6.", 9.0)])
    ]
    correct = [False, True, True, False]
    chosen = demo.Chosen(demo._decisions(candidates), correct)
    accuracy = demo._summary("Set: of one question", [chosen])["accuracy"]
    assert accuracy == {
        "random sample": 0.5,
        "shortest": 0.0,
        "majority vote": 1.0,
        "mini (best reward)": 0.0,
        "mini (weighted vote)": 1.0,
        "auto": 1.0,
        "best possible": 1.0,
    }


def test_demo_prints_what_one_sees_a_question_of_each_set_and_the_table(
    me2: Me2, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "SETS", {name: SETS[name] for name in ("math_l5", "champ")})
    done = me2("demo")
    assert done.code == 0
    assert len(done.out.split("\n\n")[0].splitlines()) == 2
    assert done.out.count("rank") == 2
    for title in demo.SETS.values():
        assert title in done.out
    rows = {
        cells[0]: cells[1:]
        for line in done.out[done.out.index("Questions answered right") :].splitlines()
        if (cells := [cell.strip() for cell in re.split("[│┃]", line)[1:-1]])
    }
    assert rows["choose"] == ["MATH level 5", "CHAMP"]
    assert rows["questions"] == ["80", "40"]
    assert {*METHODS, "auto is sure of", "and is right in"} < rows.keys()
    assert "(79 more questions; --show -1 prints them all)" in done.out


def test_demo_json_is_json_alone(me2: Me2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SETS", {"math_l5": SETS["math_l5"]})
    done = me2("demo", "--json")
    report = json.loads(done.out)
    (summary,) = report["sets"]
    assert summary["set"] == SETS["math_l5"]
    assert 0 < report["seconds"] < 60


def test_word_problems_are_reproducible() -> None:
    assert word_problems(5, seed=1) == word_problems(5, seed=1)
    for question, answer in word_problems(50, seed=2):
        numbers = [int(word.strip(".")) for word in question.split() if word.strip(".").isdigit()]
        assert answer == (sum(numbers) if "more" in question else numbers[0] - numbers[1])


@pytest.mark.parametrize(
    ("text", "answer"),
    [("4 + 2 = 6 apples.", "6"), ("So 7", "7"), ("It is 2.5", None), ("She has none.", None)],
)
def test_the_last_whole_number_is_the_answer_of_a_model_that_marks_none(
    text: str, answer: str | None
) -> None:
    assert answer_reader(LAST_NUMBER).read(Trace.from_text(text), None) == answer
