from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from recipes import modern
from recipes.modern import read_set, subsets


class Counting:
    """Scores by length, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def score(self, question: Any, traces: Any) -> list[float]:
        self.asked += 1
        return [float(len(trace.reasoning)) for trace in traces]


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    file = folder / "modern" / f"{name}.jsonl.gz"
    file.parent.mkdir(exist_ok=True)
    with gzip.open(file, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


def row(question: str, *texts: str) -> dict[str, Any]:
    said = [{"text": text, "correct": "4" in text, "model": f"m{i}"} for i, text in enumerate(texts)]
    return {"question": question, "candidates": said, "source": "made up"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(modern, "SETS", {"sums": "sums"})
    rows = [row("2 + 2?", "The answer is 4.", "So #### 4", "Perhaps.", " "), row("1 + 3?", "It is 4.")]
    write(tmp_path, "sums", rows)
    return tmp_path


def test_answers_groups_and_rewards_are_read(data: Path) -> None:
    (question,) = read_set(data, "sums", Counting())  # the other question has one candidate
    assert [one.answer for one in question.candidates] == ["4", "4", None]  # an empty candidate is left out
    assert question.groups == (0, 0, None)
    assert question.correct == (1.0, 1.0, 0.0)
    assert [one.score for one in question.candidates] == [16.0, 9.0, 8.0]
    assert question.models == ("m0", "m1", "m2")


def test_what_took_long_is_kept(data: Path) -> None:
    scorer = Counting()
    first = read_set(data, "sums", scorer, cache=data / "kept")
    assert read_set(data, "sums", scorer, cache=data / "kept") == first
    assert scorer.asked == 1


class Rank:
    """Scores by the place among the traces that are scored together."""

    joint = True
    name, version = "rank", "1"

    def score(self, question: Any, traces: Any) -> list[float]:
        return [float(place) for place, _ in enumerate(traces)]


def test_rewards_are_kept_by_scorer(data: Path) -> None:
    read_set(data, "sums", Counting(), cache=data / "kept")
    (question,) = read_set(data, "sums", Rank(), cache=data / "kept")
    assert [one.score for one in question.candidates] == [0.0, 1.0, 2.0]


def test_a_joint_scorer_scores_a_part_anew(data: Path) -> None:
    (question,) = read_set(data, "sums", Rank())
    part = question.part([0, 2])
    assert [one.score for one in part.candidates] == [0.0, 1.0]
    assert [one.score for one in part.part([1]).candidates] == [0.0]
    assert part.part([1]).candidates[0].index == 2
    (question,) = read_set(data, "sums", Counting())
    assert [one.score for one in question.part([0, 2]).candidates] == [16.0, 8.0]


def test_lines_of_single_traces_are_joined_by_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modern, "FREE_TEXT", {"free": "free"})
    rows = [
        {"question": q, "text": t, "label": s, "model": "m"}
        for q, t, s in [("a", "x", 0.2), ("b", "y", 1), ("a", "z", 1)]
    ]
    write(tmp_path, "free", rows + [{"question": "b", "text": "w", "label": 0, "model": "m"}])
    found = modern.read_free_text(tmp_path, "free", Counting())
    assert [(one.question, one.correct) for one in found] == [("a", (0.2, 1.0)), ("b", (1.0, 0.0))]


def test_subsets_are_the_whole_and_draws_that_do_not_change(data: Path) -> None:
    (question,) = read_set(data, "sums", Counting())
    drawn = list(subsets(question, (2, 3, 8), repeats=2, seed=1))
    assert [size for size, _ in drawn] == [3, 2, 2]
    assert drawn == list(subsets(question, (2, 3, 8), repeats=2, seed=1))
    assert all(len(part.candidates) == len(part.groups) == size for size, part in drawn)
