from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply, Request
from support.judge_doubles import prefers

from me2sdk import LLM, Budget, ConfigurationError, Trace
from me2sdk.scorers import LengthScorer, RandomScorer
from me2sdk.testing import FakeModel
from me2sdk.train import PairJudge, PairsReport, Preference, aevaluate_pairs, evaluate_pairs
from me2sdk.train.evaluate import judges
from me2sdk.train.evaluate.pairs import PairsRow


class Marked:
    """Scores a trace by the number that it ends with, and fails where there is none."""

    def score(self, question: Any, traces: Sequence[Trace | str]) -> list[float]:
        return [float(trace.reasoning.split()[-1]) for trace in traces if isinstance(trace, Trace)]


def pair(chosen: str, rejected: str, question: str = "q", **more: Any) -> Preference:
    return Preference(
        question=question, chosen=Trace(reasoning=chosen), rejected=Trace(reasoning=rejected), **more
    )


def row(report: PairsReport, by: str = "all", group: str = "all") -> PairsRow:
    (found,) = [one for one in report.rows if (one.by, one.group) == (by, group)]
    return found


def test_ties_count_as_wrong_and_failures_as_nothing() -> None:
    pairs = [
        *(pair("right 2", "r 1", question=f"a{number}") for number in range(5)),
        *(pair("t 1", "tie 1", question=f"b{number}") for number in range(2)),
        pair("x 1", "y 2", question="c"),
        pair("oops", "y 2", question="d"),
        pair("x 1", "oops", question="d"),
    ]
    report = evaluate_pairs(pairs, {"marked": Marked()})
    found = row(report)
    assert (found.pairs, found.right, found.tie, found.wrong, found.failed) == (8, 5, 2, 1, 2)
    assert found.accuracy is not None
    assert found.accuracy.mean == 5 / 8
    assert found.accuracy.low < 5 / 8 < found.accuracy.high
    assert found.decided == 5 / 6
    # The same eight pairs by length alone: five are longer chosen, two shorter, one of equal length.
    assert (found.shorter, found.longer) == (2 / 8, 5 / 8)
    assert (report.pairs, report.questions) == (10, 9)
    assert [(one.item, one.trace, one.error) for one in report.failures] == [
        (8, 0, "ValueError"),
        (9, 1, "ValueError"),
    ]
    assert PairsReport.model_validate_json(report.model_dump_json()) == report


def test_by_length_category_and_dimension() -> None:
    pairs = [
        pair("long trace 2", "s 1", category="a", dimension="macro_efficiency"),
        pair("long trace 1", "s 2", category="a"),
        pair("s 2", "long trace 1", category="b", dimension="macro_efficiency"),
        pair("ab 2", "cd 1"),
    ]
    report = evaluate_pairs(pairs, {"marked": Marked()})
    counts = {(one.by, one.group): (one.pairs, one.right) for one in report.rows}
    assert counts == {
        ("all", "all"): (4, 3),
        ("category", "a"): (2, 1),
        ("category", "b"): (1, 1),
        ("dimension", "macro_efficiency"): (2, 2),
        ("length", "longer chosen"): (2, 1),
        ("length", "same length"): (1, 1),
        ("length", "shorter chosen"): (1, 1),
    }
    longer = row(report, "length", "longer chosen")
    assert (longer.shorter, longer.longer) == (0.0, 1.0)


def test_the_length_baselines_are_what_the_columns_say() -> None:
    pairs = [pair("aaa", "b"), pair("a", "bbbb"), pair("a", "bb"), pair("a", "b")]
    report = evaluate_pairs(pairs, {"s": LengthScorer("shortest"), "l": LengthScorer("longest")})
    accuracy = {one.scorer: one.accuracy.mean for one in report.rows if one.by == "all" and one.accuracy}
    assert accuracy == {"s": row_of(report, "s").shorter, "l": row_of(report, "s").longer}
    assert accuracy == {"s": 0.5, "l": 0.25}


def row_of(report: PairsReport, scorer: str) -> PairsRow:
    return next(one for one in report.rows if one.scorer == scorer and one.by == "all")


def test_tables() -> None:
    report = evaluate_pairs(
        [pair("a 2", "b 1", category="x"), pair("a 1", "oops", category="y")],
        {"marked": Marked(), "random": RandomScorer()},
    )
    first, second = report.table()
    assert first["right/tie/wrong"] == "1/0/0"
    assert (first["failed"], second["failed"]) == ("1", "0")
    by = report.table("category")
    assert [line["category"] for line in by] == ["x", "y"]
    assert by[1]["marked"] == "–"
    assert by[1]["pairs"] == "1"  # the other scorer judged it
    assert report.table("dimension") == []


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "results.jsonl"
    code = f"""
import os
from me2sdk import Trace
from me2sdk.train import Preference, evaluate_pairs
class Dies:
    calls = 0
    def score(self, question, traces):
        self.calls += 1
        if self.calls == 3: os.kill(os.getpid(), 9)
        return [float(len(trace.reasoning)) for trace in traces]
pairs = [Preference(question=str(n), chosen=Trace(reasoning="x" * (n + 2)), rejected=Trace(reasoning="y"))
         for n in range(100)]
evaluate_pairs(pairs, {{"s": Dies()}}, output={str(output)!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert done.returncode == -9
    assert len(output.read_text().splitlines()) == 2
    asked: list[int] = []

    class Dies:  # the same scorer, in better health
        def score(self, question: Any, traces: Sequence[Trace]) -> list[float]:
            asked.append(len(traces))
            return [float(len(trace.reasoning)) for trace in traces]

    pairs = [pair("x" * (number + 2), "y", question=str(number)) for number in range(100)]
    report = evaluate_pairs(pairs, {"s": Dies()}, output=output)
    assert asked == [64, 8]
    assert row(report).right == 100


def test_the_prompt_only_judge() -> None:
    judge = FakeModel(judge=prefers("GOOD"))
    pairs = [
        pair("GOOD one", "poor", question="1"),
        pair("poor", "GOOD one", question="2"),
        pair("poor", "poor too", question="3"),
    ]
    report = evaluate_pairs(pairs, judges={"j": PairJudge(LLM(judge), structure=False, repeats=1)})
    found = row(report)
    assert (found.right, found.tie, found.wrong) == (1, 1, 1)
    assert len(judge.calls) == 3 * 2 * 5
    assert {call.kind for call in judge.calls} == {
        *(f"{a}_{b}" for a in ("macro", "micro") for b in ("efficiency", "effectiveness"))
    } | {"aggregate"}
    summary = report.judges["j"]
    assert (summary.consistent, summary.first) == (1.0, 0.5)
    assert summary.usage.calls == 30


def test_the_judge_with_structure() -> None:
    judge = FakeModel(judge=prefers("GOOD"))
    report = evaluate_pairs(
        [pair("GOOD one", "poor")], judges={"j": PairJudge(LLM(judge), repeats=1, annotator="local")}
    )
    assert row(report).right == 1
    assert "summarize" in {call.kind for call in judge.calls}


def test_a_judge_in_love_with_a_place_decides_nothing() -> None:
    report = evaluate_pairs(
        [pair("a", "b"), pair("c", "d")],
        judges={"j": PairJudge(LLM(FakeModel(judge="first")), structure=False, repeats=2)},
    )
    assert (row(report).right, row(report).tie, row(report).wrong) == (0, 2, 0)
    assert (report.judges["j"].consistent, report.judges["j"].first) == (0.0, 1.0)


def verdict(request: Request) -> Reply:
    return Reply("Trace 1 is fine.\n<|decision|>Tie", usage=(100, 10))


def test_judging_resumes_and_keeps_to_its_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "_AT_ONCE", {False: 1})
    output = tmp_path / "judged.jsonl"
    pairs = [pair(f"a{number}", "b", question=str(number)) for number in range(4)]
    with OpenAIServer(verdict) as server:
        where = {"api_base": server.url, "api_key": "none", "max_tokens": 10, "max_concurrency": 1}

        def run(budget: Budget | None) -> PairsReport:
            llm = LLM("openai/test", budget=budget, **where)
            judge = PairJudge(llm, structure=False, repeats=1)
            return evaluate_pairs(pairs, judges={"j": judge}, output=output)

        limited = run(Budget(tokens=2_500))
        spent = len(server.requests)
        assert 0 < row(limited).failed < 4
        assert row(limited).failed + row(limited).tie == 4
        assert len(limited.failures) == row(limited).failed
        assert "budget" in limited.failures[0].message
        finished = len(output.read_text().splitlines())
        assert finished == row(limited).tie
        whole = run(None)
        assert row(whole).tie == 4
        assert len(server.requests) - spent == 10 * (4 - finished)
        assert whole.judges["j"].usage.calls == 40
        again = run(None)
        assert len(server.requests) - spent == 10 * (4 - finished)
        assert again.rows == whole.rows
        other = PairJudge(LLM("openai/test", **where), structure=False, repeats=2)
        with pytest.raises(ConfigurationError, match="repeats: 1 -> 2"):
            evaluate_pairs(pairs, judges={"j": other}, output=output)
    kept = json.loads(output.read_text().splitlines()[0])
    assert kept["settings"]["models"] == ["openai/test"]


def test_what_cannot_work() -> None:
    with pytest.raises(ConfigurationError, match="no pairs"):
        evaluate_pairs([], {"r": RandomScorer()})
    with pytest.raises(ConfigurationError, match="nothing to measure"):
        evaluate_pairs([pair("a", "b")])
    judge = PairJudge(LLM(FakeModel()))
    with pytest.raises(ConfigurationError, match="r is the name of a scorer and of a judge"):
        evaluate_pairs([pair("a", "b")], {"r": RandomScorer()}, judges={"r": judge})
    with pytest.raises(ConfigurationError, match="repeats must be at least 1"):
        evaluate_pairs([pair("a", "b")], judges={"j": PairJudge(LLM(FakeModel()), repeats=0)})


async def test_the_async_twin() -> None:
    pairs = [pair("a 2", "b 1")]
    report = await aevaluate_pairs(pairs, {"marked": Marked()})
    other = evaluate_pairs(pairs, {"marked": Marked()})
    assert report.rows == other.rows
