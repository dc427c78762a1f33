from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from agents import Agent, Model, ModelProvider, ModelSettings, RunConfig, Runner, function_tool
from agents.exceptions import ModelBehaviorError, UserError
from agents.items import ModelResponse
from agents.models.openai_chatcompletions import OpenAIChatCompletionsModel
from agents.usage import Usage
from openai import AsyncOpenAI, BadRequestError
from openai.types.responses import ResponseOutputMessage, ResponseOutputText, ResponseTextDeltaEvent
from pydantic import BaseModel
from support.fake_provider import OpenAIServer, Reply, error

from me2sdk.adapters._shared import as_assistant, as_chat
from me2sdk.adapters.openai_agents import BestOfNModel, BestOfNProvider
from me2sdk.errors import ConfigurationError, GenerationError
from me2sdk.schema import BestOfNResult

QUESTION = "What is 12 * 13?"
GOOD, BAD = "12 * 13 = 120 + 36 = 156. The answer is 156.", "12 * 13 = 140, or 12 * 13 = 141. Hmm. It is 146."
QUIET = RunConfig(tracing_disabled=True)


class Client:
    """The SDK's own model of a server; closes its connections."""

    def __init__(self, server: OpenAIServer) -> None:
        self.client = AsyncOpenAI(base_url=server.url, api_key="sk-test", max_retries=0)
        self.model = OpenAIChatCompletionsModel("gpt-4o-mini", self.client)

    async def __aenter__(self) -> OpenAIChatCompletionsModel:
        return self.model

    async def __aexit__(self, *exc: object) -> None:
        await self.client.close()


def result_of(response: object) -> BestOfNResult:
    result = response.best_of_n  # type: ignore[attr-defined]
    assert isinstance(result, BestOfNResult)
    return result


async def test_the_best_answer_is_the_runs_output() -> None:
    with OpenAIServer([BAD, error(400, "broken"), GOOD, BAD]) as server:
        async with Client(server) as model:
            best_of_4 = BestOfNModel(model, n=4, select="best")
            agent = Agent(name="Tutor", instructions="Be brief.", model=best_of_4)
            run = await Runner.run(agent, QUESTION, run_config=QUIET)
    assert run.final_output == GOOD
    result = result_of(run.raw_responses[-1])
    assert [candidate.response for candidate in result.candidates] == [GOOD, BAD, BAD]
    assert all(candidate.score is not None for candidate in result.candidates)
    assert [(failure.status, failure.model) for failure in result.failures] == [(400, "gpt-4o-mini")]
    usage = run.context_wrapper.usage
    assert (usage.requests, usage.input_tokens, usage.output_tokens, usage.total_tokens) == (3, 21, 15, 36)
    assert len(usage.request_usage_entries) == 3
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (21, 15)
    assert result.best.trace.question == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": QUESTION},
    ]


def test_run_sync_and_a_provider_that_wraps_what_agents_name() -> None:
    with OpenAIServer([BAD, GOOD]) as server:
        client = Client(server)
        asked: list[str | None] = []

        class Provider(ModelProvider):
            def get_model(self, model_name: str | None) -> Model:
                asked.append(model_name)
                return client.model

            async def aclose(self) -> None:
                await client.client.close()

        provider = BestOfNProvider(Provider(), n=2, scorer="mini")
        config = RunConfig(tracing_disabled=True, model_provider=provider)
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            run = Runner.run_sync(Agent(name="Tutor", model="some-name"), QUESTION, run_config=config)
            loop.run_until_complete(provider.aclose())
        finally:
            asyncio.set_event_loop(None)
            loop.close()
    assert (run.final_output, asked) == (GOOD, ["some-name"])
    assert len(result_of(run.raw_responses[-1]).candidates) == 2


async def test_a_stream_yields_the_events_of_the_chosen_answer() -> None:
    with OpenAIServer([BAD, error(400, "broken"), GOOD]) as server:
        async with Client(server) as model:
            run = Runner.run_streamed(
                Agent(name="Tutor", model=BestOfNModel(model, n=3)), QUESTION, run_config=QUIET
            )
            events = [event.data async for event in run.stream_events() if event.type == "raw_response_event"]
    deltas = [event.delta for event in events if isinstance(event, ResponseTextDeltaEvent)]
    assert len(deltas) == 2
    assert "".join(deltas) == run.final_output == GOOD
    assert all(request.body["stream"] for request in server.requests)
    usage = run.context_wrapper.usage
    assert (usage.requests, usage.input_tokens, usage.output_tokens, usage.total_tokens) == (2, 14, 10, 24)
    end = next(event.response for event in events if event.type == "response.completed")
    assert (end.usage.output_tokens, end.usage.total_tokens) == (10, 24)
    assert [candidate.response for candidate in result_of(end).candidates] == [GOOD, BAD]
    assert [failure.status for failure in result_of(end).failures] == [400]


def tool_call(a: int) -> Reply:
    function = {"name": "double", "arguments": json.dumps({"a": a})}
    return Reply(
        None, {"tool_calls": [{"id": f"call-{a}", "type": "function", "function": function}]}, "tool_calls"
    )


class Longest:
    """Prefers the longest; keeps what it was asked."""

    name = "longest"

    def __init__(self) -> None:
        self.questions: list[object] = []

    def score(self, question: object, traces: list[Any]) -> list[float]:
        self.questions.append(question)
        return [float(len(trace.reasoning)) for trace in traces]


@pytest.mark.parametrize("streamed", [False, True])
async def test_tools_run_once_and_their_results_are_part_of_the_question(streamed: bool) -> None:
    doubled: list[int] = []

    @function_tool
    def double(a: int) -> int:
        """Twice a number."""
        doubled.append(a)
        return 2 * a

    scorer = Longest()
    with OpenAIServer(
        [tool_call(1), tool_call(1000), BAD, GOOD + " Yes, 156 it is, and no other."]
    ) as server:
        async with Client(server) as model:
            chosen = BestOfNModel(model, n=2, scorer=scorer, max_concurrency=1)
            agent = Agent(name="Tutor", tools=[double], model=chosen)
            if streamed:
                run: Any = Runner.run_streamed(agent, QUESTION, run_config=QUIET)
                assert [event.type async for event in run.stream_events()]
            else:
                run = await Runner.run(agent, QUESTION, run_config=QUIET)
    assert doubled == [1000]
    assert run.final_output.startswith(GOOD)
    function = {"name": "double", "arguments": '{"a": 1000}'}
    call = {"id": "call-1000", "type": "function", "function": function}
    assert scorer.questions[-1] == [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call-1000", "content": "2000"},
    ]


async def test_reasoning_is_what_is_scored() -> None:
    with OpenAIServer([Reply("Done.", {"reasoning_content": thought}) for thought in (BAD, GOOD)]) as server:
        async with Client(server) as model:
            run = await Runner.run(
                Agent(name="T", model=BestOfNModel(model, n=2)), QUESTION, run_config=QUIET
            )
    best = result_of(run.raw_responses[-1]).best
    assert (best.trace.reasoning, best.response, run.final_output) == (GOOD, "Done.", "Done.")
    reasoning = next(item for item in run.raw_responses[-1].output if item.type == "reasoning")
    assert reasoning.summary[0].text == GOOD


class Product(BaseModel):
    working: str
    value: int


async def test_structured_output_is_validated_after_the_choice() -> None:
    products = [Product(working=working, value=value) for working, value in ((BAD, 146), (GOOD, 156))]
    with OpenAIServer([product.model_dump_json() for product in products]) as server:
        async with Client(server) as model:
            agent = Agent(name="Tutor", model=BestOfNModel(model, n=2), output_type=Product)
            run = await Runner.run(agent, QUESTION, run_config=QUIET)
    assert run.final_output == products[1]


@pytest.mark.parametrize("streamed", [False, True])
async def test_when_all_fail_the_models_own_error_is_raised(streamed: bool) -> None:
    with OpenAIServer(error(400, "no such thing")) as server:
        async with Client(server) as model:
            agent = Agent(name="Tutor", model=BestOfNModel(model, n=3))

            async def run() -> None:
                if not streamed:
                    await Runner.run(agent, QUESTION, run_config=QUIET)
                    return
                async for _ in Runner.run_streamed(agent, QUESTION, run_config=QUIET).stream_events():
                    pass

            with pytest.raises(BadRequestError, match="no such thing") as caught:
                await run()
    assert isinstance(caught.value.__cause__, GenerationError)
    assert "0 of 3" in str(caught.value.__cause__)


async def test_an_answer_that_filled_max_tokens_stands_behind_a_finished_one() -> None:
    script = [Reply(GOOD, finish_reason="length", usage=(7, 30)), Reply(BAD, usage=(7, 29))]
    settings = ModelSettings(max_tokens=30)
    with OpenAIServer(script) as server:
        async with Client(server) as model:
            agent = Agent(name="Tutor", model=BestOfNModel(model, n=2), model_settings=settings)
            run = await Runner.run(agent, QUESTION, run_config=QUIET)
    assert run.final_output == BAD


class Scripted(Model):
    """A model of the user's own."""

    def __init__(self, *outputs: list[Any]) -> None:
        self.outputs: Iterator[list[Any]] = iter(outputs)
        self.closed = False

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        return ModelResponse(output=next(self.outputs), usage=Usage(), response_id=None)

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        for event in next(self.outputs):
            yield event

    async def close(self) -> None:
        self.closed = True


def message(text: str, status: str = "completed") -> ResponseOutputMessage:
    content = [ResponseOutputText(text=text, type="output_text", annotations=[])]
    return ResponseOutputMessage(id="m", content=content, role="assistant", status=status, type="message")  # type: ignore[arg-type]


async def test_any_model_can_be_wrapped() -> None:
    model = BestOfNModel(Scripted([message(GOOD, "incomplete")], [message(BAD)], [message("")]), n=3)
    run = await Runner.run(Agent(name="Tutor", model=model), QUESTION, run_config=QUIET)
    assert run.final_output == BAD  # the better one was cut off
    assert [failure.stage for failure in result_of(run.raw_responses[-1]).failures] == ["read"]
    assert result_of(run.raw_responses[-1]).candidates[1].trace.truncated
    await model.close()
    assert model.wrapped.closed  # type: ignore[attr-defined]
    strong = Scripted()
    await BestOfNModel(Scripted(), escalate=strong).close()
    assert strong.closed
    assert not hasattr(model, "nothing")


async def test_a_stream_without_an_end_counts_as_failed() -> None:
    run = Runner.run_streamed(Agent(name="T", model=BestOfNModel(Scripted([]), n=1)), "?", run_config=QUIET)
    with pytest.raises(ModelBehaviorError, match="without a response"):
        async for _ in run.stream_events():
            pass


async def test_a_conversation_on_the_server_is_refused() -> None:
    agent = Agent(name="Tutor", model=BestOfNModel(Scripted(), n=2))
    with pytest.raises(UserError, match="Leave conversation_id out"):
        await Runner.run(agent, QUESTION, run_config=QUIET, conversation_id="conv_1")


def test_what_questions_and_answers_are_made_of() -> None:
    chat = as_chat(
        "Be brief.",
        [
            {"role": "developer", "content": "In English."},
            {"role": "user", "content": [{"type": "input_text", "text": "Look:"}, {"type": "input_image"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "A cat."}], "content": None},
            {"role": "assistant", "content": [{"type": "output_text", "text": "Hm."}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "1"}]},
            {"type": "web_search_call", "status": "completed"},
        ],
    )
    assert chat == [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "In English."},
        {"role": "user", "content": "Look:"},
        {
            "role": "assistant",
            "content": "Hm.",
            "reasoning_content": "A cat.",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    assert as_assistant([{"type": "web_search_call"}]) == {"role": "assistant", "content": ""}
    refusal = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert as_assistant([refusal]) == {"role": "assistant", "content": "No.", "refusal": "No."}


def test_bad_settings_say_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        BestOfNModel(Scripted(), n=0)


def test_the_missing_extra_is_named() -> None:
    code = "import sys; sys.modules['agents'] = None; import me2sdk.adapters.openai_agents"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert 'Run: pip install "me2sdk[openai-agents]"' in done.stderr.splitlines()[-1]
