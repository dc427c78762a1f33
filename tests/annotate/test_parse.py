from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from support.annotate_doubles import asked, said, scripted
from support.fake_provider import HANG, OpenAIServer, Request, answering, error

from me2sdk import (
    BatchAnnotationError,
    ConfigurationError,
    GenerationError,
    InvalidTraceError,
    JudgeError,
    Step,
    Trace,
    split_steps,
)
from me2sdk.annotate import Annotation, aparse_dag, parse_dag
from me2sdk.dag import AttachmentPool, DAGNode, ReasoningDAG
from me2sdk.llm import LLM

TEXT = "First we add.\n\nThen we halve.\n\nAlternatively, maybe use a sum.\n\nSo it is 4."


def test_reads_traces_texts_and_steps() -> None:
    trace = Trace(reasoning=TEXT, question="What?")
    dag = parse_dag(trace)
    assert "".join(node.text + node.separator for node in dag.nodes) == TEXT
    assert [node.action for node in dag.nodes] == ["root", "continue", "backtrack", "continue"]
    assert (dag.question, dag.annotator, dag.errors) == ("What?", "local 2", ())
    assert dag.usage.calls == 0
    assert parse_dag(f"<think>{TEXT}</think>It is 4.", question="What?") == dag
    assert parse_dag(split_steps(trace), question="What?") == dag
    assert parse_dag(TEXT.split("\n\n"), question="What?") == dag
    assert parse_dag(trace, question="Other?").question == "Other?"
    assert [node.text for node in parse_dag(TEXT, prefixes=["so"]).nodes][-1] == "So it is 4."


def test_reads_several_traces() -> None:
    one, two = Trace(reasoning=TEXT), Trace(reasoning="Only this.", question="Why?")
    assert parse_dag([one, two]) == [parse_dag(one), parse_dag(two)]
    assert parse_dag([one]) == [parse_dag(one)]
    assert [len(dag.nodes) for dag in parse_dag([["a", "b"], ["c"]])] == [2, 1]
    assert [len(dag.nodes) for dag in parse_dag([split_steps(one), split_steps(two)])] == [4, 1]
    assert len(parse_dag(("a", "b")).nodes) == 2  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "empty", ["", " \n ", [], [" "], [["a"], []], "<think></think>", [Trace(reasoning="")]]
)
def test_empty_traces(empty: Any) -> None:
    model = scripted()
    with pytest.raises(InvalidTraceError, match="empty"):
        parse_dag(empty, model=model)
    assert model.calls == []


@pytest.mark.parametrize(
    "wrong", [5, None, b"x", {"a": 1}, [5], ["a", Trace(reasoning="b")], ["a", ["b"]], [["a", 5]], [[["a"]]]]
)
def test_what_is_no_trace(wrong: Any) -> None:
    with pytest.raises(InvalidTraceError):
        parse_dag(wrong)


@pytest.mark.parametrize(
    "options",
    [
        {"samples": 0},
        {"window": 0},
        {"max_main": 1},
        {"max_leaves": -1},
        {"max_retries": -1},
        {"temperature": 0.5},
        {"cache": True},
        {"annotator": object()},
        {"annotator": "local"},
        {"model": scripted(), "annotator": object()},
        {"model": scripted(), "cache": True},
        {"model": scripted(), "n": 3},
        {"model": LLM(scripted()), "cache": True},
        {"prefixes": "no such set"},
    ],
)
def test_settings_that_cannot_work(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        parse_dag("a\n\nSo b.\n\nSo c.", **options)


def test_lone_surrogates_cannot_stay() -> None:
    dag = parse_dag(
        ["a\ud800", Step("b", "\ud800"), "c"], annotator=Always(Annotation("continue", (), "\udfff"))
    )  # type: ignore[list-item]
    assert ReasoningDAG.model_validate_json(dag.model_dump_json()) == dag


class Always:
    """An annotator that always says the same, or raises it."""

    def __init__(self, said: Any) -> None:
        self.said = said
        self.calls: list[tuple[Step, AttachmentPool, int]] = []

    def annotate(self, step: Step, pool: AttachmentPool, nodes: Sequence[DAGNode]) -> Any:
        self.calls.append((step, pool, len(nodes)))
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


class AlwaysAsync(Always):
    name = "mine 2"

    async def annotate(self, step: Step, pool: AttachmentPool, nodes: Sequence[DAGNode]) -> Any:
        await asyncio.sleep(0)
        return super().annotate(step, pool, nodes)


@pytest.mark.parametrize("kind", [Always, AlwaysAsync])
def test_an_annotator_of_ones_own(kind: type[Always]) -> None:
    annotator = kind(Annotation("backtrack", (0,), "because"))
    dag = parse_dag(["a", "b", "c", "d"], annotator=annotator)
    assert [node.action for node in dag.nodes] == ["root", "continue", "backtrack", "backtrack"]
    assert dag.nodes[3].explanation == "because"
    assert dag.annotator == ("Always" if kind is Always else "mine 2")
    assert annotator.calls == [
        (Step("c", "\n\n"), AttachmentPool((0, 1), ()), 2),
        (Step("d"), AttachmentPool((0, 2), (1,)), 3),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "backtrack",
        (),
        (1, 2),
        ("backtrack", 1),
        ("backtrack", "1"),
        ("backtrack", (1.5,)),
        ("merge", (0, 1)),
        ("hop", (0,)),
        ("backtrack", (-1,)),
        ("backtrack", (0,), "a", "b"),
        JudgeError("not today"),
    ],
)
def test_what_an_annotator_says_against_the_rules_is_recorded(answer: Any) -> None:
    dag = parse_dag(["a", "b", "c", "d"], annotator=Always(answer))
    assert [node.action for node in dag.nodes[1:]] == ["continue"] * 3
    assert [failed.step for failed in dag.errors] == [2, 3]
    assert all(failed.message for failed in dag.errors)


def test_bugs_of_an_annotator_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        parse_dag(["a", "b", "c"], annotator=Always(ZeroDivisionError()))
    with pytest.raises(ConfigurationError):
        parse_dag([["a", "b", "c"]] * 2, annotator=Always(ConfigurationError("no key")))


_ANY_ANSWER = st.one_of(
    st.none(),
    st.text(max_size=5),
    st.integers(),
    st.tuples(
        st.sampled_from(["root", "continue", "backtrack", "merge", "", "x"]),
        st.one_of(st.none(), st.text(max_size=3), st.lists(st.integers(-2, 14), max_size=4)),
        st.one_of(st.none(), st.text(max_size=5), st.integers()),
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_ANY_ANSWER, min_size=1, max_size=12), st.integers(2, 5), st.integers(0, 3))
def test_any_annotator_gives_a_valid_dag(answers: list[Any], max_main: int, max_leaves: int) -> None:
    class Random:
        def annotate(self, step: Step, pool: AttachmentPool, nodes: Sequence[DAGNode]) -> Any:
            assert len(pool.main_path) <= max_main
            assert len(pool.leaves) <= max_leaves
            return answers[len(nodes) - 2]

    steps = [f"s{number}" for number in range(len(answers) + 2)]
    dag = parse_dag(steps, annotator=Random(), max_main=max_main, max_leaves=max_leaves)
    hold(dag, steps)


_FRAGMENTS = [
    "<|action|>",
    "<|previous|>",
    "<|step|>",
    "backtrack",
    "merge",
    "continue",
    *"0123,",
    "\n",
    "<think>",
    "</think>",
    "```",
    " why ",
    "\ud800",
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(_FRAGMENTS), max_size=8).map("".join), min_size=1, max_size=9),
    st.integers(1, 4),
    st.integers(1, 2),
)
def test_any_model_gives_a_valid_dag(answers: list[str], window: int, samples: int) -> None:
    calls = 0

    def model(messages: Any, **params: Any) -> str:
        nonlocal calls
        calls += 1
        if calls == 1 and asked(messages[-1]["content"]) == [2]:
            return said("continue")  # one usable answer, so that there is a DAG
        if calls == 1:
            return f"<|step|>2\n{said('continue')}"
        return answers[calls % len(answers)] or "-"

    steps = [f"s{number}" for number in range(8)]
    dag = parse_dag(steps, model=model, window=window, samples=samples, max_retries=1)
    hold(dag, steps)


def hold(dag: ReasoningDAG, steps: list[str]) -> None:
    """Every step is there, and the DAG survives being saved, loaded and collapsed."""
    assert [node.text for node in dag.nodes] == steps
    assert ReasoningDAG.model_validate_json(dag.model_dump_json()) == dag
    for node in dag.nodes[1:]:
        assert len(node.parents) == 1 or (node.action == "merge" and len(node.parents) > 1)
    collapsed = dag.collapse()
    assert sorted(step for node in collapsed.nodes for step in node.steps) == list(range(len(steps)))
    assert {failed.step for failed in dag.errors} <= set(range(2, len(steps)))


def at(server: OpenAIServer, **more: Any) -> dict[str, Any]:
    return {"model": "openai/test", "api_base": server.url, "api_key": "sk-test", **more}


def traces(count: int, steps: int = 10) -> list[list[str]]:
    return [[f"trace {place} step {number}" for number in range(steps)] for place in range(count)]


async def test_several_traces_share_the_limit() -> None:
    with OpenAIServer(answering(scripted())) as server:
        server.gate.clear()
        work = asyncio.create_task(aparse_dag(traces(6, 5), **at(server, max_concurrency=3)))
        await asyncio.to_thread(server.wait_for, lambda: server.in_flight == 3)
        server.gate.set()
        dags = await work
    assert [dag.nodes[0].text for dag in dags] == [f"trace {place} step 0" for place in range(6)]
    assert len(server.requests) == 6 * 3
    assert server.max_in_flight == 3


def test_one_trace_that_fails_costs_the_others_nothing() -> None:
    def reply(request: Request) -> Any:
        return error(400, "refused") if "trace 1 " in request.text else said("continue")

    with (
        OpenAIServer(reply) as server,
        pytest.raises(BatchAnnotationError, match=r"1 of 3 .* trace 1") as caught,
    ):
        parse_dag(traces(3), **at(server))
    failed = caught.value
    assert [dag and len(dag.nodes) for dag in failed.partial] == [10, None, 10]
    assert list(failed.failures) == [1]
    assert isinstance(failed.failures[1], GenerationError)
    assert isinstance(failed, JudgeError)
    copy = pickle.loads(pickle.dumps(failed))
    assert (copy.partial, str(copy)) == (failed.partial, str(failed))


async def test_cancelled_half_way_it_repeats_no_finished_call(tmp_path: Path) -> None:
    limit = 9

    def reply(request: Request) -> str:
        return HANG if request.number >= limit else said("continue")

    with OpenAIServer(reply) as server:
        work = asyncio.create_task(aparse_dag(traces(3), **at(server, cache=tmp_path)))
        await asyncio.to_thread(server.wait_for, lambda: len(server.requests) == limit + 3)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        await asyncio.to_thread(server.wait_for, lambda: server.left == 3)
        limit = 10**6
        dags = await aparse_dag(traces(3), **at(server, cache=tmp_path))
    calls = 3 * 8
    assert len(server.requests) == 9 + 3 + (calls - 9)
    assert sum(dag.usage.cached_calls for dag in dags) == 9
    assert sum(dag.usage.calls for dag in dags) == calls - 9


def test_killed_half_way_it_repeats_no_finished_call(tmp_path: Path) -> None:
    limit = 12

    def reply(request: Request) -> str:
        return HANG if request.number >= limit else said("continue")

    script = textwrap.dedent("""
        import sys
        from me2sdk.annotate import parse_dag
        traces = [[f"trace {place} step {number}" for number in range(10)] for place in range(4)]
        parse_dag(traces, model="openai/test", api_base=sys.argv[1], api_key="sk-test", cache=sys.argv[2])
    """)
    with OpenAIServer(reply) as server:
        command = [sys.executable, "-c", script, server.url, str(tmp_path)]
        process = subprocess.Popen(command, env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"})
        try:
            # Each chain asks only when its last answer is stored, so all twelve are once four more have come.
            server.wait_for(lambda: len(server.requests) == limit + 4)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        server.wait_for(lambda: server.left == 4)
        limit = 10**6
        dags = parse_dag(traces(4), **at(server, cache=tmp_path))
    assert sum(dag.usage.cached_calls for dag in dags) == 12
    assert len(server.requests) == 12 + 4 + (4 * 8 - 12)


async def test_works_where_a_loop_is_running_and_gives_the_same() -> None:
    script = {3: "backtrack 1"}
    steps = ["a", "b", "c", "d"]
    assert parse_dag(steps, model=scripted(script)) == await aparse_dag(steps, model=scripted(script))
    assert parse_dag(TEXT) == await aparse_dag(TEXT)


def test_tells_each_step(caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[int, int, str]] = []

    def on_step(place: int, node: DAGNode) -> None:
        told.append((place, node.id, node.action))
        raise RuntimeError("a fault of the caller's")

    with caplog.at_level(logging.ERROR, logger="me2sdk"):
        dag = parse_dag(["a", "b", "c"], model=scripted({2: "backtrack 0"}), on_step=on_step)
    assert told == [(0, 0, "root"), (0, 1, "continue"), (0, 2, "backtrack")]
    assert len(dag.nodes) == 3
    assert "on_step failed for step 2" in caplog.text

    async def later(place: int, node: DAGNode) -> None:
        told.append((place, node.id, "later"))

    told.clear()
    parse_dag([["a", "b"], ["c"]], on_step=later)
    assert sorted(told) == [(0, 0, "later"), (0, 1, "later"), (1, 0, "later")]
