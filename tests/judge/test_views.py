from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.judge_doubles import GOOD

from me2sdk import GenerationError, InvalidTraceError, Trace
from me2sdk._choices import Dimension
from me2sdk.dag import micro_view
from me2sdk.judge.views import DagParser, JudgedTrace
from me2sdk.llm import LLM
from me2sdk.testing import FakeModel

MACRO, MICRO = Dimension.MACRO_EFFICIENCY, Dimension.MICRO_EFFICIENCY
TEXT = "We need 3 + 4.\n\nWait, count again: 7.\n\nSo the answer is \\boxed{7}."


def local(model: Any) -> DagParser:
    return DagParser(LLM(model), "local", {})


async def test_views_are_made_once_however_many_ask() -> None:
    judge = FakeModel()
    async with JudgedTrace(GOOD, "Why?", local(judge)) as judged:
        views = await asyncio.gather(*(judged.view(d, "Why?") for d in Dimension for _ in range(6)))
    assert len(judge.calls) == 1
    assert len(set(views)) == 2
    assert views[-1] == micro_view(GOOD)


async def test_one_who_stops_asking_does_not_stop_the_work() -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def model(messages: Any, **params: Any) -> str:
        started.set()
        await go_on.wait()
        return "\n".join(f"[{node}] sentence {node}" for node in range(3))

    async with JudgedTrace(GOOD, None, local(model)) as judged:
        impatient = asyncio.create_task(judged.view(MACRO, ""))
        patient = asyncio.create_task(judged.view(MACRO, ""))
        await started.wait()
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        go_on.set()
        assert "sentence 2" in await patient


async def test_leaving_cancels_what_is_unfinished() -> None:
    started = asyncio.Event()

    async def model(messages: Any, **params: Any) -> str:
        started.set()
        await asyncio.Event().wait()
        return "unreachable"

    async with JudgedTrace(GOOD, None, local(model)) as judged:
        asking = asyncio.create_task(judged.view(MACRO, ""))
        await started.wait()
        asking.cancel()
    assert asyncio.all_tasks() - {asking} == {asyncio.current_task()}


async def test_a_text_is_read_as_a_completion() -> None:
    judged = JudgedTrace(f"<think>{TEXT}</think>It is \\boxed{{7}}.", "Why?", local(FakeModel()))
    assert judged.trace == Trace(reasoning=TEXT, question="Why?", response="It is \\boxed{7}.")
    async with judged:
        assert "answer is" in await judged.view(MICRO, "Why?")
    assert judged.dag is not None
    assert judged.dag.question == "Why?"


async def test_a_dag_of_super_nodes_shows_the_same() -> None:
    async with JudgedTrace(GOOD, None, local(FakeModel())) as raw:
        expected = [await raw.view(dimension, "") for dimension in (MACRO, MICRO)]
    async with JudgedTrace(GOOD.collapse(), None, local(FakeModel())) as collapsed:
        assert [await collapsed.view(dimension, "") for dimension in (MACRO, MICRO)] == expected
    assert collapsed.trace.reasoning == raw.trace.reasoning


async def test_without_a_parser_every_view_is_the_text() -> None:
    async with JudgedTrace(Trace(reasoning=TEXT), None, None) as judged:
        assert {await judged.view(dimension, "") for dimension in Dimension} == {TEXT}
    assert judged.dag is None


async def test_an_annotator_of_ones_own_builds_the_dag() -> None:
    from me2sdk.annotate import Annotation

    class Star:
        name = "star"

        def annotate(self, step: Any, pool: Any, nodes: Any) -> Annotation:
            return Annotation("backtrack", [0]) if len(nodes) > 1 else Annotation("continue")

    parser = DagParser(LLM(FakeModel()), Star(), {})
    async with JudgedTrace(TEXT, None, parser) as judged:
        await judged.view(MICRO, "")
    assert judged.dag is not None
    assert judged.dag.children[0] == (1, 2)


async def test_a_model_that_cannot_be_reached_is_an_error() -> None:
    async def model(messages: Any, **params: Any) -> str:
        raise ValueError("no service today")

    async with JudgedTrace(TEXT, None, DagParser(LLM(model), None, {})) as judged:
        with pytest.raises(GenerationError, match="no service today"):
            await judged.view(MICRO, "")


def test_nothing_to_judge() -> None:
    with pytest.raises(InvalidTraceError, match="empty"):
        JudgedTrace("<think> </think>", None, None)
