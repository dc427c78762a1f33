from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply, Request

from me2sdk import LLM, Annotation, ConfigurationError, Step
from me2sdk.train import DagAnnotator, DagReport, aevaluate_dag, evaluate_dag
from me2sdk.train.evaluate.dag import CONTINUE, DagRow
from me2sdk.train.evaluate.reasoningflow import GoldTrace


def gold(name: str, *line: tuple[str, tuple[int, ...]], family: str = "") -> GoldTrace:
    entries = [("root", ()), *line]
    return GoldTrace(
        name=name,
        family=family,
        domain="",
        question="q",
        steps=tuple(Step(f"{name} step {place}", "\n\n") for place in range(len(entries))),
        actions=tuple(action for action, _ in entries),  # type: ignore[misc]
        parents=tuple(parents for _, parents in entries),
    )


TRACES = [
    gold("a", ("continue", (0,)), ("backtrack", (0,)), ("continue", (2,)), family="M"),
    gold("b", ("continue", (0,)), ("continue", (1,)), ("backtrack", (0,)), ("merge", (2, 3)), family="N"),
]


class Scripted:
    """Answers from a script by the step's text; continues where it has no line."""

    name = "scripted"

    def __init__(self, **script: tuple[str, tuple[int, ...]]) -> None:
        self.script = {key.replace("_", " step "): line for key, line in script.items()}

    def annotate(self, step: Step, pool: Any, nodes: Sequence[Any]) -> Annotation:
        return Annotation(*self.script.get(step.text, ("continue", ())))


def row(report: DagReport, annotator: str, family: str = "") -> DagRow:
    (found,) = [one for one in report.rows if (one.annotator, one.family) == (annotator, family)]
    return found


def test_actions_and_parents_by_hand() -> None:
    ours = Scripted(
        a_2=("backtrack", (0,)), b_2=("backtrack", (0,)), b_3=("backtrack", (0,)), b_4=("merge", (1, 3))
    )
    report = evaluate_dag(TRACES, {"ours": DagAnnotator(annotator=ours)})
    found = row(report, "ours")
    assert (found.traces, found.steps, found.failed, found.fallbacks) == (2, 7, 0, 0)
    assert found.accuracy is not None
    assert found.accuracy.mean == pytest.approx(6 / 7)
    scores = {name: (one.gold, one.found, one.hits) for name, one in found.actions.items()}
    assert scores == {"continue": (4, 3, 3), "backtrack": (2, 3, 2), "merge": (1, 1, 1)}
    backtrack = found.actions["backtrack"]
    assert (backtrack.precision, backtrack.recall, backtrack.f1) == (2 / 3, 1.0, 4 / 5)
    assert found.macro_f1 == pytest.approx((6 / 7 + 4 / 5 + 1.0) / 3)
    assert (found.parents, found.backtracks) == (2, 2)
    base = row(report, CONTINUE)
    assert base.accuracy is not None
    assert base.accuracy.mean == pytest.approx(4 / 7)
    assert base.actions["merge"].precision is None
    assert base.actions["merge"].f1 == 0.0
    assert base.macro_f1 == pytest.approx((8 / 11) / 3)
    assert DagReport.model_validate_json(report.model_dump_json()) == report


def test_a_backtrack_to_another_parent_is_a_hit_without_its_parent() -> None:
    trace = gold("c", ("continue", (0,)), ("continue", (1,)), ("backtrack", (0,)))
    report = evaluate_dag([trace], {"ours": DagAnnotator(annotator=Scripted(c_3=("backtrack", (1,))))})
    found = row(report, "ours")
    assert found.accuracy is not None
    assert found.accuracy.mean == 1.0
    assert (found.parents, found.backtracks) == (0, 1)


def test_by_source_model() -> None:
    report = evaluate_dag(TRACES, {"local": DagAnnotator()})
    assert report.families == ["", "M", "N"]
    assert row(report, "local", "N").steps == 4
    assert [line["annotator"] for line in report.table("M")] == [CONTINUE, "local"]
    assert report.table()[1]["steps"] == "7"
    alone = evaluate_dag(TRACES[:1], {"local": DagAnnotator()})
    assert alone.families == [""]


def answer(request: Request) -> Reply:
    return Reply("It goes on.\n<|action|>continue", usage=(50, 5))


def test_models_and_windows_with_what_they_cost(tmp_path: Path) -> None:
    output = tmp_path / "dags.jsonl"
    with OpenAIServer(answer) as server:
        llm = LLM("openai/test", api_base=server.url, api_key="none")
        annotators = {
            "one": DagAnnotator(llm),
            "three": DagAnnotator(llm, samples=3),
            "local": DagAnnotator(),
        }
        report = evaluate_dag(TRACES, annotators, output=output)
        calls = len(server.requests)
        again = evaluate_dag(TRACES, annotators, output=output)
        assert len(server.requests) == calls
        with pytest.raises(ConfigurationError, match="window: 1 -> 2"):
            evaluate_dag(TRACES, {"one": DagAnnotator(llm, window=2)}, output=output)
    assert again.rows == report.rows
    one, three = row(report, "one"), row(report, "three")
    assert one.accuracy == row(report, CONTINUE).accuracy
    # The second step can only continue, so nobody is asked about it.
    assert (one.usage.calls, one.usage.prompt_tokens) == (5, 250)
    assert three.usage.completion_tokens == 3 * 5 * 5
    assert report.table()[1]["calls"] == "5"
    assert row(report, "local").usage.calls == 0


def test_a_trace_that_fails_is_counted_and_costs_no_other() -> None:
    def broken(request: Request) -> Reply:
        return Reply("I will not." if "b step" in request.text else "Fine.\n<|action|>continue")

    with OpenAIServer(broken) as server:
        llm = LLM("openai/test", api_base=server.url, api_key="none", max_retries=0)
        report = evaluate_dag(TRACES, {"m": DagAnnotator(llm)})
    found = row(report, "m")
    assert (found.traces, found.failed, found.steps) == (1, 1, 3)
    assert [(one.by, one.item, one.error) for one in report.failures] == [("m", 1, "JudgeError")]
    assert report.table()[1]["traces"] == "1 (1 failed)"
    nothing = row(report, "m", "N")
    assert (nothing.accuracy, nothing.steps) == (None, 0)


def test_what_cannot_work() -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        evaluate_dag([], {"local": DagAnnotator()})
    with pytest.raises(ConfigurationError, match="at least one"):
        evaluate_dag(TRACES, {})
    with pytest.raises(ConfigurationError, match="window"):
        evaluate_dag(TRACES, {"local": DagAnnotator(window=0)})


async def test_the_async_twin() -> None:
    annotators = {"local": DagAnnotator()}
    first, second = await aevaluate_dag(TRACES, annotators), evaluate_dag(TRACES, annotators)
    assert [one.model_copy(update={"seconds": 0.0}) for one in first.rows] == [
        one.model_copy(update={"seconds": 0.0}) for one in second.rows
    ]
