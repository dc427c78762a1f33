from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.competent_model import competent_model
from support.fake_provider import OpenAIServer, Reply, error

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when MLflow is imported

import mlflow
from mlflow.entities import Span, SpanStatusCode, Trace, TraceState

from me2sdk import GenerationError, abest_of_n, best_of_n, judge_pair, parse_dag, rerank
from me2sdk.adapters import otel
from me2sdk.adapters.mlflow import autolog

GOOD, BAD = "12 * 13 = 120 + 36 = 156. The answer is 156.", "12 * 13 = 140, or 12 * 13 = 141. Hmm. It is 146."
KEY = "sk-secret-test-key-123456"


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = mlflow.get_tracking_uri()
    folder = tmp_path_factory.mktemp("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/store.db")
    with contextlib.chdir(folder):  # where MLflow puts what belongs beside the database
        yield
        mlflow.flush_trace_async_logging(terminate=True)
    mlflow.set_tracking_uri(before)


@pytest.fixture
def logged(store: None, request: pytest.FixtureRequest) -> Iterator[Callable[[], list[Trace]]]:
    """What MLflow has stored since the test began."""
    mlflow.set_experiment(request.node.name)

    def traces() -> list[Trace]:
        mlflow.flush_trace_async_logging()
        return mlflow.search_traces(return_type="list")  # type: ignore[no-any-return]

    autolog()
    yield traces
    autolog(disable=True)


def below(one: Trace, parent: Span, kind: str | None = None) -> list[Span]:
    children = [span for span in one.data.spans if span.parent_id == parent.span_id]
    return [span for span in children if kind is None or span.span_type == kind]


def root(one: Trace) -> Span:
    (found,) = [span for span in one.data.spans if span.parent_id is None]
    return found


def asynchronously(*args: Any, **options: Any) -> Any:
    return asyncio.run(abest_of_n(*args, **options))


@pytest.mark.parametrize("best_of", [best_of_n, asynchronously])
def test_the_tree_of_best_of_n(best_of: Callable[..., Any], logged: Callable[[], list[Trace]]) -> None:
    pool = ["openai/bad", "openai/good", "openai/gpt-4o-mini"]
    answers = {"bad": error(401, "wrong key {key}"), "good": Reply(GOOD), "gpt-4o-mini": Reply(BAD)}
    server = OpenAIServer(lambda request: answers[request.body["model"]])
    with server, mlflow.start_span("mine"):
        result = best_of("12 * 13?", model=pool, n=3, api_base=server.url, api_key=KEY, temperature=0.5)
    (one,) = logged()
    assert one.info.trace_id == mlflow.get_trace(one.info.trace_id).info.trace_id
    assert one.info.token_usage == {"input_tokens": 14, "output_tokens": 10, "total_tokens": 24}
    (verb,) = below(one, root(one))
    assert (verb.name, verb.span_type, verb.inputs) == ("best_of_n", "CHAIN", {"question": "12 * 13?"})
    assert verb.outputs["response"] == GOOD
    assert [each["index"] for each in verb.outputs["candidates"]] == [1, 2]
    assert verb.outputs["failures"][0]["error"] == "AuthenticationError"
    assert verb.get_attribute("me2sdk.best.reward") == result.best.score
    candidates = {span.get_attribute("me2sdk.index"): span for span in below(one, verb, "CHAIN")}
    assert sorted(candidates) == [0, 1, 2]
    assert candidates[1].outputs["reward"] == result.best.score
    calls = {index: below(one, span)[0] for index, span in candidates.items()}
    assert {call.span_type for call in calls.values()} == {"CHAT_MODEL"}
    assert calls[0].status.status_code == candidates[0].status.status_code == SpanStatusCode.ERROR
    assert "AuthenticationError" in calls[0].status.description
    assert calls[0].events[0].attributes["exception.type"] == "AuthenticationError"
    assert calls[1].inputs == {
        "model": "good",
        "messages": [{"role": "user", "content": "12 * 13?"}],
        "temperature": 0.5,
    }
    assert calls[1].outputs["choices"][0]["message"]["content"] == GOOD
    assert calls[1].get_attribute("mlflow.chat.tokenUsage") == {
        "input_tokens": 7,
        "output_tokens": 5,
        "total_tokens": 12,
    }
    assert calls[2].get_attribute("mlflow.llm.model") == "gpt-4o-mini"
    rewards = [reward for score in below(one, verb, "EVALUATOR") for reward in score.outputs]
    assert sorted(rewards) == sorted(candidate.score for candidate in result.candidates)
    assert KEY not in one.to_json()


def test_where_all_fail_the_trace_fails(logged: Callable[[], list[Trace]]) -> None:
    with OpenAIServer(error(400)) as server, pytest.raises(GenerationError):
        best_of_n("?", model="openai/test", n=1, api_base=server.url, api_key=KEY)
    (one,) = logged()
    assert one.info.state == TraceState.ERROR
    assert "injected fault" in root(one).status.description


def test_spans_of_model_functions_stand_below_ours(logged: Callable[[], list[Trace]]) -> None:
    @mlflow.trace
    def retrieve() -> str:
        return GOOD

    best_of_n("?", model=lambda messages, **params: retrieve(), n=2)
    (one,) = logged()
    calls = [span for span in one.data.spans if span.span_type == "CHAT_MODEL"]
    assert len(calls) == 2
    assert all([span.name.rstrip("_12") for span in below(one, call)] == ["retrieve"] for call in calls)
    assert all(call.get_attribute("mlflow.llm.model") is None for call in calls)


def test_rerank_parse_dag_and_judge_pair(logged: Callable[[], list[Trace]]) -> None:
    rerank("12 * 13?", [BAD, GOOD])
    dag = parse_dag("First 12 * 13.\n\nSo 120 + 36 = 156.\n\nHence 156.")
    verdict = judge_pair("12 * 13?", GOOD, BAD, model=competent_model(), repeats=1)
    found = {root(one).name: one for one in logged()}
    assert {name: root(one).span_type for name, one in found.items()} == {
        "rerank": "RERANKER",
        "parse_dag": "PARSER",
        "judge_pair": "EVALUATOR",
    }
    assert root(found["rerank"]).inputs == {"question": "12 * 13?", "candidates": [BAD, GOOD]}
    told = root(found["rerank"]).outputs
    assert (told["response"], told["chosen_by"], told["asked"]) == (GOOD, "agreement and reward", None)
    assert told["confidence"] == told["answers"][0]["confidence"] == told["candidates"][0]["confidence"]
    assert root(found["rerank"]).get_attribute("me2sdk.confidence") == told["confidence"]
    assert root(found["parse_dag"]).outputs["steps"] == len(dag.nodes)
    assert root(found["judge_pair"]).outputs["preference"] == verdict.preference == "a"
    calls = [span for span in found["judge_pair"].data.spans if span.span_type == "CHAT_MODEL"]
    assert len(calls) == verdict.usage.calls


def test_nothing_is_logged_after_disable(logged: Callable[[], list[Trace]]) -> None:
    autolog(disable=True)
    rerank("?", [GOOD])
    autolog()
    autolog(log_traces=False)
    rerank("?", [GOOD])
    assert logged() == []


def test_both_adapters_may_listen(logged: Callable[[], list[Trace]]) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    otel.instrument(provider)
    try:
        best_of_n("?", model=lambda messages, **params: GOOD, n=2)
    finally:
        otel.uninstrument()
    (one,) = logged()
    theirs = exporter.get_finished_spans()
    assert len(one.data.spans) == len(theirs)
    assert sum(span.parent is None for span in theirs) == 1


def test_without_the_extra_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['mlflow'] = None; import me2sdk.adapters.mlflow"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert 'Run: pip install "me2sdk[mlflow]"' in done.stderr
