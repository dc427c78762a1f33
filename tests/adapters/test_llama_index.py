from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.base.llms.types import ThinkingBlock
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent
from llama_index.core.llms import (
    LLM,
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    CustomLLM,
    LLMMetadata,
    MockLLM,
    TextBlock,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, Field, ValidationError
from support.fake_provider import Behaviour, OpenAIServer, Reply, error

from me2sdk import BestOfNResult
from me2sdk.adapters.llama_index import BestOfNLLM, ReasoningReranker
from me2sdk.errors import ConfigurationError, GenerationError
from me2sdk.scorers.mini import MiniScorer

GOOD, BAD = "12 * 13 = 120 + 36 = 156. The answer is 156.", "12 * 13 = 140, or 12 * 13 = 141. Hmm. It is 146."
ASKED = [ChatMessage("12 * 13?")]


class OpenAILLM(FunctionCallingLLM):
    """An LLM over OpenAI's client, as LlamaIndex' integrations write them."""

    url: str

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="gpt-4o-mini", is_chat_model=True, is_function_calling_model=True)

    def _request(self, messages: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        chat = [{"role": m.role.value, "content": m.content, **m.additional_kwargs} for m in messages]
        return {"model": "gpt-4o-mini", "messages": chat, **kwargs}

    def _answer(self, messages: Any, kwargs: dict[str, Any]) -> ChatResponse:
        with openai.OpenAI(base_url=self.url, api_key="sk-test", max_retries=0) as client:
            return _response(client.chat.completions.create(**self._request(messages, kwargs)))

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        return self._answer(messages, kwargs)

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return _completion(self._answer([ChatMessage(prompt)], kwargs))

    @llm_chat_callback()
    async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        async with openai.AsyncOpenAI(base_url=self.url, api_key="sk-test", max_retries=0) as client:
            return _response(await client.chat.completions.create(**self._request(messages, kwargs)))

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return _completion(await self.achat([ChatMessage(prompt)], **kwargs))

    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        raise AssertionError("whole answers are wanted")

    stream_complete = astream_chat = astream_complete = stream_chat  # type: ignore[assignment]

    def _prepare_chat_with_tools(
        self, tools: Any, user_msg: Any = None, chat_history: Any = None, **kwargs: Any
    ) -> Any:
        message = ChatMessage(user_msg) if isinstance(user_msg, str) else user_msg
        messages = [*(chat_history or []), *([message] if message else [])]
        return {"messages": messages, "tools": [tool.metadata.to_openai_tool() for tool in tools]}

    def get_tool_calls_from_response(
        self, response: Any, error_on_no_tool_call: bool = True, **kw: Any
    ) -> Any:
        calls = response.message.additional_kwargs.get("tool_calls", [])
        return [
            ToolSelection(
                tool_id=c["id"],
                tool_name=c["function"]["name"],
                tool_kwargs=json.loads(c["function"]["arguments"]),
            )
            for c in calls
        ]


def _response(completion: Any) -> ChatResponse:
    said = completion.choices[0].message
    calls = [call.model_dump() for call in said.tool_calls or ()]
    extra = {"tool_calls": calls} if calls else {}
    message = ChatMessage(role="assistant", content=said.content, additional_kwargs=extra)
    return ChatResponse(message=message, raw=completion)


def _completion(response: ChatResponse) -> CompletionResponse:
    return CompletionResponse(text=response.message.content or "", raw=response.raw)


class Recorded(CustomLLM):
    """Gives recorded texts in turn."""

    texts: Any

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=next(self.texts))

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise AssertionError("whole answers are wanted")


@pytest.fixture
def mixed() -> Iterator[OpenAIServer]:
    """Of each three answers the second fails and the third is the best."""
    texts: list[Behaviour] = [BAD, error(500), GOOD]
    with OpenAIServer(lambda request: texts[request.number % 3]) as server:
        yield server


def best_of(server: OpenAIServer, n: int = 3, **settings: Any) -> BestOfNLLM:
    return BestOfNLLM(llm=OpenAILLM(url=server.url), n=n, **settings)


def result_of(response: Any) -> BestOfNResult:
    return BestOfNResult.model_validate(json.loads(json.dumps(response.additional_kwargs["me2sdk"])))


def text_of(response: Any) -> Any:
    return response.text if isinstance(response, CompletionResponse) else response.message.content


def check(response: Any) -> None:
    """The best of the two answers that came back, with the tokens of both."""
    assert text_of(response) == GOOD
    result = result_of(response)
    assert [candidate.response for candidate in result.candidates] == [GOOD, BAD]
    assert [failure.status for failure in result.failures] == [500]
    assert result.best.model == "gpt-4o-mini"
    assert response.additional_kwargs["total_tokens"] == response.raw.usage.total_tokens == 24


def test_the_best_answer_comes_back(mixed: OpenAIServer) -> None:
    check(best_of(mixed).chat(ASKED))
    check(best_of(mixed).complete("12 * 13?"))
    assert best_of(mixed).predict(PromptTemplate("{a} * {b}?"), a=12, b=13) == GOOD
    assert mixed.requests[-1].text == "12 * 13?"


async def test_the_asynchronous_twins_do_the_same(mixed: OpenAIServer) -> None:
    check(await best_of(mixed).achat(ASKED))
    check(await best_of(mixed).acomplete("12 * 13?"))
    assert await best_of(mixed).apredict(PromptTemplate("12 * 13?")) == GOOD


async def test_streams_yield_the_chosen_answer(mixed: OpenAIServer) -> None:
    llm = best_of(mixed)
    answers = [*llm.stream_chat(ASKED), *llm.stream_complete("12 * 13?")]
    answers += [one async for one in await llm.astream_chat(ASKED)]
    answers += [one async for one in await llm.astream_complete("12 * 13?")]
    for answer in answers:
        check(answer)
        assert answer.delta == GOOD
    assert len(answers) == 4
    assert list(llm.stream(PromptTemplate("12 * 13?"))) == [GOOD]


async def test_candidates_are_asked_for_side_by_side() -> None:
    with OpenAIServer(GOOD) as server:
        for call in (best_of(server, 4).achat(ASKED), asyncio.to_thread(best_of(server, 4).chat, ASKED)):
            server.gate.clear()
            work = asyncio.ensure_future(call)
            await asyncio.to_thread(server.wait_for, lambda: server.in_flight == 4)
            server.gate.set()
            await work
    assert server.max_in_flight == 4


def test_where_every_call_fails_the_llms_own_error_is_raised() -> None:
    with OpenAIServer(error(429, "slow down")) as server:
        with pytest.raises(openai.RateLimitError, match="slow down") as caught:
            best_of(server, 2).complete("?")
        assert isinstance(caught.value.__cause__, GenerationError)
        assert len(server.requests) == 2


class Keeper(BaseEventHandler):
    responses: list[Any] = Field(default_factory=list)

    def handle(self, event: Any, **kwargs: Any) -> None:
        if isinstance(event, LLMChatEndEvent) and "me2sdk" in event.response.additional_kwargs:
            self.responses.append(event.response)


def test_a_chat_engine_answers_with_the_best_and_events_tell_why(mixed: OpenAIServer) -> None:
    keeper = Keeper()
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(keeper)
    try:
        memory = ChatMemoryBuffer.from_defaults()  # the default one leaves a database open
        engine = SimpleChatEngine.from_defaults(llm=best_of(mixed), system_prompt="Solve.", memory=memory)
        assert engine.chat("12 * 13?").response == GOOD
    finally:
        dispatcher.event_handlers.remove(keeper)
    (response,) = keeper.responses
    check(response)
    assert [message["role"] for message in mixed.requests[0].body["messages"]] == ["system", "user"]


def test_token_counters_count_every_candidate_once(mixed: OpenAIServer) -> None:
    counter = TokenCountingHandler(tokenizer=str.split)
    best_of(mixed, callback_manager=CallbackManager([counter])).chat(ASKED)
    assert (counter.prompt_llm_token_count, counter.completion_llm_token_count) == (14, 10)


def called(name: str, **arguments: Any) -> Reply:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return Reply(
        None, {"tool_calls": [{"id": "call-1", "type": "function", "function": function}]}, "tool_calls"
    )


def multiply(a: int, b: int) -> int:
    """Multiply."""
    return a * b


# The agent's base class looks at all its members, old ones of pydantic included.
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211")
async def test_an_agent_calls_the_tool_that_the_best_candidate_chose() -> None:
    def answer(request: Any) -> Behaviour:
        if request.body["messages"][-1]["role"] == "tool":
            return GOOD if request.number % 2 else BAD
        return called("multiply", a=12, b=13 if request.number % 2 else 14)

    class Right:
        def score(self, question: Any, traces: Any) -> list[float]:
            return [float("13" in trace.reasoning and "Hmm" not in trace.reasoning) for trace in traces]

    with OpenAIServer(answer) as server:
        agent = FunctionAgent(tools=[multiply], llm=best_of(server, 2, scorer=Right()))
        handler = agent.run("12 * 13?", memory=ChatMemoryBuffer.from_defaults())
        streamed = [event.delta async for event in handler.stream_events() if isinstance(event, AgentStream)]
        result = await handler
    assert str(result) == GOOD
    assert [call.tool_output.content for call in result.tool_calls] == ["156"]
    assert streamed == ["", GOOD]
    assert server.requests[0].body["tools"][0]["function"]["name"] == "multiply"
    with OpenAIServer(answer) as server:
        llm = best_of(server, 2, scorer=Right())
        assert llm.predict_and_call([FunctionTool.from_defaults(multiply)], "12 * 13?").response == "156"


class Solution(BaseModel):
    """A worked solution."""

    steps: str
    value: int


def test_structured_predictions_are_those_of_the_best_candidate() -> None:
    steps = itertools.cycle([BAD, GOOD])
    with OpenAIServer(lambda request: called("Solution", steps=next(steps), value=156)) as server:
        llm = best_of(server, 2)
        assert llm.structured_predict(Solution, PromptTemplate("12 * 13?")).steps == GOOD
        assert llm.as_structured_llm(Solution).complete("12 * 13?").raw.steps == GOOD


def test_an_llm_without_tools_or_usage_works_as_it_did() -> None:
    inner = Recorded(texts=itertools.cycle([BAD, GOOD]), system_prompt="Solve.")
    llm = BestOfNLLM(llm=inner, n=2)
    answer = llm.chat(ASKED)
    assert text_of(answer) == GOOD
    assert "total_tokens" not in answer.additional_kwargs
    assert result_of(answer).usage.total_tokens is None
    assert llm.metadata == inner.metadata
    assert llm.system_prompt == "Solve."  # `predict` reads it from the wrapper
    steps = itertools.cycle(json.dumps({"steps": text, "value": 156}) for text in (BAD, GOOD))
    text_only = BestOfNLLM(llm=Recorded(texts=steps), n=2)
    assert text_only.structured_predict(Solution, PromptTemplate("12 * 13?")).steps == GOOD
    with pytest.raises(ConfigurationError, match=r"Recorded does not call tools.*ReActAgent"):
        llm.chat_with_tools([FunctionTool.from_defaults(multiply)], "12 * 13?")
    assert BestOfNLLM(llm=MockLLM(), n=2).complete("echo").text == "echo"


def test_thinking_blocks_and_cut_off_answers_are_read() -> None:
    replies = iter([(BAD, "146", "max_tokens"), (GOOD, "156", "end_turn")])

    class Thinking(MockLLM):
        @llm_chat_callback()
        def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
            thought, answer, reason = next(replies)
            blocks = [ThinkingBlock(content=thought), TextBlock(text=answer)]
            raw = {"stop_reason": reason, "usage": {"input_tokens": 3, "output_tokens": 2}}
            return ChatResponse(message=ChatMessage(role="assistant", blocks=blocks), raw=raw)

    answer = BestOfNLLM(llm=Thinking(), n=2).chat(ASKED)
    candidates = result_of(answer).candidates
    assert [candidate.trace.reasoning for candidate in candidates] == [GOOD, BAD]
    assert [candidate.trace.truncated for candidate in candidates] == [False, True]
    assert answer.raw["usage"] == {"input_tokens": 6, "output_tokens": 4}
    assert answer.additional_kwargs["total_tokens"] == 10


def test_the_stop_of_a_call_ends_answers_and_that_of_the_wrapper_ends_the_sampling() -> None:
    with OpenAIServer(GOOD) as server:
        answer = best_of(server, 4, stop="sure").chat(ASKED, stop=["END"])
        assert {tuple(request.body["stop"]) for request in server.requests} == {("END",)}
    assert (result_of(answer).asked, result_of(answer).stopped_early) == (3, True)


def test_bad_settings_say_what_to_do_and_no_key_is_written() -> None:
    with pytest.raises(ValidationError, match="escalate must be a LlamaIndex LLM, not a str"):
        BestOfNLLM(llm=MockLLM(), escalate="gpt-4o")
    with pytest.raises(ValidationError, match="must be a LlamaIndex LLM, not a str"):
        BestOfNLLM(llm="gpt-4o-mini")
    with pytest.raises(ValidationError, match="at least 1"):
        BestOfNLLM(llm=MockLLM(), n=0)

    class Keyed(Recorded):
        api_key: str = "sk-secret"

    keyed = Keyed(texts=())
    assert "sk-secret" not in BestOfNLLM(llm=keyed, escalate=keyed).to_json()


async def test_the_reranker_orders_nodes() -> None:
    nodes = [NodeWithScore(node=TextNode(text=text), score=0.5) for text in (BAD, "", GOOD)]
    for reranker, kept in ((ReasoningReranker(), 3), (ReasoningReranker(top_n=1), 1)):
        ordered = reranker.postprocess_nodes(nodes, query_str="12 * 13?")
        assert [node.node for node in ordered] == [nodes[2].node, nodes[0].node, nodes[1].node][:kept]
        assert await reranker.apostprocess_nodes(nodes, query_str="12 * 13?") == ordered
    best, worst, empty = ReasoningReranker().postprocess_nodes(nodes)
    assert best.score is not None
    assert worst.score is not None
    assert best.score > worst.score
    assert empty.score is None
    assert ReasoningReranker().postprocess_nodes([]) == []
    agreeing = [GOOD, *(f"{BAD} The answer is {number}." for number in (146, 146, 147))]
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in agreeing]

    def best_by(**options: Any) -> str:
        return str(ReasoningReranker(**options).postprocess_nodes(nodes, query_str="12 * 13?")[0].text)

    assert best_by() == agreeing[1]
    assert best_by(select="best", scorer=MiniScorer.load().alone()) == GOOD
    assert best_by(answer=r"is (\d\d\d)\.") == agreeing[1]


def test_the_wrapper_is_an_llm_that_calls_tools() -> None:
    assert issubclass(BestOfNLLM, FunctionCallingLLM)
    assert issubclass(BestOfNLLM, LLM)


def test_without_llama_index_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "llama_index",
        "llama_index.model",
        "llama_index.native",
        "llama_index.messages",
        "llama_index.reranker",
    ):
        monkeypatch.delitem(sys.modules, f"me2sdk.adapters.{name}", raising=False)
    for name in [name for name in sys.modules if name.startswith("llama_index.core")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'Run: pip install "me2sdk\[llama-index\]"'):
        importlib.import_module("me2sdk.adapters.llama_index")
