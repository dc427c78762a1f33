from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from recipes.branches import detours, merges, walks

LINES = [
    "Tom has 2*3 = <<2*3=6>>6 red balls.",
    "He has 4*5 = <<4*5=20>>20 blue balls.",
    "Together he has 6+20 = <<6+20=26>>26 balls.",
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    first = ["4 + 5 = 9 (left: 6 9 10)\n", "5 + 6 = 11 (left: 4 10 11)\n"]
    second = [first[0] + "6 + 9 = 15 (left: 10 15)\n", first[0] + "10 - 9 = 1 (left: 1 6)\n"]
    levels = [
        {"x": "4 5 6 10", "new_ys": first},
        {"x": "4 5 6 10", "new_ys": second},
        {"x": "4 5 6 10", "new_ys": []},
    ]
    (tmp_path / "game24").mkdir()
    (tmp_path / "game24" / "search_trees.json").write_text(json.dumps([{"steps": levels}]))
    (tmp_path / "gsm8k").mkdir()
    row = {"question": "How many balls?", "answer": "\n".join([*LINES, "#### 26"])}
    (tmp_path / "gsm8k" / "train.jsonl").write_text(json.dumps(row) + "\n")
    return tmp_path


def test_a_walk_returns_to_where_the_next_proposal_branches_off(data: Path) -> None:
    (trace,) = walks(data)
    computed = [re.search(r"\d+ . \d+ = \d+", step.text) for step in trace.steps]
    assert [found[0] for found in computed if found] == [
        "4 + 5 = 9",
        "6 + 9 = 15",
        "10 - 9 = 1",
        "5 + 6 = 11",
    ]
    backtracks = [
        (trace.steps[node].text, parents)
        for node, (action, parents) in enumerate(zip(trace.actions, trace.parents, strict=True))
        if action == "backtrack"
    ]
    assert [parents for _, parents in backtracks] == [(1,), (0,)]
    assert "10 - 9 = 1" in backtracks[0][0]


def test_a_detour_is_given_up_for_the_line_that_it_stands_before(data: Path) -> None:
    (trace,) = detours(data, most=5)
    (turn,) = [node for node, action in enumerate(trace.actions) if action == "backtrack"]
    returned = trace.parents[turn][0]
    assert returned < turn - 2  # a wrong line and what says that it is wrong lie between
    said = [step.text for step in (*trace.steps[: returned + 1], *trace.steps[turn:])]
    assert len(said) == 1 + len(LINES)
    assert not any("<<" in text for text in said)


def test_two_lines_that_do_not_rest_on_each_other_are_merged(data: Path) -> None:
    (trace,) = merges(data, most=5)
    assert trace.actions == ("root", "continue", "backtrack", "merge")
    assert trace.parents == ((), (0,), (0,), (1, 2))


def test_traces_are_the_same_each_time(data: Path) -> None:
    assert list(walks(data)) == list(walks(data))
    assert list(detours(data, most=1)) == list(detours(data, most=1))
