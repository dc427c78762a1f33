from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as conventions
from opentelemetry.semconv.attributes import error_attributes, server_attributes
from opentelemetry.trace import SpanKind, StatusCode
from support.competent_model import competent_model
from support.fake_provider import HANG, OpenAIServer, Reply, error

from me2sdk import (
    GenerationError,
    abest_of_n,
    best_of_n,
    completion,
    judge_pair,
    parse_dag,
    rank_traces,
    rerank,
)
from me2sdk.adapters import otel
from me2sdk.llm import LLM

GOOD, BAD = "12 * 13 = 120 + 36 = 156. The answer is 156.", "12 * 13 = 140, or 12 * 13 = 141. Hmm. It is 146."
KEY = "sk-secret-test-key-123456"
BestOf = Callable[..., Any]


class Spans:
    """What was recorded."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("the application")

    def all(self, name: str | None = None) -> list[ReadableSpan]:
        found = self.exporter.get_finished_spans()
        return [one for one in found if name is None or one.name.startswith(name)]

    def one(self, name: str) -> ReadableSpan:
        (found,) = self.all(name)
        return found

    def below(self, parent: ReadableSpan, name: str) -> list[ReadableSpan]:
        return [one for one in self.all(name) if one.parent and one.parent.span_id == parent.context.span_id]

    def text(self) -> str:
        return "\n".join(one.to_json() for one in self.all())


@pytest.fixture
def spans() -> Iterator[Spans]:
    spans = Spans()
    otel.instrument(spans.provider)
    yield spans
    otel.uninstrument()


def asynchronously(*args: Any, **options: Any) -> Any:
    return asyncio.run(abest_of_n(*args, **options))


def options(server: OpenAIServer, **more: Any) -> dict[str, Any]:
    return {"api_base": server.url, "api_key": KEY, "temperature": 0.5, **more}


@pytest.mark.parametrize("best_of", [best_of_n, asynchronously])
def test_the_tree_of_best_of_n_with_a_candidate_that_failed(best_of: BestOf, spans: Spans) -> None:
    pool = ["openai/bad", "openai/good", "openai/gpt-4o-mini"]
    answers = {"bad": error(401, "wrong key {key}"), "good": Reply(GOOD), "gpt-4o-mini": Reply(BAD)}
    server = OpenAIServer(lambda request: answers[request.body["model"]])
    with server, spans.tracer.start_as_current_span("mine"):
        result = best_of("12 * 13?", model=pool, n=3, **options(server))
    verb = spans.one("invoke_workflow")
    assert verb.name == "invoke_workflow best_of_n"
    assert verb.parent is not None
    assert verb.parent.span_id == spans.one("mine").context.span_id
    assert verb.attributes is not None
    told = {name.removeprefix("me2sdk."): value for name, value in verb.attributes.items()}
    assert (told["n"], told["select"], told["scorer"], told["models"]) == (3, "auto", "mini", tuple(pool))
    assert (told["best.index"], told["best.reward"], told["failures"]) == (1, result.best.score, 1)
    assert (told["calls"], told["prompt_tokens"], told["completion_tokens"]) == (2, 14, 10)
    choice = ("confidence", "chosen_by", "abstained", "asked", "stopped_early", "escalated")
    assert [told[name] for name in choice] == [getattr(result, name) for name in choice]
    assert (0 < told["confidence"] < 1, told["chosen_by"], told["asked"]) == (True, "agreement and reward", 3)
    assert "cost_usd" not in told  # the price of one model is not known

    candidates = spans.below(verb, "candidate")
    assert sorted(one.attributes["me2sdk.index"] for one in candidates) == [0, 1, 2]  # type: ignore[index]
    for one in candidates:
        assert one.attributes is not None
        (call,) = spans.below(one, "chat")
        assert call.attributes is not None
        assert call.kind is SpanKind.CLIENT
        index = one.attributes["me2sdk.index"]
        assert call.name == f"chat {pool[int(index)].removeprefix('openai/')}"  # type: ignore[arg-type]
        if index == 0:
            assert call.status.status_code is one.status.status_code is StatusCode.ERROR
            assert call.attributes["error.type"] == one.attributes["error.type"] == "AuthenticationError"
            assert call.attributes["http.response.status_code"] == 401
            assert not one.events
            continue
        assert call.status.status_code is one.status.status_code is StatusCode.UNSET
        (event,) = one.events
        score = next(candidate.score for candidate in result.candidates if candidate.index == index)
        assert event.name == "gen_ai.evaluation.result"
        assert event.attributes == {"gen_ai.evaluation.name": "mini", "gen_ai.evaluation.score.value": score}
        assert one.attributes["me2sdk.reward"] == score
    scored = [
        rewards for one in spans.below(verb, "score mini") for rewards in one.attributes["me2sdk.rewards"]
    ]  # type: ignore[index, union-attr]
    assert sorted(scored) == sorted(candidate.score for candidate in result.candidates)
    assert KEY not in spans.text()
    assert len({one.context.trace_id for one in spans.all()}) == 1


def test_attributes_of_a_call_have_the_names_of_the_conventions(spans: Spans) -> None:
    with OpenAIServer(Reply(GOOD, finish_reason="length")) as server:
        llm = LLM("openai/gpt-4o-mini", max_tokens=50, seed=3, user="someone@example.com")
        best_of_n("12 * 13?", model=llm, n=1, **options(server))
    attributes = dict(spans.one("chat").attributes or {})
    port = int(server.url.split(":")[2].removesuffix("/v1"))
    for name, value in {
        conventions.GEN_AI_OPERATION_NAME: "chat",
        conventions.GEN_AI_PROVIDER_NAME: "openai",
        conventions.GEN_AI_REQUEST_MODEL: "gpt-4o-mini",
        conventions.GEN_AI_REQUEST_TEMPERATURE: 0.5,
        conventions.GEN_AI_REQUEST_MAX_TOKENS: 50,
        conventions.GEN_AI_REQUEST_SEED: 3,
        conventions.GEN_AI_RESPONSE_FINISH_REASONS: ("length",),
        conventions.GEN_AI_RESPONSE_ID: "chatcmpl-0",
        conventions.GEN_AI_RESPONSE_MODEL: "gpt-4o-mini",
        conventions.GEN_AI_USAGE_INPUT_TOKENS: 7,
        conventions.GEN_AI_USAGE_OUTPUT_TOKENS: 5,
        server_attributes.SERVER_ADDRESS: "127.0.0.1",
        server_attributes.SERVER_PORT: port,
        "me2sdk.attempts": 1,
    }.items():
        assert attributes.pop(name) == value
    assert attributes.pop("me2sdk.cost_usd") == pytest.approx(7 * 0.15e-6 + 5 * 0.6e-6)
    assert attributes.pop("me2sdk.seconds") > 0
    assert not attributes
    verb = spans.one("invoke_workflow").attributes or {}
    assert (
        verb[conventions.GEN_AI_OPERATION_NAME] == conventions.GenAiOperationNameValues.INVOKE_WORKFLOW.value
    )
    assert verb[conventions.GEN_AI_WORKFLOW_NAME] == "best_of_n"
    event = spans.one("candidate").events[0]
    assert set(event.attributes or {}) == {
        conventions.GEN_AI_EVALUATION_NAME,
        conventions.GEN_AI_EVALUATION_SCORE_VALUE,
    }
    assert error_attributes.ERROR_TYPE == "error.type"


def test_a_provider_has_the_name_of_the_conventions(spans: Spans) -> None:
    with OpenAIServer(GOOD) as server:
        best_of_n("?", model="mistral/open-mistral-7b", n=1, **options(server))
    attributes = spans.one("chat").attributes or {}
    assert attributes["gen_ai.provider.name"] == conventions.GenAiProviderNameValues.MISTRAL_AI.value
    assert attributes["gen_ai.request.model"] == "open-mistral-7b"


def test_all_tries_of_a_call_are_one_span(spans: Spans) -> None:
    with OpenAIServer([error(429, retry_after=0), error(503, retry_after=0), GOOD]) as server:
        best_of_n("12 * 13?", model="openai/test", n=1, **options(server))
    assert (spans.one("chat").attributes or {})["me2sdk.attempts"] == 3


def test_answers_that_came_by_one_call_are_candidates_beside_it(spans: Spans) -> None:
    with OpenAIServer(Reply([GOOD, BAD, GOOD])) as server:
        completion("openai/test", [{"role": "user", "content": "12 * 13?"}], best_of=3, **options(server))
    verb = spans.one("invoke_workflow best_of_n")
    (call,) = spans.below(verb, "chat")
    assert call.attributes is not None
    assert call.attributes[conventions.GEN_AI_REQUEST_CHOICE_COUNT] == 3
    assert call.attributes[conventions.GEN_AI_RESPONSE_FINISH_REASONS] == ("stop", "stop", "stop")
    candidates = spans.below(verb, "candidate")
    assert [len(one.events) for one in candidates] == [1, 1, 1]


def test_cached_answers_are_candidates_without_a_call(spans: Spans, tmp_path: Path) -> None:
    with OpenAIServer(GOOD) as server:
        for _ in range(2):
            best_of_n("12 * 13?", model="openai/test", n=1, cache=tmp_path, **options(server))
    assert len(spans.all("chat")) == 1
    assert [(one.attributes or {})["me2sdk.cached"] for one in spans.all("candidate")] == [False, True]


def test_where_all_fail_the_verb_fails(spans: Spans) -> None:
    with OpenAIServer(error(400)) as server, pytest.raises(GenerationError):
        best_of_n("12 * 13?", model=["openai/a", "openai/b"], n=2, **options(server))
    verb = spans.one("invoke_workflow")
    assert verb.status.status_code is StatusCode.ERROR
    assert "injected fault" in str(verb.status.description)
    assert [one.status.status_code for one in spans.all("candidate")] == [StatusCode.ERROR] * 2


THINKING = Reply(
    GOOD,
    fields={
        "reasoning_content": "a secret thought",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "sum_up", "arguments": '{"a": 1}'}}
        ],
    },
    finish_reason="tool_calls",
)
CHAT = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "12 * 13?"},
            {"type": "image_url", "image_url": {"url": "data:x"}},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c0", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c0", "content": "a result"},
]


def test_texts_are_not_recorded_by_default(spans: Spans) -> None:
    with OpenAIServer(THINKING) as server:
        best_of_n(CHAT, model="openai/test", n=1, **options(server))
        judge_pair("12 * 13?", GOOD, BAD, model=competent_model(), repeats=1)
    for text in ("12 * 13", "120 + 36", "Be brief", "a secret thought", "sum_up", "a result", "data:x"):
        assert text not in spans.text()


def test_texts_are_recorded_where_asked_for() -> None:
    spans = Spans()
    otel.instrument(spans.provider, capture_content=True)
    try:
        with OpenAIServer(THINKING) as server:
            best_of_n(CHAT, model="openai/test", n=1, **options(server))
    finally:
        otel.uninstrument()
    call = spans.one("chat").attributes or {}
    assert json.loads(str(call[conventions.GEN_AI_INPUT_MESSAGES])) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [{"type": "text", "content": "12 * 13?"}, {"type": "image_url"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c0", "name": "f", "arguments": "{}"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c0", "response": "a result"}]},
    ]
    assert json.loads(str(call[conventions.GEN_AI_OUTPUT_MESSAGES])) == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "a secret thought"},
                {"type": "text", "content": GOOD},
                {"type": "tool_call", "id": "c1", "name": "sum_up", "arguments": '{"a": 1}'},
            ],
            "finish_reason": "tool_calls",
        }
    ]
    verb = spans.one("invoke_workflow").attributes or {}
    assert GOOD in str(verb[conventions.GEN_AI_OUTPUT_MESSAGES])
    assert KEY not in spans.text()


def test_nothing_is_recorded_after_uninstrument_and_nothing_twice(spans: Spans) -> None:
    otel.instrument(spans.provider)
    rerank("12 * 13?", [GOOD])
    assert len(spans.all("invoke_workflow rerank")) == 1
    otel.uninstrument()
    otel.uninstrument()
    best_of_n("12 * 13?", model=lambda messages, **params: GOOD, n=1)
    assert len(spans.all("invoke_workflow")) == 1


@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_spans_of_model_functions_and_scorers_stand_below_ours(kind: str, spans: Spans) -> None:
    def plain(messages: list[Any], **params: Any) -> str:
        with spans.tracer.start_as_current_span("inside the model"):
            return GOOD

    async def coroutine(messages: list[Any], **params: Any) -> str:
        with spans.tracer.start_as_current_span("inside the model"):
            await asyncio.sleep(0)
            return GOOD

    class Scorer:
        name = "own"

        def score(self, question: Any, traces: list[Any]) -> list[float]:
            with spans.tracer.start_as_current_span("inside the scorer"):
                return [1.0] * len(traces)

    best_of_n("?", model=plain if kind == "function" else coroutine, n=2, scorer=Scorer())
    for call in spans.all("chat"):
        assert len(spans.below(call, "inside the model")) == 1
        assert (call.attributes or {})["gen_ai.provider.name"] == "function"
    for score in spans.all("score own"):
        assert len(spans.below(score, "inside the scorer")) == 1


def test_calls_from_several_threads_do_not_mix(spans: Spans) -> None:
    meeting = threading.Barrier(4, timeout=30)

    def model(messages: list[Any], **params: Any) -> str:
        meeting.wait()
        return GOOD

    def work(number: int) -> None:
        with spans.tracer.start_as_current_span(f"thread {number}"):
            best_of_n("12 * 13?", model=model, n=2)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(2):
        mine = spans.one(f"thread {number}")
        (verb,) = spans.below(mine, "invoke_workflow")
        candidates = spans.below(verb, "candidate")
        assert sorted((one.attributes or {})["me2sdk.index"] for one in candidates) == [0, 1]  # type: ignore[type-var]
        assert all(len(spans.below(one, "chat")) == 1 for one in candidates)
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_what_is_cancelled_says_so_and_is_no_error(spans: Spans) -> None:
    with OpenAIServer(HANG) as server:
        task = asyncio.create_task(abest_of_n("?", model=["openai/a", "openai/b"], n=2, **options(server)))
        await asyncio.to_thread(server.wait_for, lambda: server.in_flight == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert sorted(one.name for one in spans.all()) == [
        "candidate",
        "candidate",
        "chat a",
        "chat b",
        "invoke_workflow best_of_n",
    ]
    for one in spans.all():
        assert (one.attributes or {})["me2sdk.cancelled"] is True
        assert one.status.status_code is StatusCode.UNSET


def test_rerank_and_a_score_that_failed(spans: Spans) -> None:
    class Picky:
        name = "picky"

        def score(self, question: Any, traces: list[Any]) -> list[float]:
            if any("Hmm" in one.reasoning for one in traces):
                raise ValueError("I do not like this one")
            return [1.0] * len(traces)

    result = rerank("12 * 13?", [GOOD, BAD, ""], scorer=Picky())
    assert {failure.index: failure.stage for failure in result.failures} == {1: "score", 2: "read"}
    verb = spans.one("invoke_workflow rerank")
    found = {(one.attributes or {})["me2sdk.index"]: one for one in spans.below(verb, "candidate")}
    assert (found[0].events[0].attributes or {})["gen_ai.evaluation.score.value"] == 1.0
    assert found[1].events[0].attributes == {"gen_ai.evaluation.name": "picky", "error.type": "ValueError"}
    assert found[1].status.status_code is StatusCode.UNSET  # an answer all the same
    assert (found[2].attributes or {})["error.type"] == "InvalidTraceError"
    assert [one.status.status_code for one in spans.below(verb, "score picky")].count(StatusCode.ERROR) == 2


def test_what_is_compared_is_a_setting_and_no_text(spans: Spans, caplog: pytest.LogCaptureFixture) -> None:
    result = rerank("12 * 13?", [GOOD, BAD, GOOD], answer="text", min_confidence=1)
    told = spans.one("invoke_workflow rerank").attributes or {}
    assert told["me2sdk.confidence"] == result.confidence
    assert (told["me2sdk.chosen_by"], told["me2sdk.abstained"]) == ("agreement and reward", True)
    assert not {"me2sdk.asked", "me2sdk.escalated", "me2sdk.answer"} & set(told)
    assert GOOD.casefold() not in spans.text().casefold()
    assert not caplog.records  # a tracer that fails is logged


def test_without_a_scorer_there_is_no_evaluation(spans: Spans, caplog: pytest.LogCaptureFixture) -> None:
    best_of_n("12 * 13?", model=lambda messages, **params: GOOD, n=3, scorer=None, stop="sure")
    told = spans.one("invoke_workflow best_of_n").attributes or {}
    assert (told["me2sdk.chosen_by"], told["me2sdk.asked"], told["me2sdk.stopped_early"]) == (
        "agreement",
        2,
        True,
    )
    assert "me2sdk.scorer" not in told
    assert [len(one.events) for one in spans.all("candidate")] == [0, 0]
    assert not spans.all("score")
    assert not caplog.records


def test_a_vote_that_cannot_be_held_is_no_failure_of_a_candidate(spans: Spans) -> None:
    best_of_n("Say hello.", model=lambda messages, **params: "Hello!", n=2, select="vote")
    told = spans.one("invoke_workflow best_of_n").attributes or {}
    assert (told["me2sdk.failures"], "me2sdk.confidence" in told) == (1, False)
    assert {one.status.status_code for one in spans.all()} == {StatusCode.UNSET}


STEPS = ["First 12 * 13.", "So 120 + 36 = 156.", "Hence 156."]


def test_parse_dag_with_a_model(spans: Spans) -> None:
    dag = parse_dag(STEPS, model=competent_model())
    verb = spans.one("invoke_workflow parse_dag")
    assert len(spans.below(verb, "chat")) == dag.usage.calls == 1
    assert (verb.attributes or {})["me2sdk.steps"] == 3
    assert (verb.attributes or {})["me2sdk.models"] == ("fake",)


def test_judge_pair_with_a_model(spans: Spans) -> None:
    verdict = judge_pair("12 * 13?", "\n\n".join(STEPS), BAD, model=competent_model(), repeats=1)
    verb = spans.one("invoke_workflow judge_pair")
    parsing = spans.below(verb, "invoke_workflow parse_dag")
    assert len(parsing) == 2
    calls = [*spans.below(verb, "chat"), *(one for parse in parsing for one in spans.below(parse, "chat"))]
    assert len(calls) == len(spans.all("chat")) == verdict.usage.calls
    assert (verb.attributes or {})["me2sdk.preference"] == verdict.preference == "a"


def test_rank_traces_has_a_span_for_each_pair(spans: Spans) -> None:
    ranking = rank_traces(
        "12 * 13?", [BAD, GOOD, f"{BAD} Wait."], model=competent_model(), repeats=1, structure=False
    )
    verb = spans.one("invoke_workflow rank_traces")
    pairs = {(one.attributes or {})["me2sdk.pair"] for one in spans.below(verb, "invoke_workflow judge_pair")}
    assert pairs == {(one.a, one.b) for one in ranking.comparisons}
    assert (verb.attributes or {})["me2sdk.order"] == ranking.order


def test_the_global_provider_is_used_where_none_is_given() -> None:
    code = """
from me2sdk.adapters import otel
otel.instrument()                                   # before the provider is known
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
provider, exporter = TracerProvider(), InMemorySpanExporter()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
import me2sdk
me2sdk.rerank("?", ["1 + 1 = 2"])
print([span.name for span in exporter.get_finished_spans()])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "invoke_workflow rerank" in done.stdout, done.stderr


def test_without_the_extra_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; import me2sdk.adapters.otel"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert 'Run: pip install "me2sdk[otel]"' in done.stderr
