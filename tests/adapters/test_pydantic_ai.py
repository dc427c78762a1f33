from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from typing import Any, ClassVar, Self

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelMessagesTypeAdapter
from pydantic_ai.exceptions import ModelHTTPError, UserError
from pydantic_ai.messages import (
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    PartStartEvent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import RequestUsage
from support.fake_provider import OpenAIServer, error

from me2sdk.adapters.pydantic_ai import BestOfNModel, _chat
from me2sdk.errors import ConfigurationError, GenerationError, ScoringError
from me2sdk.schema import BestOfNResult

QUESTION = "What is 12 * 13?"
GOOD, BAD = "12 * 13 = 120 + 36 = 156. The answer is 156.", "12 * 13 = 140, or 12 * 13 = 141. Hmm. It is 146."


def openai_model(server: OpenAIServer) -> OpenAIChatModel:
    return OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(base_url=server.url, api_key="sk-test"))


def scripted(*responses: ModelResponse | Exception) -> FunctionModel:
    script: Iterator[ModelResponse | Exception] = iter(responses)

    async def function(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        answer = next(script)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return FunctionModel(function)


def said(text: str) -> ModelResponse:
    return ModelResponse([TextPart(text)], usage=RequestUsage(input_tokens=7, output_tokens=5))


def result_of(response: ModelResponse) -> BestOfNResult:
    assert response.metadata is not None
    return BestOfNResult.model_validate(response.metadata["me2sdk"])


async def test_the_best_answer_of_an_openai_model_is_the_agents_answer() -> None:
    with OpenAIServer([BAD, error(400, "broken"), GOOD, BAD]) as server:
        model = BestOfNModel(openai_model(server), n=4, select="best")
        async with Agent(model, instructions="Be brief.") as agent:
            run = await agent.run(QUESTION)
    assert run.output == GOOD
    result = result_of(run.response)
    assert [candidate.response for candidate in result.candidates] == [GOOD, BAD, BAD]
    assert all(candidate.score is not None for candidate in result.candidates)
    assert [(f.status, f.stage) for f in result.failures] == [(400, "generate")]
    assert (run.usage.input_tokens, run.usage.output_tokens, run.usage.requests) == (21, 15, 1)
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (21, 15)
    assert {candidate.model for candidate in result.candidates} == {"gpt-4o-mini"}
    assert len(server.requests) == 4
    assert [m["role"] for m in server.requests[0].body["messages"]] == ["system", "user"]


@pytest.fixture
def event_loop_to_close() -> Iterator[None]:
    """``run_sync`` takes the thread's event loop, or leaves one of its own open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.mark.usefixtures("event_loop_to_close")
def test_run_sync_does_the_same() -> None:
    run = Agent(BestOfNModel(scripted(said(BAD), said(GOOD)), n=2)).run_sync(QUESTION)
    assert run.output == GOOD
    assert len(result_of(run.response).candidates) == 2


async def test_a_stream_yields_the_chosen_answer_in_the_frameworks_events() -> None:
    model = BestOfNModel(scripted(said(BAD), said(GOOD)), n=2)
    async with Agent(model).run_stream(QUESTION) as run:
        texts = [text async for text in run.stream_text()]
    assert texts[-1] == GOOD
    assert run.usage.output_tokens == 10
    assert len(result_of(run.response).candidates) == 2

    events: list[object] = []
    thinking = ModelResponse([ThinkingPart("12 * 13 = 120 + 36 = 156."), TextPart("156")])

    async def note(context: object, stream: object) -> None:
        events.extend([event async for event in stream])  # type: ignore[attr-defined]

    run_2 = await Agent(BestOfNModel(scripted(thinking), n=1)).run(QUESTION, event_stream_handler=note)
    assert run_2.output == "156"
    started = [event.part for event in events if isinstance(event, PartStartEvent)]
    assert [type(part) for part in started] == [ThinkingPart, TextPart]


async def test_thinking_is_what_is_scored() -> None:
    answers = [ModelResponse([ThinkingPart(thought), TextPart("Done.")]) for thought in (BAD, GOOD)]
    run = await Agent(BestOfNModel(scripted(*answers), n=2)).run(QUESTION)
    assert run.response.thinking == GOOD
    best = result_of(run.response).best
    assert (best.trace.reasoning, best.response, best.index) == (GOOD, "Done.", 1)


async def test_tools_run_once_and_their_results_are_part_of_the_question() -> None:
    seen: list[object] = []

    class Watching:
        name = "watching"

        def score(self, question: object, traces: list[object]) -> list[float]:
            seen.append(question)
            return [float(len(trace.reasoning)) for trace in traces]  # type: ignore[attr-defined]

    def call(a: int) -> ModelResponse:
        return ModelResponse([ToolCallPart("double", {"a": a}, tool_call_id=f"call-{a}")])

    model = scripted(call(1), call(1000), said(BAD), said(GOOD + " Yes, it is 156, and that is all."))
    agent = Agent(BestOfNModel(model, n=2, scorer=Watching()), system_prompt="Use the tool.")  # type: ignore[arg-type]
    doubled: list[int] = []

    @agent.tool_plain
    def double(a: int) -> int:
        doubled.append(a)
        return 2 * a

    run = await agent.run(QUESTION)
    assert doubled == [1000]
    assert run.output.startswith(GOOD)
    assert seen[-1] == [
        {"role": "system", "content": "Use the tool."},
        {"role": "user", "content": QUESTION},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call-1000", "function": {"name": "double", "arguments": '{"a":1000}'}}],
        },
        {"role": "tool", "tool_call_id": "call-1000", "content": "2000"},
    ]


class Product(BaseModel):
    working: str
    value: int


@pytest.mark.parametrize("text", [False, True])
async def test_structured_output_is_validated_after_the_choice(text: bool) -> None:
    from pydantic_ai import PromptedOutput

    products = [Product(working=working, value=value) for working, value in ((BAD, 146), (GOOD, 156))]
    answers = [
        said(p.model_dump_json()) if text else ModelResponse([ToolCallPart("final_result", p.model_dump())])
        for p in products
    ]
    output: type[Product] | PromptedOutput[Product] = PromptedOutput(Product) if text else Product
    run = await Agent(BestOfNModel(scripted(*answers), n=2), output_type=output).run(QUESTION)
    assert run.output == products[1]


async def test_a_stronger_model_is_opened_and_closed_with_the_wrapped_one() -> None:
    class Watched(FunctionModel):
        events: ClassVar[list[str]] = []

        async def __aenter__(self) -> Self:
            self.events.append("opened")
            return await super().__aenter__()

        async def __aexit__(self, *error: Any) -> bool | None:
            self.events.append("closed")
            return await super().__aexit__(*error)

    async def function(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return said(GOOD)

    model = BestOfNModel(scripted(said(GOOD), said(BAD)), n=2, min_confidence=1.0, escalate=Watched(function))
    async with Agent(model) as agent:
        run = await agent.run(QUESTION)
    assert result_of(run.response).escalated
    assert Watched.events == ["opened", "closed"]
    assert run.usage.output_tokens == 15  # of all three


async def test_when_all_fail_the_models_own_error_is_raised_and_a_fallback_goes_on() -> None:
    with OpenAIServer(error(400, "no such thing")) as server:
        model = BestOfNModel(openai_model(server), n=3)
        async with Agent(model) as agent:
            with pytest.raises(ModelHTTPError, match="no such thing") as caught:
                await agent.run(QUESTION)
        assert isinstance(caught.value.__cause__, GenerationError)
        assert "0 of 3" in str(caught.value.__cause__)
        async with Agent(FallbackModel(model, scripted(said(GOOD)))) as agent:
            run = await agent.run(QUESTION)
    assert run.output == GOOD


async def test_an_answer_without_text_is_left_to_the_framework() -> None:
    # An agent asks again where a message is empty; an error of ours would have ended the run.
    model = BestOfNModel(scripted(ModelResponse([]), ModelResponse([]), said(BAD), said(GOOD)), n=2)
    run = await Agent(model).run(QUESTION)
    assert run.output == GOOD
    empty = next(message for message in run.all_messages() if isinstance(message, ModelResponse))
    assert [failure.stage for failure in result_of(empty).failures] == ["read", "read"]


async def test_a_scorer_that_fails_is_an_error_that_keeps_the_answers() -> None:
    class Broken:
        def score(self, question: object, traces: list[object]) -> list[float]:
            raise OSError("no scorer")

    agent = Agent(BestOfNModel(scripted(said(GOOD), said(BAD)), n=2, scorer=Broken(), select="best"))  # type: ignore[arg-type]
    with pytest.raises(ScoringError, match="no scorer") as caught:
        await agent.run(QUESTION)
    assert caught.value.partial is not None
    assert len(caught.value.partial.candidates) == 2


async def test_answers_that_come_later_are_refused() -> None:
    later = ModelResponse([TextPart("…")], state="suspended")
    with pytest.raises(UserError, match="background mode"):
        await Agent(BestOfNModel(scripted(later), n=1)).run(QUESTION)


async def test_a_stored_history_reads_back_and_goes_on() -> None:
    numbers = count()

    async def function(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return said(f"{GOOD} {next(numbers)}")

    agent = Agent(BestOfNModel(FunctionModel(function), n=3))
    first = await agent.run(QUESTION)
    stored = first.all_messages_json()
    assert stored.count(QUESTION.encode()) == 1
    history = ModelMessagesTypeAdapter.validate_json(stored)
    assert result_of(history[-1]) == result_of(first.response)  # type: ignore[arg-type]
    assert result_of(first.response).best.score is not None
    second = await agent.run("Again?", message_history=history)
    assert len(second.all_messages()) == 4


def test_what_the_question_is_made_of() -> None:
    chat = _chat(
        [
            ModelRequest([UserPromptPart(["Look:", ImageUrl("https://example.com/a.png"), "What is it?"])]),
            ModelResponse([ThinkingPart("A cat."), TextPart("A cat.")]),
            ModelRequest([ToolReturnPart("t", {"a": 1}, "c")], instructions="Be brief."),
        ]
    )
    assert chat == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Look:\nWhat is it?"},
        {"role": "assistant", "content": "A cat.", "reasoning_content": "A cat."},
        {"role": "tool", "tool_call_id": "c", "content": '{"a":1}'},
    ]
    assert _chat([]) == ""


async def test_bad_settings_say_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        BestOfNModel(scripted(), n=0)
    with pytest.raises(ConfigurationError, match="select"):
        await Agent(BestOfNModel(scripted(said(GOOD)), n=1, select="worst")).run("?")  # type: ignore[arg-type]


def test_the_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['pydantic_ai'] = None; import me2sdk.adapters.pydantic_ai"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert 'Run: pip install "me2sdk[pydantic-ai]"' in done.stderr.splitlines()[-1]
