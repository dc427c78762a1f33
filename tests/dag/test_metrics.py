from __future__ import annotations

import time

import pytest
from hypothesis import given
from support.sample_dags import DAGS, dag, long_dag

from me2sdk.dag import DAGMetrics, ReasoningDAG
from me2sdk.dag.metrics import metrics, restatements


def test_metrics_of_a_small_dag() -> None:
    made = dag(
        "aaaa",
        "bbbb",
        ("cccc", "backtrack", 0),
        "dddd",
        ("eeee", "backtrack", 2),
        ("ffff", "merge", 3, 4),
    )
    assert metrics(made) == DAGMetrics(
        steps=6,
        branches=2,
        merges=1,
        leaves=2,
        depth=3,
        linearity=3 / 5,
        backtrack_rate=2 / 5,
        off_path_share=1 - 30 / 36,
        restatement_rate=0.0,
    )
    assert metrics(made, "bbbb, so the answer").off_path_share == pytest.approx(1 / 6)


def test_metrics_of_a_line_and_of_one_step() -> None:
    line = metrics(dag("a", "b", "c"))
    assert (line.linearity, line.depth, line.backtrack_rate, line.off_path_share) == (1.0, 2, 0.0, 0.0)
    single = metrics(dag("a"))
    assert (single.steps, single.linearity, single.depth, single.leaves) == (1, 1.0, 0, 1)


@given(DAGS)
def test_collapsing_changes_no_figure_but_restatement(grown: ReasoningDAG) -> None:
    drop = {"restatement_rate"}
    assert metrics(grown).model_dump(exclude=drop) == metrics(grown.collapse()).model_dump(exclude=drop)


@given(DAGS)
def test_figures_are_in_range_and_load_back(grown: ReasoningDAG) -> None:
    figures = metrics(grown)
    for name in ("linearity", "backtrack_rate", "off_path_share", "restatement_rate"):
        assert 0 <= getattr(figures, name) <= 1
    assert DAGMetrics.model_validate_json(figures.model_dump_json()) == figures


FIRST = "So the farm sells 16 eggs a day and keeps three of them for breakfast."


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        (FIRST, True),
        (FIRST.upper() + "  ", True),
        ("Right: so the farm sells 16 eggs a day and keeps three of them for breakfast.", True),
        (FIRST.replace("16", "18"), False),  # another number is another step
        ("The farm buys hens at the market, which it keeps for a year.", False),
        ("So the farm sells", False),  # too short to tell
    ],
)
def test_restatements(text: str, repeats: bool) -> None:
    assert restatements([FIRST, "Then 16 - 3 = 13.", text]) == [False, False, repeats]


def test_a_step_that_was_repeated_before_is_found_again() -> None:
    half = " ".join(FIRST.split()[:8]) + " as I said."
    assert restatements([half, FIRST, half, FIRST]) == [False, False, True, True]


def test_time_is_linear_in_the_trace() -> None:
    def seconds(count: int) -> float:
        made = long_dag(count)
        began = time.perf_counter()
        metrics(made)
        return time.perf_counter() - began

    seconds(100)
    # The fastest of three, since other work shares the cores.
    long, short = (min(seconds(count) for _ in range(3)) for count in (2000, 500))
    assert long < 10 * max(short, 0.02)


@pytest.mark.parametrize("piece", ["a", "a ", "7 ", "\n"])
def test_a_megabyte_of_one_thing(piece: str) -> None:
    text = piece * (400_000 // len(piece))
    began = time.perf_counter()
    metrics(dag(text, text, (text, "backtrack", 0)))
    assert time.perf_counter() - began < 5
