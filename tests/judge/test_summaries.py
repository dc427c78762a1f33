from __future__ import annotations

from typing import Any

import pytest
from support.judge_doubles import GOOD

from me2sdk import ConfigurationError
from me2sdk.dag import DAGBuilder, ReasoningDAG
from me2sdk.judge.summaries import asummarize
from me2sdk.llm import LLM
from me2sdk.prompts import read_filled
from me2sdk.schema import Step
from me2sdk.testing import FakeModel


def parts(prompt: str) -> dict[int, str]:
    filled = read_filled(prompt)
    assert filled is not None
    return filled.parts


def star(leaves: int, text: str = "Another try, number {}.") -> ReasoningDAG:
    """A root with so many dead ends: as many super-nodes and one."""
    builder = DAGBuilder()
    builder.add(Step("We begin."), "continue")
    builder.add(Step(text.format(0)), "continue")
    for number in range(1, leaves):
        builder.add(Step(text.format(number)), "backtrack", [0])
    return builder.build()


async def test_every_super_node_gets_a_sentence_in_few_calls() -> None:
    judge = FakeModel()
    summaries = await asummarize(star(29), llm=LLM(judge), question="Why?")
    assert sorted(summaries.sentences) == list(range(30))
    assert summaries.sentences[0] == "We begin."
    assert summaries.sentences[29] == "Another try, number 28."
    assert summaries.failures == ()
    assert len(judge.calls) == 3
    assert "Part 0: <Root & Branch id=0 depth=0" in judge.calls[0].prompt
    assert all("\nWhy?\n" in call.prompt for call in judge.calls)


async def test_long_parts_are_spread_over_more_calls() -> None:
    judge = FakeModel()
    await asummarize(star(5, "word " * 3000), llm=LLM(judge))
    assert [len(parts(call.prompt)) for call in judge.calls] == [2, 1, 1, 1, 1]


async def test_what_is_missing_is_asked_for_again_without_the_rest() -> None:
    prompts: list[dict[int, str]] = []

    def ask(messages: list[dict[str, Any]], **params: Any) -> str:
        prompts.append(parts(messages[0]["content"]))
        return "[0] It begins." if len(prompts) == 1 else "Sure!\n- **[1]** A try.\n2. Another."

    summaries = await asummarize(star(2), llm=LLM(ask))
    assert summaries.sentences == {0: "It begins.", 1: "A try.", 2: "Another."}
    assert [sorted(asked) for asked in prompts] == [[0, 1, 2], [1, 2]]


@pytest.mark.parametrize("said", ["", "<think>[0] x", "[7] Another part.", "[0] " + "x" * 601, "No."])
async def test_what_stays_missing_is_recorded(said: str) -> None:
    calls: list[int] = []

    def ask(messages: Any, **params: Any) -> str:
        calls.append(1)
        return said

    summaries = await asummarize(GOOD, llm=LLM(ask))
    assert summaries.sentences == {}
    assert [(f.index, f.stage, f.attempts, f.model) for f in summaries.failures] == [
        (node, "read", 3, "ask") for node in range(3)
    ]
    assert len(calls) == 3


async def test_a_call_that_fails_is_recorded_with_its_cause() -> None:
    def ask(messages: Any, **params: Any) -> str:
        raise ValueError("no service today")

    summaries = await asummarize(GOOD, llm=LLM(ask))
    assert {(f.stage, f.error) for f in summaries.failures} == {("generate", "GenerationError")}
    assert "no service today" in summaries.failures[0].message


async def test_a_parameter_that_cannot_work_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="stream"):
        await asummarize(GOOD, llm=LLM(lambda messages: "x"), params={"stream": True})


async def test_the_prompt_is_the_same_each_time() -> None:
    judge = FakeModel()
    for _ in range(2):
        await asummarize(GOOD, llm=LLM(judge))
    assert judge.calls[0].prompt == judge.calls[1].prompt
