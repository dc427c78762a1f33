from __future__ import annotations

import importlib
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, convert_to_openai_messages
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, ValidationError
from support.fake_provider import Behaviour, OpenAIServer, Reply, error

from me2sdk import BestOfNResult, Escalate
from me2sdk.adapters.langchain import BestOfNChatModel, ReasoningReranker
from me2sdk.errors import GenerationError, InvalidTraceError
from me2sdk.scorers.mini import MiniScorer

GOOD, BAD = "12 * 13 = 120 + 36 = 156. The answer is 156.", "12 * 13 = 140, or 12 * 13 = 141. Hmm. It is 146."
PROMPT = ChatPromptTemplate.from_messages([("system", "Solve."), ("human", "{question}")])
ASKED = {"question": "12 * 13?"}


class OpenAIChat(BaseChatModel):
    """A chat model over OpenAI's client, as partner packages write them."""

    url: str

    @property
    def _llm_type(self) -> str:
        return "openai-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": "gpt-4o-mini", "url": self.url}

    def _request(self, messages: Any, stop: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        assert kwargs.pop("ls_structured_output_format", None) is None
        ends = {"stop": stop} if stop else {}
        return {"model": "gpt-4o-mini", "messages": convert_to_openai_messages(messages), **ends, **kwargs}

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        with openai.OpenAI(base_url=self.url, api_key="sk-test", max_retries=0) as client:
            return _result(client.chat.completions.create(**self._request(messages, stop, kwargs)))

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        async with openai.AsyncOpenAI(base_url=self.url, api_key="sk-test", max_retries=0) as client:
            return _result(await client.chat.completions.create(**self._request(messages, stop, kwargs)))

    def bind_tools(self, tools: Any, *, tool_choice: Any = None, **kwargs: Any) -> Any:
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)


def _result(completion: Any) -> ChatResult:
    choice = completion.choices[0]
    usage = {
        "input_tokens": completion.usage.prompt_tokens,
        "output_tokens": completion.usage.completion_tokens,
        "total_tokens": completion.usage.total_tokens,
    }
    message = AIMessage(
        choice.message.content or "",
        additional_kwargs={"reasoning_content": getattr(choice.message, "reasoning_content", None)},
        tool_calls=[
            {"name": c.function.name, "args": json.loads(c.function.arguments), "id": c.id}
            for c in choice.message.tool_calls or ()
        ],
        usage_metadata=usage,
        response_metadata={"finish_reason": choice.finish_reason, "model_name": completion.model},
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def best_of(server: OpenAIServer, n: int = 3, **settings: Any) -> BestOfNChatModel:
    return BestOfNChatModel(model=OpenAIChat(url=server.url), n=n, **settings)


def called(name: str, **arguments: Any) -> Reply:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return Reply(
        None, {"tool_calls": [{"id": "call-1", "type": "function", "function": function}]}, "tool_calls"
    )


@pytest.fixture
def mixed() -> Iterator[OpenAIServer]:
    """Of each three answers the second fails and the third is the best."""
    texts: list[Behaviour] = [BAD, error(500), GOOD]
    with OpenAIServer(lambda request: texts[request.number % 3]) as server:
        yield server


def result_of(message: Any) -> BestOfNResult:
    return BestOfNResult.model_validate(message.response_metadata["me2sdk"])


def test_a_chain_returns_the_best_answer_and_says_how_it_was_chosen(mixed: OpenAIServer) -> None:
    answer = (PROMPT | best_of(mixed)).invoke(ASKED)
    assert answer.content == GOOD
    result = result_of(answer)
    assert [candidate.response for candidate in result.candidates] == [GOOD, BAD]
    assert [failure.status for failure in result.failures] == [500]
    assert result.best.model == "gpt-4o-mini"
    assert answer.usage_metadata == {"input_tokens": 14, "output_tokens": 10, "total_tokens": 24}
    assert mixed.requests[0].body["messages"] == [
        {"role": "system", "content": "Solve."},
        {"role": "user", "content": "12 * 13?"},
    ]


async def test_the_asynchronous_chain_does_the_same(mixed: OpenAIServer) -> None:
    answer = await (PROMPT | best_of(mixed)).ainvoke(ASKED)
    assert answer.content == GOOD
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 24
    assert len(result_of(answer).failures) == 1


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
def test_the_result_survives_serialisation(mixed: OpenAIServer) -> None:
    answer = best_of(mixed).invoke("12 * 13?")
    back = loads(dumps(answer), allowed_objects=[AIMessage])
    assert back == answer
    assert result_of(back) == result_of(answer)
    assert AIMessage.model_validate_json(answer.model_dump_json()) == answer
    assert result_of(answer).best.trace.question is None  # the conversation holds it anyway


async def test_candidates_are_asked_for_side_by_side() -> None:
    with OpenAIServer(GOOD) as server:
        server.gate.clear()
        import asyncio

        work = asyncio.create_task(best_of(server, 4).ainvoke("?"))
        await asyncio.to_thread(server.wait_for, lambda: server.in_flight == 4)
        server.gate.set()
        await work
    assert server.max_in_flight == 4


def test_streaming_yields_the_chosen_answer(mixed: OpenAIServer) -> None:
    assert list((PROMPT | best_of(mixed) | StrOutputParser()).stream(ASKED)) == [GOOD]
    (chunk,) = list(best_of(mixed).stream("12 * 13?"))
    assert isinstance(chunk, AIMessageChunk)
    assert chunk.usage_metadata is not None
    assert chunk.usage_metadata["total_tokens"] == 24
    assert len(result_of(chunk).candidates) == 2


async def test_asynchronous_streams_and_events_hold_the_chosen_answer_alone(mixed: OpenAIServer) -> None:
    chain = PROMPT | best_of(mixed) | StrOutputParser()
    assert [text async for text in chain.astream(ASKED)] == [GOOD]
    events = [event async for event in chain.astream_events(ASKED, version="v2")]
    tokens = [e["data"]["chunk"].content for e in events if e["event"] == "on_chat_model_stream"]
    assert tokens == [GOOD]
    ends = [e for e in events if e["event"] == "on_chat_model_end" and e["name"] == "OpenAIChat"]
    assert len(ends) == 2
    assert all("nostream" in e["tags"] for e in ends)


def test_a_batch_gets_a_best_answer_each() -> None:
    # One failure in all: requests of a batch arrive in any order, and three could be those of one answer.
    with OpenAIServer(lambda request: GOOD if request.number else error(500)) as server:
        answers = (PROMPT | best_of(server, 3) | StrOutputParser()).batch([ASKED] * 3)
        assert answers == [GOOD] * 3
        assert len(server.requests) == 9


def test_where_every_call_fails_the_models_own_error_is_raised() -> None:
    with OpenAIServer(error(429, "slow down")) as server:
        with pytest.raises(openai.RateLimitError, match="slow down") as caught:
            best_of(server, 2).invoke("?")
        assert isinstance(caught.value.__cause__, GenerationError)
        spare = GenericFakeChatModel(messages=iter(["spare"]))
        guarded = best_of(server, 2).with_fallbacks([spare], exceptions_to_handle=(openai.RateLimitError,))
        assert guarded.invoke("?").content == "spare"
        assert len(server.requests) == 4


def test_fallbacks_retries_and_bound_arguments_of_the_wrapped_model_hold() -> None:
    with OpenAIServer([error(500), GOOD]) as server:
        model = OpenAIChat(url=server.url).bind(temperature=0.5).with_retry(stop_after_attempt=2)
        assert BestOfNChatModel(model=model, n=1).invoke("?").content == GOOD
        assert [request.body["temperature"] for request in server.requests] == [0.5, 0.5]
    with OpenAIServer(error(500)) as broken, OpenAIServer(GOOD) as healthy:
        chained = OpenAIChat(url=broken.url).with_fallbacks([OpenAIChat(url=healthy.url)])
        assert BestOfNChatModel(model=chained, n=2).invoke("?").content == GOOD
        assert len(broken.requests) == len(healthy.requests) == 2


def test_tools_are_passed_through_and_the_best_call_comes_back() -> None:
    @tool
    def multiply(a: int, b: int) -> int:
        """Multiply."""
        return a * b

    calls = [called("multiply", a=12, b=14), called("multiply", a=12, b=13)]

    class Right:
        def score(self, question: Any, traces: Any) -> list[float]:
            return [float("13" in trace.response) for trace in traces]

    with OpenAIServer(lambda request: calls[request.number % 2]) as server:
        answer = best_of(server, 2, scorer=Right()).bind_tools([multiply]).invoke("12 * 13?")
        assert answer.tool_calls == [
            {"name": "multiply", "args": {"a": 12, "b": 13}, "id": "call-1", "type": "tool_call"}
        ]
        assert multiply.invoke(answer.tool_calls[0]).content == "156"
        assert server.requests[0].body["tools"][0]["function"]["name"] == "multiply"
        (chunk,) = best_of(server, 2, scorer=Right()).bind_tools([multiply]).stream("12 * 13?")
        assert chunk.tool_calls == answer.tool_calls


class Solution(BaseModel):
    """A worked solution."""

    steps: str
    value: int


class StructuredChat(OpenAIChat):
    """Has a structured output of its own, as ChatOpenAI has."""

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **kwargs: Any) -> Any:
        model = self.bind(response_format={"type": "json_object"})
        parse = RunnableLambda(lambda message: schema.model_validate_json(message.content))
        if include_raw:
            return RunnableParallel(raw=model) | RunnableLambda(
                lambda d: {**d, "parsed": parse.invoke(d["raw"])}
            )
        return model | parse


@pytest.mark.parametrize("include_raw", [False, True])
def test_structured_output_is_the_wrapped_models_own(include_raw: bool) -> None:
    steps = itertools.cycle([BAD, GOOD])
    with OpenAIServer(lambda request: json.dumps({"steps": next(steps), "value": 156})) as server:
        model = BestOfNChatModel(model=StructuredChat(url=server.url), n=2)
        found: Any = model.with_structured_output(Solution, include_raw=include_raw).invoke("12 * 13?")
        assert (found["parsed"] if include_raw else found).steps == GOOD
        assert all(request.body["response_format"] for request in server.requests)
        if include_raw:
            assert len(result_of(found["raw"]).candidates) == 2


def test_reasoning_fields_and_cut_off_answers_are_read() -> None:
    replies = [Reply("156", {"reasoning_content": GOOD}), Reply("146", {"reasoning_content": BAD}, "length")]
    with OpenAIServer(lambda request: replies[request.number % 2]) as server:
        result = result_of(best_of(server, 2).invoke("12 * 13?"))
    assert [candidate.trace.reasoning for candidate in result.candidates] == [GOOD, BAD]
    assert [candidate.trace.truncated for candidate in result.candidates] == [False, True]
    blocks = [{"type": "thinking", "thinking": GOOD}, {"type": "text", "text": "156"}]
    spoken = AIMessage(blocks, response_metadata={"model_provider": "anthropic", "stop_reason": "max_tokens"})
    model = BestOfNChatModel(model=GenericFakeChatModel(messages=iter([spoken])), n=1)
    best = result_of(model.invoke("12 * 13?")).best
    assert (best.trace.reasoning, best.response, best.trace.truncated) == (GOOD, "156", True)


class Seen(BaseCallbackHandler):
    def __init__(self) -> None:
        self.parents: list[Any] = []
        self.runs: list[Any] = []
        self.metadata: list[Any] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: Any, **kwargs: Any) -> None:
        self.runs.append(run_id)
        self.parents.append(kwargs["parent_run_id"])
        self.metadata.append(kwargs["metadata"])


async def test_callbacks_see_the_candidates_below_the_wrapper_and_count_tokens_once(
    mixed: OpenAIServer,
) -> None:
    for invoke in ("invoke", "ainvoke"):
        seen, counter = Seen(), UsageMetadataCallbackHandler()
        config = {"callbacks": [seen, counter], "metadata": {"user": "ada"}}
        done = getattr(best_of(mixed), invoke)("12 * 13?", config=config)
        if invoke == "ainvoke":
            await done
        assert seen.parents == [None, *[seen.runs[0]] * 3]
        assert all(metadata["user"] == "ada" for metadata in seen.metadata)
        assert counter.usage_metadata["gpt-4o-mini"]["total_tokens"] == 24


def test_a_cache_keeps_the_chosen_answer_and_never_repeats_a_candidate() -> None:
    texts = itertools.cycle([BAD, GOOD])
    with OpenAIServer(lambda request: next(texts)) as server:
        cache = InMemoryCache()
        model = BestOfNChatModel(model=OpenAIChat(url=server.url, cache=cache), n=2, cache=cache)
        first, again = model.invoke("?"), model.invoke("?")
        assert len(server.requests) == 2
        assert first.content == again.content == GOOD
        other = BestOfNChatModel(model=OpenAIChat(url=server.url, cache=cache), n=3, cache=cache)
        other.invoke("?")  # other settings, another answer
        assert len(server.requests) == 5


def test_settings_that_change_the_choice_change_the_key_in_a_cache() -> None:
    def key(**settings: Any) -> str:
        model = GenericFakeChatModel(messages=iter([]))
        return repr(BestOfNChatModel(model=model, **settings)._identifying_params)

    spare = GenericFakeChatModel(messages=iter([]))
    settings: list[dict[str, Any]] = [
        {}, {"n": 3}, {"scorer": "shortest"}, {"select": "vote"}, {"answer": "json"}, {"stop": "sure"},
        {"min_confidence": 0.5}, {"escalate": spare}, {"escalate": Escalate(spare, n=2)}, {"deadline": 9.0},
    ]  # fmt: skip
    assert len({key(**one) for one in settings}) == len(settings)


def test_the_stop_of_a_call_ends_answers_and_that_of_the_wrapper_ends_the_sampling() -> None:
    with OpenAIServer(GOOD) as server:
        answer = best_of(server, 4, stop="sure").invoke("12 * 13?", stop=["END"])
        assert {tuple(request.body["stop"]) for request in server.requests} == {("END",)}
    result = result_of(answer)
    assert (result.asked, result.stopped_early) == (3, True)


def test_a_stronger_model_gets_the_same_tools_and_the_same_schema() -> None:
    @tool
    def multiply(a: int, b: int) -> int:
        """Multiply."""
        return a * b

    def asked(build: Callable[[BestOfNChatModel], Any], weak: list[Behaviour], strong: Behaviour) -> Any:
        def behave(request: Any) -> Behaviour:
            return strong if request.number >= len(weak) else weak[request.number]

        with OpenAIServer(behave) as server:
            escalate = Escalate(StructuredChat(url=server.url), below=1)
            model = BestOfNChatModel(
                model=StructuredChat(url=server.url), n=2, answer="text", escalate=escalate, max_concurrency=1
            )
            found = build(model).invoke("12 * 13?")
            assert len(server.requests) == 3
            first, last = server.requests[0].body, server.requests[-1].body
            assert first == last
            return found

    texts: list[Behaviour] = [
        json.dumps({"steps": steps, "value": value}) for steps, value in ((BAD, 146), (GOOD, 147))
    ]
    strong = json.dumps({"steps": GOOD, "value": 156})
    found = asked(lambda model: model.with_structured_output(Solution), texts, strong)
    assert found.value in (146, 147, 156)
    calls: list[Behaviour] = [called("multiply", a=12, b=14), called("multiply", a=12, b=15)]
    answer = asked(lambda model: model.bind_tools([multiply]), calls, called("multiply", a=12, b=13))
    assert result_of(answer).escalated


def test_bad_settings_say_what_to_do(mixed: OpenAIServer) -> None:
    with pytest.raises(ValidationError, match="escalate must be a LangChain chat model, not a str"):
        best_of(mixed, escalate="openai/gpt-4o")
    with pytest.raises(ValidationError, match="must be a LangChain chat model, not a str"):
        BestOfNChatModel(model="gpt-4o-mini")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="at least 1"):
        best_of(mixed, 0)
    with pytest.raises(ValueError, match="Wrap a chat model, not a chain"):
        BestOfNChatModel(model=OpenAIChat(url=mixed.url) | StrOutputParser(), n=1).invoke("?")  # type: ignore[arg-type]


def documents() -> list[Document]:
    return [Document(page_content=text, metadata={"id": k}) for k, text in enumerate((BAD, "", GOOD))]


async def test_the_reranker_orders_documents() -> None:
    for reranker, kept in ((ReasoningReranker(), 3), (ReasoningReranker(top_n=1), 1)):
        ordered = reranker.compress_documents(documents(), "12 * 13?")
        assert [d.metadata["id"] for d in ordered] == [2, 0, 1][:kept]
        assert await reranker.acompress_documents(documents(), "12 * 13?") == ordered
    assert ordered[0].metadata["reward"] < 0
    assert ReasoningReranker().compress_documents(documents(), "?")[-1].metadata["reward"] is None
    assert ReasoningReranker().compress_documents([], "?") == []


def test_the_reranker_says_how_sure_the_choice_is() -> None:
    texts = [GOOD, f"{BAD} The answer is 146.", f"{BAD} Hmm. The answer is 146."]
    documents = [Document(page_content=text) for text in texts]
    alone = MiniScorer.load().alone()  # which does not look at the others
    best, _, odd = ReasoningReranker(min_confidence=1, scorer=alone).compress_documents(documents, "12 * 13?")
    assert (best.page_content in texts[1:], odd.page_content) == (True, GOOD)
    told = best.metadata["me2sdk"]
    assert (told["chosen_by"], told["abstained"]) == ("agreement and reward", True)
    assert best.metadata["confidence"] == told["confidence"] > odd.metadata["confidence"]
    assert odd.metadata["reward"] > best.metadata["reward"]
    by_reward = ReasoningReranker(select="best", scorer=alone).compress_documents(documents, "12 * 13?")
    assert by_reward[0].page_content == GOOD
    by_text = ReasoningReranker(answer="text").compress_documents(documents, "12 * 13?")
    assert len(by_text[0].metadata["me2sdk"]["answers"]) == 3


async def test_the_reranker_is_a_step_of_a_chain() -> None:
    def sampled(text: str) -> Callable[[Any], AIMessage]:
        return lambda _: AIMessage(text)

    candidates = RunnableParallel(a=sampled(BAD), b=sampled(GOOD)) | RunnableLambda(
        lambda d: list(d.values())
    )
    chain = RunnableParallel(question=PROMPT, candidates=candidates) | ReasoningReranker().as_runnable()
    best, worst = chain.invoke(ASKED)
    assert (best.content, worst.content) == (GOOD, BAD)
    assert best.response_metadata["reward"] > worst.response_metadata["reward"]
    assert (await chain.ainvoke(ASKED))[0].content == GOOD
    step = ReasoningReranker(top_n=1).as_runnable()
    assert step.invoke({"question": [HumanMessage("12 * 13?")], "candidates": [BAD, GOOD]}) == [GOOD]
    with pytest.raises(InvalidTraceError, match=r'needs \{"question"'):
        step.invoke({"question": "?"})


def test_without_langchain_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("langchain", "langchain.model", "langchain.messages", "langchain.reranker"):
        monkeypatch.delitem(sys.modules, f"me2sdk.adapters.{name}", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "langchain_core"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'Run: pip install "me2sdk\[langchain\]"'):
        importlib.import_module("me2sdk.adapters.langchain")
