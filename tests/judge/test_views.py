from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.judge_doubles import GOOD, Judge

from me2sdk import GenerationError, InvalidTraceError, Trace
from me2sdk._choices import Dimension
from me2sdk.dag import micro_view
from me2sdk.judge.views import Exhibit, Parsing
from me2sdk.llm import LLM

MACRO, MICRO = Dimension.MACRO_EFFICIENCY, Dimension.MICRO_EFFICIENCY
TEXT = "We need 3 + 4.\n\nWait, count again: 7.\n\nSo the answer is \\boxed{7}."


def local(model: Any) -> Parsing:
    return Parsing(LLM(model), "local", {})


async def test_views_are_made_once_however_many_ask() -> None:
    judge = Judge(lambda shown: "")
    async with Exhibit(GOOD, "Why?", local(judge)) as exhibit:
        views = await asyncio.gather(*(exhibit.view(d, "Why?") for d in Dimension for _ in range(6)))
    assert len(judge.prompts) == 1
    assert len(set(views)) == 2
    assert views[-1] == micro_view(GOOD)


async def test_one_who_stops_asking_does_not_stop_the_work() -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def model(messages: Any, **params: Any) -> str:
        started.set()
        await go_on.wait()
        return "\n".join(f"[{node}] sentence {node}" for node in range(3))

    async with Exhibit(GOOD, None, local(model)) as exhibit:
        impatient = asyncio.create_task(exhibit.view(MACRO, ""))
        patient = asyncio.create_task(exhibit.view(MACRO, ""))
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

    async with Exhibit(GOOD, None, local(model)) as exhibit:
        asking = asyncio.create_task(exhibit.view(MACRO, ""))
        await started.wait()
        asking.cancel()
    assert asyncio.all_tasks() - {asking} == {asyncio.current_task()}


async def test_a_text_is_read_as_a_completion() -> None:
    exhibit = Exhibit(f"<think>{TEXT}</think>It is \\boxed{{7}}.", "Why?", local(Judge(lambda shown: "")))
    assert exhibit.trace == Trace(reasoning=TEXT, question="Why?", response="It is \\boxed{7}.")
    async with exhibit:
        assert "answer is" in await exhibit.view(MICRO, "Why?")
    assert exhibit.dag is not None
    assert exhibit.dag.question == "Why?"


async def test_a_dag_of_super_nodes_shows_the_same() -> None:
    async with Exhibit(GOOD, None, local(Judge(lambda shown: ""))) as raw:
        expected = [await raw.view(dimension, "") for dimension in (MACRO, MICRO)]
    async with Exhibit(GOOD.collapse(), None, local(Judge(lambda shown: ""))) as collapsed:
        assert [await collapsed.view(dimension, "") for dimension in (MACRO, MICRO)] == expected
    assert collapsed.trace.reasoning == raw.trace.reasoning


async def test_without_parsing_every_view_is_the_text() -> None:
    async with Exhibit(Trace(reasoning=TEXT), None, None) as exhibit:
        assert {await exhibit.view(dimension, "") for dimension in Dimension} == {TEXT}
    assert exhibit.dag is None


async def test_an_annotator_of_ones_own_builds_the_dag() -> None:
    from me2sdk.annotate import Annotation

    class Star:
        name = "star"

        def annotate(self, step: Any, pool: Any, nodes: Any) -> Annotation:
            return Annotation("backtrack", [0]) if len(nodes) > 1 else Annotation("continue")

    parsing = Parsing(LLM(Judge(lambda shown: "")), Star(), {})
    async with Exhibit(TEXT, None, parsing) as exhibit:
        await exhibit.view(MICRO, "")
    assert exhibit.dag is not None
    assert exhibit.dag.children[0] == (1, 2)


async def test_a_model_that_cannot_be_reached_is_an_error() -> None:
    async def model(messages: Any, **params: Any) -> str:
        raise ValueError("no service today")

    async with Exhibit(TEXT, None, Parsing(LLM(model), None, {})) as exhibit:
        with pytest.raises(GenerationError, match="no service today"):
            await exhibit.view(MICRO, "")


def test_nothing_to_judge() -> None:
    with pytest.raises(InvalidTraceError, match="empty"):
        Exhibit("<think> </think>", None, None)
