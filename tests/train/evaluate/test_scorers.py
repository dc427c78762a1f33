from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from me2sdk import ConfigurationError, Trace
from me2sdk.schema import Scores
from me2sdk.scorers import LengthScorer, RandomScorer, open_scorer
from me2sdk.train import Progress
from me2sdk.train.evaluate.journal import Journal
from me2sdk.train.evaluate.scorers import ScoringItem, run_scorer, scorer_settings


class Counting:
    """Scores by length, fails on traces with "bad", and remembers how it was asked."""

    name = "counting"
    version = "1"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def score(self, question: Any, traces: Sequence[Trace | str]) -> list[float]:
        assert isinstance(question, list)
        assert len(question) == len(traces)
        self.calls.append(len(traces))
        texts = [trace.reasoning for trace in traces if isinstance(trace, Trace)]
        if any("bad" in text for text in texts):
            raise RuntimeError("I cannot read this")
        return [math.nan if "nan" in text else float(len(text)) for text in texts]


def item(*texts: str, question: str = "q") -> ScoringItem:
    return ScoringItem(question, [Trace(reasoning=text) for text in texts])


async def test_many_traces_a_call_in_order() -> None:
    scorer = Counting()
    items = [item("x" * number, "y") for number in range(1, 101)]
    told: list[Progress] = []
    run = await run_scorer("s", scorer, items, Journal(None), told.append)
    assert scorer.calls == [64, 64, 64, 8]
    assert [one.scores for one in run.items] == [[float(number), 1.0] for number in range(1, 101)]
    assert [one[:3] for one in told] == [("s", 32, 100), ("s", 64, 100), ("s", 96, 100), ("s", 100, 100)]
    assert not run.failures


async def test_an_item_with_many_traces_is_one_call() -> None:
    scorer = Counting()
    await run_scorer("s", scorer, [item(*"abc" * 30), item("x"), item("y")], Journal(None))
    assert scorer.calls == [90, 2]


@pytest.mark.parametrize("word", ["bad", "nan"])
async def test_one_bad_trace_costs_no_other(word: str) -> None:
    items = [item("a", "bb"), item(word, "dddd"), item("eeeee", "f")]
    run = await run_scorer("s", Counting(), items, Journal(None))
    assert [one.scores for one in run.items] == [[1.0, 2.0], [None, 4.0], [5.0, 1.0]]
    assert [(one.by, one.item, one.trace) for one in run.failures] == [("s", 1, 0)]
    assert ("I cannot read this" if word == "bad" else "one finite score") in run.failures[0].message


async def test_too_few_scores_fail() -> None:
    class Short:
        def score(self, question: Any, traces: Any) -> list[float]:
            return [1.0]

    run = await run_scorer("s", Short(), [item("a", "b")], Journal(None))
    assert run.items[0].scores == [1.0, 1.0]  # one by one it can
    assert not run.failures


async def test_finished_items_are_not_scored_again(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    items = [item("a", "b"), item("bad", "c"), item("dd", "e")]
    with Journal(path) as journal:
        first = await run_scorer("s", Counting(), items, journal)
    scorer = Counting()
    with Journal(path) as journal:
        again = await run_scorer("s", scorer, [*items, item("new")], journal)
    assert scorer.calls == [3, 2, 1, 1, 1]  # the failed item is tried again, with the new one
    assert [one.scores for one in again.items] == [*(one.scores for one in first.items), [3.0]]
    scorer.version = "2"
    with Journal(path) as journal, pytest.raises(ConfigurationError, match=r"version: '1' -> '2'"):
        await run_scorer("s", scorer, items, journal)


async def test_the_same_item_twice_is_scored_once() -> None:
    scorer = Counting()
    run = await run_scorer("s", scorer, [item("a"), item("bad"), item("a"), item("bad")], Journal(None))
    assert scorer.calls == [2, 1, 1]
    assert [one.scores for one in run.items] == [[1.0], [None], [1.0], [None]]
    assert [one.item for one in run.failures] == [1, 3]


async def test_what_was_left_out_is_told() -> None:
    class Cutting:
        async def ascore(self, question: Any, traces: Any) -> Scores:
            return Scores([1.0] * len(traces), [len(trace.reasoning) for trace in traces])

        def score(self, question: Any, traces: Any) -> list[float]:
            raise NotImplementedError

    run = await run_scorer("s", Cutting(), [item("a", "bb")], Journal(None))
    assert run.items[0].truncated == [1, 2]


async def test_a_scorer_that_cannot_work_at_all_raises() -> None:
    class Absent(Counting):
        def load(self) -> None:
            raise ConfigurationError("There is no such model")

    with pytest.raises(ConfigurationError, match="no such model"):
        await run_scorer("s", Absent(), [item("a")], Journal(None))

    class Unfit:
        def score(self, question: Any, traces: Any) -> list[float]:
            raise ConfigurationError("I need a key")

    with pytest.raises(ConfigurationError, match="I need a key"):
        await run_scorer("s", Unfit(), [item("a"), item("b")], Journal(None))


async def test_a_scorer_that_is_down_is_given_up() -> None:
    class Down:
        calls = 0

        def score(self, question: Any, traces: Any) -> list[float]:
            self.calls += 1
            raise OSError("no route")

    scorer = Down()
    run = await run_scorer("s", scorer, [item("a", "b", question=str(n)) for n in range(100)], Journal(None))
    assert len(run.failures) == 200
    assert scorer.calls <= 16 + 8 + 1  # traces, pairs and the batch
    assert [one.error for one in run.failures[:17]] == ["OSError"] * 16 + ["ScoringError"]
    assert "Not tried" in run.failures[-1].message


async def test_traces_that_cannot_be_read_are_not_held_against_the_scorer() -> None:
    items = [*(item("", question=str(number)) for number in range(30)), item("a")]
    run = await run_scorer("s", LengthScorer("longest"), items, Journal(None))
    assert [one.scores for one in run.items] == [[None]] * 30 + [[1.0]]
    assert {one.error for one in run.failures} == {"InvalidTraceError"}


def test_baselines() -> None:
    traces = ["one", "one and two", "three"]
    assert LengthScorer("shortest").score("q", traces) == [-3, -11, -5]
    assert LengthScorer("longest").score("q", traces) == [3, 11, 5]
    drawn = RandomScorer().score("q", traces * 2)
    assert drawn[:3] == drawn[3:]
    assert len(set(drawn)) == 3
    assert RandomScorer().score("other", traces) != drawn[:3]
    assert RandomScorer(seed=1).score("q", traces) != drawn[:3]
    many = RandomScorer().score("q", [f"t{number}" for number in range(2000)])
    assert all(0 <= value < 1 for value in many)
    assert sum(many) / 2000 == pytest.approx(0.5, abs=0.02)


def test_settings_say_what_results_depend_on() -> None:
    assert scorer_settings(open_scorer("mini"))["version"]
    assert scorer_settings(open_scorer("longest")) == {"scorer": "LengthScorer", "name": "longest"}
    settings = {"scorer": "TRMScorer", "name": "small (nf4)", "quantization": "nf4", "max_tokens": 9}
    model = open_scorer("small", quantization="nf4", max_tokens=9)
    assert settings.items() <= scorer_settings(model).items()


async def test_a_joint_scorer_sees_the_traces_of_one_item_at_a_time() -> None:
    class Joint:
        joint = True

        def __init__(self) -> None:
            self.calls: list[int] = []

        def score(self, question: Any, traces: Sequence[Any]) -> list[float]:
            self.calls.append(len(traces))
            return [float(len(traces))] * len(traces)

    scorer = Joint()
    items = [ScoringItem("q", [Trace(reasoning=f"{a} {b}") for b in range(2)]) for a in range(3)]
    run = await run_scorer("s", scorer, items, Journal(None))
    assert scorer.calls == [2, 2, 2]
    assert [one.scores for one in run.items] == [[2.0, 2.0]] * 3
