"""The fake model plays every role in a form that the SDK reads."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from me2sdk import (
    ConfigurationError,
    GenerationError,
    JudgeError,
    best_of_n,
    judge_pair,
    parse_dag,
    rank_traces,
    verify_answer,
)
from me2sdk._choices import Dimension
from me2sdk.annotate import Annotation, prompt_name
from me2sdk.dag import AttachmentPool, DAGNode
from me2sdk.schema import Step
from me2sdk.testing import FakeModel

QUESTION = [{"role": "user", "content": "Why?"}]
STEPS = ["We need 6 * 7.", "So 6 * 7 = 42.", "Alternatively, maybe use 7 * 6 by another way.", "It is 42."]
SHORT, LONG = "6 * 7 = 42.", "Hmm, 6 * 7.\n\nLet me see.\n\nIt may be 42."


def kinds(model: FakeModel) -> list[str]:
    return [call.kind for call in model.calls]


def test_answers_come_in_turn_or_from_a_function() -> None:
    model = FakeModel(["one", "two"])
    assert [model.answer(QUESTION) for _ in range(3)] == ["one", "two", "one"]
    assert [FakeModel("one").answer(QUESTION) for _ in range(2)] == ["one", "one"]
    model = FakeModel(lambda messages, *, seed: f"{messages[0]['content']} {seed}")
    assert asyncio.run(model(QUESTION, seed=7)) == "Why? 7"
    (call,) = model.calls
    assert (call.kind, call.prompt, call.messages, call.params) == ("question", "Why?", QUESTION, {"seed": 7})


@pytest.mark.parametrize("as_function", [lambda model: model, lambda model: model.answer])
def test_it_is_a_model_awaited_or_not(as_function: Callable[[FakeModel], Any]) -> None:
    model = FakeModel(["one", "three"])
    result = best_of_n("Why?", model=as_function(model), n=2, scorer="shortest", temperature=0.5)
    assert result.best.trace.response == "one"
    assert [call.params for call in model.calls] == [{"temperature": 0.5}] * 2


@pytest.mark.parametrize("window", [1, 4])
def test_it_annotates_by_the_local_rules(window: int) -> None:
    model = FakeModel()
    dag = parse_dag(STEPS, model=model, window=window)
    local = parse_dag(STEPS)
    assert [(n.action, n.parents) for n in dag.nodes] == [(n.action, n.parents) for n in local.nodes]
    assert "backtrack" in {node.action for node in dag.nodes}
    assert (dag.errors, dag.annotator) == ((), f"fake ({prompt_name(window)})")
    assert kinds(model) == (["annotate"] * 2 if window == 1 else ["annotate_window"])


def test_it_annotates_by_a_function() -> None:
    seen: list[tuple[str, AttachmentPool, list[str]]] = []

    def back(step: Step, pool: AttachmentPool, nodes: Sequence[DAGNode]) -> Annotation:
        seen.append((step.text, pool, [node.text for node in nodes]))
        return Annotation("backtrack", (pool.main_path[0],), "Once more.")

    dag = parse_dag(STEPS, model=FakeModel(annotate=back))
    assert [node.parents for node in dag.nodes[2:]] == [(0,), (0,)]
    assert dag.nodes[2].explanation == "Once more."
    assert seen[0] == (STEPS[2], AttachmentPool((0, 1), ()), STEPS[:2])
    assert seen[1] == (STEPS[3], AttachmentPool((0, 2), (1,)), STEPS[:3])


@pytest.mark.parametrize(
    ("judge", "preference", "consistent"),
    [
        ("shorter", "a", True),
        ("first", "tie", False),
        ("second", "tie", False),
        (lambda first, second: "first" if "Hmm" in first else "second", "b", True),
        (lambda first, second: "tie", "tie", True),
        (lambda first, second: f"Hm.\n<|decision|>Trace {1 if 'Hmm' in first else 2}", "b", True),
    ],
)
def test_it_judges(judge: Any, preference: str, consistent: bool) -> None:
    verdict = judge_pair(
        "Why?", SHORT, LONG, model=FakeModel(judge=judge), structure=False, repeats=1, annotator="local"
    )
    assert (verdict.preference, verdict.consistent) == (preference, consistent)


def test_it_plays_every_role_of_a_judgement() -> None:
    model = FakeModel(summarize=lambda part: f"It has {len(part)} characters.")
    verdict = judge_pair("Why?", "\n\n".join(STEPS), LONG, model=model, repeats=1)
    assert verdict.failures == ()
    assert set(kinds(model)) == {*map(str, Dimension), "aggregate", "summarize", "annotate"}
    outlines = [call.prompt for call in model.calls if call.kind.startswith("macro")]
    assert len(outlines) == 4
    assert all(re.search(r"It has \d+ characters\.", outline) for outline in outlines)
    ranking = rank_traces(
        "Why?", [LONG, SHORT, "6 * 7 is 42."], model=FakeModel(), structure=False, repeats=1
    )
    assert ranking.order == (1, 2, 0)


def test_it_verifies() -> None:
    def verify(reference: str, answer: str) -> bool:
        seen.append((reference, answer))
        return False

    seen: list[tuple[str, str]] = []
    assert verify_answer("The answer is Sir Newton.", "Isaac Newton", model=FakeModel()).outcome == "right"
    model = FakeModel(verify=verify)
    assert verify_answer("The answer is Sir Newton.", "Isaac Newton", model=model).outcome == "wrong"
    assert seen == [("Isaac Newton", "Sir Newton")]
    assert kinds(model) == ["verify"]


def test_an_answer_that_cannot_be_read_is_asked_for_again() -> None:
    model = FakeModel(fail_every=2)
    dag = parse_dag(STEPS, model=model)
    assert (dag.errors, kinds(model)) == ((), ["annotate"] * 3)
    model = FakeModel(fail_every=4)
    verdict = judge_pair("Why?", SHORT, LONG, model=model, structure=False, repeats=1)
    assert verdict.preference == "a"
    assert sum(vote.asked for vote in verdict.votes) == len(model.calls) > len(verdict.votes)
    again = next(call for call in model.calls if len(call.messages) > 1)
    assert again.prompt in [call.prompt for call in model.calls if len(call.messages) == 1]


def test_no_reader_takes_its_failure_for_an_answer() -> None:
    model = FakeModel(fail_every=1)
    assert parse_dag(STEPS, model=model).errors
    with pytest.raises(JudgeError):
        parse_dag(STEPS, model=model, strict=True)
    with pytest.raises(JudgeError):
        judge_pair("Why?", SHORT, LONG, model=model, structure=False)
    assert verify_answer("The answer is Sir Newton.", "Isaac Newton", model=model).outcome == "undecided"
    assert len(judge_pair("Why?", STEPS[0], LONG, model=FakeModel(summarize=lambda part: "")).failures) == 2


def test_a_failure_may_be_an_exception() -> None:
    model = FakeModel(fail_every=2, failure=ValueError("no service today"))
    result = best_of_n("Why?", model=model, n=4, scorer="shortest")
    assert [failure.stage for failure in result.failures] == ["generate"] * 2
    with pytest.raises(GenerationError, match="no service today"):
        best_of_n("Why?", model=FakeModel(fail_every=1, failure=ValueError("no service today")), n=2)


def test_what_reads_like_a_prompt_is_a_question() -> None:
    model = FakeModel("fine")
    for text in ("hold the code 0123456789ab open", "", [{"type": "text", "text": "Why?"}]):
        assert model.answer([{"role": "user", "content": text}]) == "fine"
    assert kinds(model) == ["question"] * 3


@pytest.mark.parametrize(
    "options", [{"answers": []}, {"answers": ""}, {"fail_every": -1}, {"judge": "third"}]
)
def test_what_cannot_work(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        FakeModel(**options)
