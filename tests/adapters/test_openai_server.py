"""The server for real: uvicorn in front of a real, faulty upstream, asked by OpenAI's own client."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import psutil
import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.routing import Mount
from support.fake_provider import CUT, EMPTY, HANG, MALFORMED, OpenAIServer, Reply, Request, error
from support.served import (
    BAD,
    GOOD,
    MINI,
    QUESTION,
    SECRET,
    TOOL_CALL,
    TOOLS,
    Upstream,
    asked,
    complaint,
    post,
    served,
)

from me2sdk import Budget, RemoteTRMScorer, Trace, TRMScorer
from me2sdk.adapters.openai_server import ServerConfig, create_app
from me2sdk.adapters.openai_server.run import listen, run
from me2sdk.errors import ConfigurationError
from me2sdk.scorers import alone_scorer
from me2sdk.testing import tiny_reward_model


@pytest.fixture(scope="module")
def _shared() -> Iterator[tuple[Upstream, str]]:
    upstream = Upstream()
    with (
        served(
            upstream, scorers={"mini": MINI, "long": Longest()}, allow_params={"top_k"}, select="best"
        ) as url,
        upstream,
    ):
        yield upstream, url


@pytest.fixture
def upstream(_shared: tuple[Upstream, str]) -> Upstream:
    _shared[0].reset()
    _shared[0].behave = lambda request: Reply([BAD, BAD, GOOD, BAD, BAD, BAD, BAD, BAD])
    return _shared[0]


@pytest.fixture
def url(_shared: tuple[Upstream, str]) -> str:
    return _shared[1]


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with asked(url) as client:
        yield client


class Longest:
    """A scorer of an operator's own, without a coroutine."""

    def score(self, question: Any, traces: list[Any]) -> list[float]:
        return [float(len(trace.reasoning)) for trace in traces]


# Chat


def test_the_best_answer_comes_back_and_usage_counts_all(upstream: Upstream, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="m", messages=QUESTION, temperature=0.6, seed=3)
    assert answer.choices[0].message.content == GOOD
    assert [choice.finish_reason for choice in answer.choices] == ["stop"]
    assert (answer.model, answer.object) == ("m", "chat.completion")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        7,
        20,
        27,
    )
    told = answer.model_extra["me2"]
    assert (told["n"], told["answered"], told["scorer"], told["select"]) == (4, 4, "mini", "best")
    assert told["reward"] == TRMScorer("mini").score("What is 12 * 13?", [GOOD])[0]
    assert told["usage"]["cost"] == pytest.approx(7 * 1.5e-7 + 20 * 6e-7)
    assert "candidates" not in told
    (sent,) = upstream.requests
    assert sent.body == {
        "model": "gpt-4o-mini", "messages": QUESTION, "temperature": 0.6, "seed": 3, "n": 4,
    }  # fmt: skip
    assert sent.key == SECRET


@pytest.mark.parametrize("how", ["field", "header"])
def test_all_candidates_on_request(upstream: Upstream, client: openai.OpenAI, how: str) -> None:
    upstream.behave = lambda request: (
        Reply(GOOD, honours_n=False) if request.number != 1 else error(500, f"at {upstream.url}: {SECRET}")
    )
    options: dict[str, Any] = (
        {"extra_body": {"me2": {"candidates": True}}}
        if how == "field"
        else {"extra_headers": {"x-me2-candidates": "all"}}
    )
    told = client.chat.completions.create(model="m", messages=QUESTION, **options).model_extra["me2"]
    assert [candidate["message"]["content"] for candidate in told["candidates"]] == [GOOD] * 3
    assert all(isinstance(candidate["reward"], float) for candidate in told["candidates"])
    assert told["candidates"][0]["usage"]["completion_tokens"] == 5
    (failure,) = told["failures"]
    assert (failure["stage"], failure["error"], failure["status"]) == ("generate", "InternalServerError", 500)
    assert told["answered"] == 3


def test_the_field_wins_over_the_header_and_the_header_over_the_settings(
    upstream: Upstream, client: openai.OpenAI
) -> None:
    def n(**options: Any) -> int:
        answer = client.chat.completions.create(model="m", messages=QUESTION, **options)
        return int(answer.model_extra["me2"]["n"])

    header = {"x-me2-n": "3"}
    assert n() == 4
    assert n(extra_headers=header) == 3
    assert n(extra_headers=header, extra_body={"best_of": 2}) == 2
    assert [request.body.get("n") for request in upstream.requests] == [4, 3, 2]

    def chosen(**options: Any) -> tuple[str, str]:
        told = client.chat.completions.create(model="m", messages=QUESTION, **options).model_extra["me2"]
        return told["scorer"], told["select"]

    headers = {"x-me2-scorer": "long", "x-me2-select": "vote"}
    assert chosen() == ("mini", "best")
    assert chosen(extra_headers=headers) == ("long", "vote")
    fields = {"scorer": "mini", "select": "weighted_vote"}
    assert chosen(extra_headers=headers, extra_body=fields) == ("mini", "weighted_vote")


def test_n_is_how_many_of_the_best_come_back(upstream: Upstream, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="m", messages=QUESTION, n=2)
    assert [choice.message.content for choice in answer.choices] == [GOOD, BAD]
    assert [choice.index for choice in answer.choices] == [0, 1]
    many = client.chat.completions.create(model="m", messages=QUESTION, n=6)
    assert len(many.choices) == many.model_extra["me2"]["n"] == 6
    with pytest.raises(openai.BadRequestError, match="how many of the 2"):
        client.chat.completions.create(model="m", messages=QUESTION, n=3, extra_body={"best_of": 2})


def test_a_scorer_of_the_operators_own_decides(upstream: Upstream, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="m", messages=QUESTION, extra_body={"scorer": "long"})
    assert answer.choices[0].message.content == BAD  # the longer one
    assert answer.model_extra["me2"]["reward"] == len(BAD)


def test_a_scorer_that_compares_is_handed_all_candidates_at_once(upstream: Upstream) -> None:
    sizes: list[int] = []

    class Together(Longest):
        joint = True

        def score(self, question: Any, traces: list[Any]) -> list[float]:
            sizes.append(len(traces))
            return super().score(question, traces)

        def alone(self) -> Any:
            return Longest()

    with served(upstream, scorers={"together": Together()}, select="best") as url:
        body = {"messages": QUESTION, "me2": {"candidates": True}}
        told = post(url, "chat/completions", body).json()["me2"]
        assert sizes == [4]
        assert told["reward"] == max(map(len, (GOOD, BAD)))
        alone = post(url, "embeddings", {"input": ["Q\n<think>abc", "Q\n<think>abcde"]}).json()
        (first,), (second,) = (one["embedding"] for one in alone["data"])
        assert second - first == len("de")
        assert sizes == [4]


@pytest.mark.parametrize("name", ["small", "/etc", "zzzhr97/TRM-8B", "http://127.0.0.1:1", ""])
@pytest.mark.parametrize("how", ["field", "header"])
def test_no_request_makes_the_server_load_a_scorer(
    upstream: Upstream, client: openai.OpenAI, name: str, how: str
) -> None:
    options: dict[str, Any] = (
        {"extra_body": {"scorer": name}} if how == "field" else {"extra_headers": {"x-me2-scorer": name}}
    )
    with pytest.raises(openai.BadRequestError, match="one of mini, long") as caught:
        client.chat.completions.create(model="m", messages=QUESTION, **options)
    assert caught.value.code == "unknown_scorer"
    assert not upstream.requests


@pytest.mark.parametrize(
    "name",
    "api_base base_url api_key api_version custom_llm_provider headers extra_headers extra_body extra_query callbacks "
    "success_callback mock_response timeout num_retries max_retries fallbacks model_list organization litellm_params "
    "deployment_id azure_ad_token vertex_credentials aws_region_name cache caching top_p_typo".split(),
)
def test_parameters_that_are_not_openais_are_refused(upstream: Upstream, url: str, name: str) -> None:
    response = post(url, "chat/completions", {"model": "m", "messages": QUESTION, name: "http://127.0.0.1:1"})
    assert response.status_code == 400
    assert complaint(response)["param"] == name
    assert not upstream.requests


def test_parameters_of_openai_and_those_allowed_go_to_the_upstream(upstream: Upstream, url: str) -> None:
    params = {
        "temperature": 1, "top_p": 0.9, "max_tokens": 50, "stop": ["x"], "presence_penalty": 0.1, "user": "u",
        "response_format": {"type": "json_object"}, "tools": TOOLS, "tool_choice": "auto", "top_k": 5,
    }  # fmt: skip
    left = {"metadata": {"run": "1"}, "store": False}
    assert post(url, "chat/completions", {"messages": QUESTION, **params, **left}).status_code == 200
    (sent,) = upstream.requests
    assert sent.body == {"model": "gpt-4o-mini", "messages": QUESTION, "n": 4, **params}


def test_a_tool_that_litellm_would_run_is_refused(upstream: Upstream, url: str) -> None:
    tool = {"type": "mcp", "server_url": "litellm_proxy/x", "server_label": "x"}
    response = post(url, "chat/completions", {"messages": QUESTION, "tools": [tool]})
    assert (response.status_code, complaint(response)["param"]) == (400, "tools")
    assert not upstream.requests


def test_tool_calls_reasoning_and_the_reason_of_the_end_are_passed_on(
    upstream: Upstream, client: openai.OpenAI
) -> None:
    upstream.behave = lambda request: Reply(None, {"tool_calls": [TOOL_CALL]}, "tool_calls")
    choice = client.chat.completions.create(model="m", messages=QUESTION, tools=TOOLS).choices[0]  # type: ignore[arg-type]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    assert choice.message.tool_calls[0].model_dump() == TOOL_CALL
    upstream.behave = lambda request: Reply("156", {"reasoning_content": "12 * 13 = 156"}, "length")
    choice = client.chat.completions.create(model="m", messages=QUESTION).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("length", "156")
    assert choice.message.model_extra["reasoning_content"] == "12 * 13 = 156"


def test_usage_that_the_upstream_does_not_report_is_unknown(
    upstream: Upstream, client: openai.OpenAI
) -> None:
    upstream.behave = lambda request: Reply(GOOD, usage=None)
    answer = client.chat.completions.create(model="m", messages=QUESTION)
    assert answer.usage is None
    assert answer.model_extra["me2"]["usage"]["cost"] is None


def test_several_models_and_the_default_one(upstream: Upstream) -> None:
    upstream.behave = lambda request: str(request.body["model"])
    models = {"fast": "openai/one", "pool": ["openai/two", "openai/three"], "openai/four": "openai/four"}
    with served(upstream, models=models, n=2) as url, asked(url) as client:
        assert [model.id for model in client.models.list()] == list(models)
        assert client.models.retrieve("openai/four").id == "openai/four"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("openai/one")
        for name in models:
            assert client.chat.completions.create(model=name, messages=QUESTION).model == name
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(model="openai/one", messages=QUESTION)
        assert caught.value.code == "model_not_found"
        assert post(url, "chat/completions", {"messages": QUESTION}).json()["model"] == "fast"
    assert sorted({request.body["model"] for request in upstream.requests}) == ["four", "one", "three", "two"]


async def test_the_asynchronous_client_gets_the_same(upstream: Upstream, url: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        answer = await client.chat.completions.create(model="m", messages=QUESTION)
        assert answer.choices[0].message.content == GOOD
        stream = await client.chat.completions.create(model="m", messages=QUESTION, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == GOOD


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_comes_back_as_one(upstream: Upstream, client: openai.OpenAI, stream: bool) -> None:
    upstream.behave = lambda request: Reply(None, {"refusal": "I cannot help with that."})
    answer = client.chat.completions.create(model="m", messages=QUESTION, stream=stream)
    if stream:
        parts = list(answer)
        assert "".join(part.choices[0].delta.refusal or "" for part in parts) == "I cannot help with that."
        told, reason = parts[-1].model_extra["me2"], parts[-1].choices[0].finish_reason
    else:
        message = answer.choices[0].message
        assert (message.content, message.refusal) == (None, "I cannot help with that.")
        told, reason = answer.model_extra["me2"], answer.choices[0].finish_reason
    assert (told["answered"], told["refused"], told["reward"], reason) == (4, 4, None, "stop")


def test_a_refusal_stands_behind_an_answer(upstream: Upstream, client: openai.OpenAI) -> None:
    upstream.behave = lambda request: Reply(
        None if request.number % 2 == 0 else BAD,
        {"refusal": "No."} if request.number % 2 == 0 else {},
        honours_n=False,
    )
    options: Any = {"extra_headers": {"x-me2-candidates": "all"}}
    answer = client.chat.completions.create(model="m", messages=QUESTION, **options)
    assert answer.choices[0].message.content == BAD
    told = answer.model_extra["me2"]
    assert [candidate["refusal"] for candidate in told["candidates"]] == [None, None, "No.", "No."]
    assert told["refused"] == 2


@pytest.mark.parametrize(
    ("reason", "openai_s", "native"),
    [
        ("abort", "length", "abort"),
        ("content_filter", "content_filter", None),
        ("refusal", "stop", "refusal"),
    ],
)
def test_clients_see_reasons_that_they_know(
    upstream: Upstream, client: openai.OpenAI, reason: str, openai_s: str, native: str | None
) -> None:
    upstream.behave = lambda request: Reply("so far", finish_reason=reason)
    choice = client.chat.completions.create(model="m", messages=QUESTION).choices[0]
    assert choice.finish_reason == openai_s
    assert (choice.model_extra or {}).get("native_finish_reason") == native
    if reason == "refusal":
        assert (choice.message.content, choice.message.refusal) == (None, "so far")


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "run", "input": "print(42)"}}]},
        {"function_call": {"name": "f", "arguments": "{}"}},
    ],
)
def test_custom_tools_and_the_old_function_call_are_answers(
    upstream: Upstream, client: openai.OpenAI, fields: dict[str, Any]
) -> None:
    upstream.behave = lambda request: Reply(None, fields)
    message = client.chat.completions.create(model="m", messages=QUESTION).choices[0].message
    dumped = message.model_dump(exclude_none=True)
    assert {name: dumped[name] for name in fields} == fields


def test_refusals_have_no_score(upstream: Upstream, url: str) -> None:
    refused = {"role": "assistant", "content": None, "refusal": "No."}
    ranked = post(url, "rerank", {"question": "q", "candidates": [refused, GOOD]}).json()["results"]
    assert [(item["index"], item["relevance_score"] is None) for item in ranked] == [(1, False), (0, True)]
    answer = post(url, "score", {"question": "q", "traces": [refused]})
    assert (answer.status_code, "refusal" in complaint(answer)["message"]) == (400, True)


# How the best is chosen


MOST = "12 * 13 = 140, or 12 * 13 = 141. Hmm. The answer is 146."


@contextmanager
def agreeing(upstream: Upstream, **settings: Any) -> Iterator[str]:
    """A server of two models: of the first most candidates agree, on an answer with a worse reward than the other."""
    texts = {"weak": [MOST, GOOD, MOST, MOST], "strong": [GOOD]}
    upstream.behave = lambda request: Reply(texts[request.body["model"]])
    models = {"weak": "openai/weak", "strong": "openai/strong"}
    with served(upstream, models=models, **settings) as url:
        yield url


def test_agreement_decides_and_the_response_says_how_sure_it_is(upstream: Upstream) -> None:
    with agreeing(upstream) as url:
        response = post(url, "chat/completions", {"messages": QUESTION, "me2": {"candidates": True}})
    found = response.json()
    told = found["me2"]
    assert found["choices"][0]["message"]["content"] == MOST
    assert (told["select"], told["chosen_by"]) == ("auto", "agreement and reward")
    assert [(one["text"], one["votes"]) for one in told["answers"]] == [("146", 3), ("156", 1)]
    assert told["answers"][0]["confidence"] == told["confidence"] == told["candidates"][0]["confidence"]
    assert (told["asked"], told["stopped_early"], told["escalated"], told["abstained"]) == (
        4,
        False,
        False,
        False,
    )
    assert response.headers["x-me2-confidence"] == f"{told['confidence']:.4f}"
    assert response.headers["x-me2-chosen-by"] == "agreement and reward"
    assert response.headers["x-me2-abstained"] == "false"


def test_what_is_not_known_is_null_and_has_no_header(upstream: Upstream) -> None:
    with agreeing(upstream) as url:
        response = post(url, "chat/completions", {"messages": QUESTION, "best_of": 1, "min_confidence": 0.5})
    assert response.json()["me2"]["confidence"] is None
    assert "x-me2-confidence" not in response.headers
    assert response.headers["x-me2-abstained"] == "true"  # what is not known is not sure


def test_a_stream_says_the_same_in_its_last_chunk(upstream: Upstream) -> None:
    with agreeing(upstream) as url, asked(url) as client:
        *_, last = client.chat.completions.create(model="weak", messages=QUESTION, stream=True)
    told = last.model_extra["me2"]  # type: ignore[index]
    assert (told["chosen_by"], told["abstained"]) == ("agreement and reward", False)
    assert 0 < told["confidence"] < 1


@pytest.mark.parametrize("how", ["field", "header", "setting"])
def test_how_to_choose_can_be_said_in_three_places(upstream: Upstream, how: str) -> None:
    said = {"answer": "text", "min_confidence": 1.0, "stop_sampling": "sure"}
    settings, body, headers = {}, {}, {}
    if how == "setting":
        settings = {"stop" if name == "stop_sampling" else name: value for name, value in said.items()}
    elif how == "field":
        body = said
    else:
        headers = {f"x-me2-{name.replace('_', '-')}": str(value) for name, value in said.items()}
    with agreeing(upstream, **settings) as url:
        told = post(url, "chat/completions", {"messages": QUESTION, **body}, headers=headers).json()["me2"]
    assert told["abstained"] is True
    assert told["answers"][0]["text"] == MOST.casefold()
    assert upstream.requests[0].body["n"] == 3  # where three of four agree, the fourth can change nothing


def test_a_field_wins_over_a_header_and_a_header_over_a_setting(upstream: Upstream) -> None:
    with agreeing(upstream, min_confidence=0.01) as url:

        def abstains(body: dict[str, Any], headers: dict[str, str]) -> bool:
            response = post(url, "chat/completions", {"messages": QUESTION, **body}, headers=headers)
            return bool(response.json()["me2"]["abstained"])

        header = {"x-me2-min-confidence": "1"}
        assert [abstains({}, {}), abstains({}, header)] == [False, True]
        assert abstains({"min_confidence": 0.01}, header) is False


def test_texts_that_end_an_answer_and_the_end_of_sampling_are_two_things(upstream: Upstream) -> None:
    with agreeing(upstream) as url:
        body = {"messages": QUESTION, "stop": ["END"], "stop_sampling": 0.9}
        assert post(url, "chat/completions", body).status_code == 200
    assert {tuple(request.body["stop"]) for request in upstream.requests} == {("END",)}
    assert "stop_sampling" not in upstream.requests[0].body


def test_a_stop_of_the_settings_is_left_out_where_nothing_can_be_counted(upstream: Upstream) -> None:
    with agreeing(upstream, stop="sure") as url:
        told = post(url, "chat/completions", {"messages": QUESTION, "select": "best"}).json()["me2"]
        assert (told["asked"], told["chosen_by"]) == (4, "reward")
        said = {"messages": QUESTION, "select": "best"}
        for place in (
            {"json": {**said, "stop_sampling": "sure"}},
            {"headers": {"x-me2-stop-sampling": "0.9"}},
        ):
            response = httpx.post(f"{url}/v1/chat/completions", **{"json": said, **place}, timeout=60)
            where = "x-me2-stop-sampling" if "headers" in place else "stop_sampling"
            assert (response.status_code, complaint(response)["param"]) == (400, where)


@pytest.mark.parametrize("how", ["field", "setting"])
def test_a_stronger_model_of_the_server_is_asked_and_counted(upstream: Upstream, how: str) -> None:
    said = {"escalate": "strong", "min_confidence": 1.0}
    settings, body = ({}, said) if how == "field" else (said, {})
    with agreeing(upstream, **settings) as url:
        told = post(url, "chat/completions", {"messages": QUESTION, **body}).json()["me2"]
        assert metric(url, 'me2_tokens_total{kind="completion"}') == 25
        assert metric(url, 'me2_candidates_total{outcome="scored"}') == 5
    assert (told["escalated"], told["asked"], told["usage"]["completion_tokens"]) == (True, 5, 25)
    assert [request.body["model"] for request in upstream.requests] == ["weak", "strong"]
    assert {request.key for request in upstream.requests} == {SECRET}


def test_a_stronger_model_of_the_settings_is_not_asked_to_help_itself(upstream: Upstream) -> None:
    with agreeing(upstream, escalate="strong", min_confidence=1.0) as url:
        body = {"model": "strong", "messages": QUESTION, "best_of": 1}
        told = post(url, "chat/completions", body).json()["me2"]
    assert (told["escalated"], told["abstained"], len(upstream.requests)) == (False, True, 1)


@pytest.mark.parametrize("name", ["openai/strong", "gpt-4o", "http://127.0.0.1:1", ""])
def test_no_request_makes_the_server_ask_another_model(upstream: Upstream, name: str) -> None:
    with agreeing(upstream) as url:
        response = post(url, "chat/completions", {"messages": QUESTION, "escalate": name})
    assert (response.status_code, complaint(response)["param"]) == (400, "escalate")
    assert "weak, strong" in complaint(response)["message"]
    assert not upstream.requests


@pytest.mark.parametrize("path", ["chat/completions", "rerank"])
@pytest.mark.parametrize("how", ["field", "header"])
def test_a_regular_expression_is_taken_from_the_operator_alone(
    upstream: Upstream, path: str, how: str
) -> None:
    hostile = r"(a+)+$"
    body: dict[str, Any] = {"query": "?", "documents": [MOST]} if path == "rerank" else {"messages": QUESTION}
    headers: dict[str, str] = {}
    with agreeing(upstream, answer=r"answer is (\d+)") as url:
        told = post(url, path, body).json()
        assert (told if path == "rerank" else told["me2"])["answers"][0]["text"] == "146"
        upstream.reset()
        if how == "field":
            body["answer"] = hostile
        else:
            headers["x-me2-answer"] = hostile
        response = post(url, path, body, headers=headers)
    where = "answer" if how == "field" else "x-me2-answer"
    assert (response.status_code, complaint(response)["param"]) == (400, where)
    assert "operator" in complaint(response)["message"]
    assert not upstream.requests


def test_what_came_within_a_requests_own_deadline_is_decided_on(upstream: Upstream) -> None:
    upstream.behave = lambda request: HANG if request.body["model"] == "hangs" else GOOD
    with served(upstream, models={"pool": ["openai/hangs", "openai/fine"]}, n=2) as url:
        response = post(url, "chat/completions", {"messages": QUESTION, "deadline": 0.5})
        upstream.wait_for(lambda: upstream.left == 1)
    assert response.json()["choices"][0]["message"]["content"] == GOOD
    assert response.json()["me2"]["answered"] == 1


def test_a_vote_that_cannot_be_held_is_told(upstream: Upstream) -> None:
    upstream.behave = lambda request: Reply(["Hello!", "Hi there!"])
    body = {"messages": QUESTION, "best_of": 2, "select": "vote", "me2": {"candidates": True}}
    with served(upstream) as url:
        (failure,) = post(url, "chat/completions", body).json()["me2"]["failures"]
        assert (failure["index"], failure["stage"], failure["error"]) == (None, "select", "NoVote")
        assert metric(url, 'me2_candidates_total{outcome="failed"}') == 0
        assert metric(url, 'me2_candidates_total{outcome="scored"}') == 2
        upstream.behave = lambda request: error(429)
        assert post(url, "chat/completions", body).status_code == 429


def test_reranking_says_how_sure_it_is(url: str) -> None:
    body = {
        "query": "What is 12 * 13?",
        "documents": [GOOD, MOST, MOST],
        "select": "auto",
        "min_confidence": 1,
    }
    response = post(url, "rerank", body)
    told = response.json()
    assert [one["index"] for one in told["results"]] == [1, 2, 0]
    assert told["results"][0]["confidence"] == told["confidence"] == told["answers"][0]["confidence"]
    assert (told["chosen_by"], told["abstained"], told["escalated"]) == ("agreement and reward", True, None)
    assert response.headers["x-me2-abstained"] == "true"
    assert response.headers["x-me2-confidence"] == f"{told['confidence']:.4f}"
    assert [one["index"] for one in post(url, "rerank", {**body, "select": "best"}).json()["results"]] == [
        0,
        1,
        2,
    ]
    header = {"x-me2-answer": "text"}
    assert post(url, "rerank", body, headers=header).json()["answers"][0]["text"] == MOST.casefold()


def test_reranked_messages_are_compared_by_the_tools_that_they_call(url: str) -> None:
    def calls(arguments: str) -> dict[str, Any]:
        function = {"name": "add", "arguments": arguments}
        return {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": function}]}

    messages = [calls('{"a": 1}'), calls('{"a":2}'), calls('{"a": 2.0}')]
    body = {"question": QUESTION, "candidates": messages, "select": "auto", "answer": "tool_calls"}
    found = post(url, "rerank", body).json()
    assert [one["votes"] for one in found["answers"]] == [2, 1]
    assert found["results"][0]["index"] in (1, 2)


# Streams


def test_a_stream_holds_the_whole_answer_in_pieces(upstream: Upstream, client: openai.OpenAI) -> None:
    long = "".join(f"{k} + 1 = {k + 1}. ü\n" for k in range(100))
    fields = {"reasoning_content": long, "tool_calls": [TOOL_CALL]}
    upstream.behave = lambda request: Reply("156 \u2028 \U0001f600", fields, "tool_calls")
    options = {"include_usage": True}
    stream = list(
        client.chat.completions.create(model="m", messages=QUESTION, stream=True, stream_options=options)
    )  # type: ignore[call-overload]
    *parts, last = stream
    deltas = [part.choices[0].delta for part in parts]
    assert deltas[0].role == "assistant"
    thoughts = [
        delta.model_extra["reasoning_content"] for delta in deltas if "reasoning_content" in delta.model_extra
    ]
    assert len(thoughts) > 3
    assert "".join(thoughts) == long
    assert "".join(delta.content or "" for delta in deltas) == "156 \u2028 \U0001f600"
    (calls,) = [delta.tool_calls for delta in deltas if delta.tool_calls]
    assert calls[0].model_dump(exclude_none=True) == {"index": 0, **TOOL_CALL}
    assert [part.choices[0].finish_reason for part in parts if part.choices[0].finish_reason] == [
        "tool_calls"
    ]
    assert parts[-1].model_extra["me2"]["answered"] == 4
    assert (last.choices, last.usage.total_tokens) == ([], 27)
    assert len({part.id for part in stream}) == 1


def test_a_stream_of_several_choices_and_without_usage(upstream: Upstream, client: openai.OpenAI) -> None:
    texts = {0: "", 1: ""}
    for chunk in client.chat.completions.create(model="m", messages=QUESTION, n=2, stream=True):
        assert chunk.usage is None
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == {0: GOOD, 1: BAD}


def test_comments_keep_a_stream_alive_while_candidates_are_sampled(upstream: Upstream) -> None:
    with served(upstream, keep_alive=0.05) as url:
        upstream.gate.clear()
        body = {"messages": QUESTION, "stream": True}
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
            lines = response.iter_lines()
            try:
                assert response.headers["content-type"].startswith("text/event-stream")
                assert next(lines).startswith(":")
                assert (next(lines), next(lines)[0]) == ("", ":")
            finally:
                upstream.gate.set()
            *_, last = (line for line in lines if line.startswith("data: "))
        assert last == "data: [DONE]"


def test_an_error_after_the_head_is_an_event(upstream: Upstream) -> None:
    upstream.behave = lambda request: error(500, f"at {upstream.url} with {{key}}")
    with served(upstream, keep_alive=0.05) as url, asked(url) as client:
        upstream.gate.clear()
        stream = client.chat.completions.create(model="m", messages=QUESTION, stream=True)
        upstream.gate.set()
        with pytest.raises(openai.APIError, match="No candidate came back") as caught:
            list(stream)
        assert not isinstance(caught.value, openai.APIStatusError)
        assert caught.value.code == "upstream_failed"


def test_an_error_before_the_head_has_a_status(upstream: Upstream, client: openai.OpenAI) -> None:
    upstream.behave = lambda request: error(429)
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="m", messages=QUESTION, stream=True)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_cancels_its_calls(upstream: Upstream, url: str, stream: bool) -> None:
    upstream.behave = lambda request: HANG if request.text == "hang" else GOOD
    body = {"messages": [{"role": "user", "content": "hang"}], "stream": stream, "best_of": 3, "seed": 1}
    async with httpx.AsyncClient() as client:
        request = asyncio.create_task(client.post(f"{url}/v1/chat/completions", json=body, timeout=60))
        await asyncio.to_thread(upstream.wait_for, lambda: upstream.in_flight >= 1)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
    await asyncio.to_thread(upstream.wait_for, lambda: upstream.in_flight == 0)
    assert upstream.left == len(upstream.requests)
    assert metric(url, 'me2_requests_total{route="/v1/chat/completions",status="499"}') >= 1
    assert metric(url, "me2_requests_in_flight") == 0


def test_a_stream_that_is_closed_after_its_head_cancels_its_calls(upstream: Upstream) -> None:
    upstream.behave = lambda request: HANG
    with served(upstream, keep_alive=0.05) as url:
        body = {"messages": QUESTION, "stream": True}
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
            lines = (
                response.iter_lines()
            )  # held: httpx closes the connection when this generator is collected
            assert next(lines).startswith(":")
            upstream.wait_for(lambda: upstream.in_flight == 1)
        upstream.wait_for(lambda: upstream.in_flight == 0)
    assert upstream.left == len(upstream.requests) == 1


# Faults of the upstream


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        (error(400, "bad temperature: http://10.0.0.7:8000 ({key})"), openai.BadRequestError, "upstream_refused"),
        (error(401, "wrong key {key}"), openai.InternalServerError, "upstream_failed"),
        (error(404, "no model at http://10.0.0.7:8000"), openai.InternalServerError, "upstream_failed"),
        (error(429, "slow down, {key}"), openai.RateLimitError, "upstream_limited"),
        (error(500, "http://10.0.0.7:8000 is down"), openai.InternalServerError, "upstream_failed"),
        (MALFORMED, openai.InternalServerError, "upstream_failed"),
        (EMPTY, openai.InternalServerError, "upstream_failed"),
        (CUT, openai.InternalServerError, "upstream_failed"),
        (Reply(""), openai.InternalServerError, "upstream_failed"),
    ],
)  # fmt: skip
def test_faults_are_told_without_secrets(
    upstream: Upstream, client: openai.OpenAI, fault: Any, kind: type[openai.APIStatusError], code: str
) -> None:
    upstream.behave = lambda request: fault
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model="m", messages=QUESTION)
    assert caught.value.code == code
    text = caught.value.response.text
    for secret in (SECRET, "10.0.0.7", upstream.url, "Traceback", "/me2sdk/"):
        assert secret not in text
    if kind is openai.RateLimitError:
        assert int(caught.value.response.headers["retry-after"]) > 0
    if code == "upstream_refused":
        assert "bad temperature" in text


def test_a_prompt_that_is_too_long_is_told_as_openai_does(upstream: Upstream, client: openai.OpenAI) -> None:
    upstream.behave = lambda request: error(400, "This model's maximum context length is 8192 tokens.")
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="m", messages=QUESTION)
    assert caught.value.code == "context_length_exceeded"


def test_what_passes_by_itself_is_waited_for(upstream: Upstream) -> None:
    faults = [error(429, retry_after=0.05), error(500), MALFORMED]
    upstream.behave = lambda request: faults.pop() if faults else Reply([BAD, GOOD])
    with served(upstream, n=2, max_retries=4) as url, asked(url) as client:
        answer = client.chat.completions.create(model="m", messages=QUESTION)
    assert answer.choices[0].message.content == GOOD


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
@pytest.mark.parametrize(
    ("fault", "status", "wait"),
    [
        (error(429, retry_after=17), 429, "17"),
        (error(503, retry_after=0.2), 503, "1"),
        (error(429), 429, "5"),
        (error(503), 502, None),
        (error(500, retry_after=17), 502, None),
    ],
)
def test_the_upstreams_wait_is_passed_on_once_retries_are_used_up(
    upstream: Upstream, path: str, fault: Any, status: int, wait: str | None
) -> None:
    upstream.behave = lambda request: fault
    with served(upstream, n=2, max_retries=0) as url:
        answer = post(url, path, {"model": "m", "messages" if "chat" in path else "input": QUESTION})
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, wait)
    assert complaint(answer)["code"] == ("upstream_failed" if status == 502 else "upstream_limited")


def test_faults_of_some_candidates_cost_the_others_nothing(upstream: Upstream) -> None:
    """One model of a pool each: fine, broken, hanging until the deadline."""

    def behave(request: Request) -> Any:
        return {"fine": GOOD, "poor": BAD, "broken": error(400), "hangs": HANG}[request.body["model"]]

    upstream.behave = behave
    pool = ["openai/poor", "openai/broken", "openai/hangs", "openai/fine"]
    with served(upstream, models={"pool": pool}, timeout=2) as url, asked(url) as client:
        answer = client.chat.completions.create(
            model="pool", messages=QUESTION, extra_body={"me2": {"candidates": True}}
        )
        upstream.wait_for(lambda: upstream.left == 1)
        assert metric(url, 'me2_candidates_total{outcome="failed"}') == 2
        assert metric(url, 'me2_candidates_total{outcome="scored"}') == 2
    assert answer.choices[0].message.content == GOOD
    failures = answer.model_extra["me2"]["failures"]
    assert [(failure["index"], failure["error"]) for failure in failures] == [
        (1, "BadRequestError"),
        (2, "Timeout"),
    ]


def test_a_request_in_which_nothing_comes_back_in_time(upstream: Upstream) -> None:
    upstream.behave = lambda request: HANG
    with served(upstream, timeout=0.5) as url, asked(url) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model="m", messages=QUESTION)
        assert (caught.value.status_code, caught.value.code) == (504, "timeout")
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=0.2).chat.completions.create(model="m", messages=QUESTION)


def test_requests_that_outlast_the_grace_are_cancelled(upstream: Upstream) -> None:
    upstream.behave = lambda request: HANG
    with served(upstream, grace=1) as url:
        thread = threading.Thread(target=post, args=(url, "chat/completions", {"messages": QUESTION}))
        thread.start()
        upstream.wait_for(lambda: upstream.in_flight == 1)
    thread.join()
    upstream.wait_for(lambda: upstream.left == 1)


def test_a_budget_holds_for_all_requests(upstream: Upstream) -> None:
    budget = Budget(tokens=150)
    with served(upstream, n=1, budget=budget) as url, asked(url) as client:
        for _ in range(2):
            client.chat.completions.create(model="m", messages=QUESTION, max_tokens=20)
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="m", messages=QUESTION, max_tokens=140)
    assert caught.value.code == "insufficient_quota"
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(upstream.requests) == 2
    assert budget.spent.calls == 2


def test_a_price_that_is_not_known_is_the_operators_affair(upstream: Upstream) -> None:
    with served(upstream, models={"m": "openai/unpriced"}, budget=Budget(usd=1)) as url:
        response = post(url, "chat/completions", {"messages": QUESTION})
    assert (response.status_code, complaint(response)["code"]) == (500, "configuration")
    assert "unpriced" not in response.text


def test_answers_come_from_the_cache(upstream: Upstream, tmp_path: Path) -> None:
    with served(upstream, cache=tmp_path, select="best") as url, asked(url) as client:
        for calls, cached in ((1, 0), (0, 4)):
            answer = client.chat.completions.create(model="m", messages=QUESTION)
            assert answer.choices[0].message.content == GOOD
            usage = answer.model_extra["me2"]["usage"]
            assert (usage["calls"], usage["cached_calls"]) == (calls, cached)


def test_log_probabilities_and_answers_of_a_function_are_passed_on() -> None:
    logprobs = {"content": [{"token": "156", "logprob": -0.1, "bytes": None, "top_logprobs": []}]}

    async def model(messages: list[Any], **params: Any) -> Any:
        assert params == {"logprobs": True}
        choice = SimpleNamespace(message={"content": GOOD}, finish_reason=None, logprobs=logprobs)
        return SimpleNamespace(choices=[choice])

    with served(None, models={"f": model}) as url, asked(url) as client:
        (choice,) = client.chat.completions.create(model="f", messages=QUESTION, logprobs=True).choices
        assert (choice.finish_reason, choice.message.content) == ("stop", GOOD)
        assert choice.logprobs is not None
        assert choice.logprobs.model_dump(exclude_unset=True) == logprobs


class Broken:
    name = "broken"

    def score(self, question: Any, traces: Any) -> list[float]:
        raise RuntimeError("at http://10.0.0.7 with sk-0123456789")


def test_a_scorer_that_fails_is_told_without_its_words(upstream: Upstream) -> None:
    with served(upstream, scorers=[Broken()]) as url:
        chat = post(url, "chat/completions", {"messages": QUESTION, "select": "best"})
        score = post(url, "score", {"question": "?", "traces": ["a"]})
        vote = post(url, "chat/completions", {"messages": QUESTION, "select": "vote"})
    assert (chat.status_code, complaint(chat)["code"]) == (500, "scoring")
    assert (score.status_code, complaint(score)["type"]) == (500, "server_error")
    assert vote.json()["me2"]["reward"] is None  # a vote needs no rewards
    for response in (chat, score, vote):
        assert "10.0.0.7" not in response.text


# Limits


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": ["hello"]}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages"),
        ({"n": 0}, "n"),
        ({"n": "2"}, "n"),
        ({"n": 65}, "n"),
        ({"best_of": 10**30}, "best_of"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stop": [1]}, "stop"),
        ({"tools": {}}, "tools"),
        ({"select": "worst"}, "select"),
        ({"scorer": ["mini"]}, "scorer"),
        ({"answer": "nothing"}, "answer"),
        ({"answer": 3}, "answer"),
        ({"stop_sampling": 0.2}, "stop_sampling"),
        ({"stop_sampling": "END"}, "stop_sampling"),
        ({"min_confidence": 0}, "min_confidence"),
        ({"min_confidence": "high"}, "min_confidence"),
        ({"escalate": 3}, "escalate"),
        ({"deadline": 0}, "deadline"),
        ({"me2": {"all": True}}, "me2"),
    ],
)
def test_wrong_fields_are_named(upstream: Upstream, url: str, change: dict[str, Any], param: str) -> None:
    response = post(url, "chat/completions", {"model": "m", "messages": QUESTION, **change})
    assert response.status_code == 400
    found = complaint(response)
    assert (found["param"], found["type"]) == (param, "invalid_request_error")
    assert param in found["message"]
    assert not upstream.requests


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-me2-n", "many"), ("x-me2-n", "-1"), ("x-me2-n", "0"), ("x-me2-n", "9" * 50), ("x-me2-n", b"\xb2"),
        ("x-me2-n", "65"), ("x-me2-select", "worst"), ("x-me2-select", b"\xff\xfe"), ("x-me2-scorer", b"\xff\xfe"),
        ("x-me2-answer", "nothing"), ("x-me2-min-confidence", "2"), ("x-me2-min-confidence", "high"),
        ("x-me2-min-confidence", "nan"), ("x-me2-stop-sampling", "0.1"), ("x-me2-stop-sampling", "END"),
    ],
)  # fmt: skip
def test_wrong_headers_are_named(upstream: Upstream, url: str, name: str, value: str | bytes) -> None:
    response = post(url, "chat/completions", {"messages": QUESTION}, headers=[(name, value)])
    assert (response.status_code, complaint(response)["param"]) == (400, name)
    assert not upstream.requests


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"messages": NaN}', b'{"temperature": 1e999}',
        b'{"a":' * 100_000, b"[" * 100_000, b'{"n": ' + b"9" * 5000 + b"}", b'{"messages": "\xff"}',
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(url: str, body: bytes) -> None:
    response = httpx.post(
        f"{url}/v1/chat/completions", content=body, headers={"content-type": "application/json"}, timeout=60
    )
    assert (response.status_code, complaint(response)["code"]) == (400, "invalid_json")
    assert len(response.content) < 1000


def test_text_that_no_encoding_can_carry_is_mended(upstream: Upstream, url: str) -> None:
    body = b'{"messages": [{"role": "user", "content": "a\\ud800b"}]}'
    response = httpx.post(
        f"{url}/v1/chat/completions", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 200
    assert upstream.requests[0].text == "a\ufffdb"
    strange = httpx.post(
        f"{url}/v1/score",
        content=b'{"traces": ["x"], "\\ud800": 1}',
        headers={"content-type": "application/json"},
    )
    assert strange.status_code == 400


def test_a_body_that_a_web_page_can_send_from_a_browser_is_refused(upstream: Upstream, url: str) -> None:
    body = json.dumps({"messages": QUESTION})
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        response = httpx.post(f"{url}/v1/chat/completions", content=body, headers={"content-type": kind})
        assert (response.status_code, complaint(response)["type"]) == (415, "invalid_request_error")
    assert not upstream.requests


def test_large_bodies_are_refused_while_they_come(upstream: Upstream) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"x" * 1000

    with served(upstream, max_body=1000) as url:
        declared = post(url, "chat/completions", {"messages": [{"role": "user", "content": "x" * 1000}]})
        headers = {"content-type": "application/json"}
        chunked = httpx.post(f"{url}/v1/chat/completions", content=endless(), headers=headers, timeout=60)
        fits = post(url, "chat/completions", {"messages": [{"role": "user", "content": "x" * 900}]})
    for response in (declared, chunked):
        assert (response.status_code, complaint(response)["code"]) == (413, "body_too_large")
    assert fits.status_code == 200


def test_unknown_paths_and_methods(url: str) -> None:
    for path in ("/", "/v2", "/v1/completions", "/v1/chat/completions/x"):
        missing = httpx.get(url + path)
        assert (missing.status_code, complaint(missing)["type"]) == (404, "invalid_request_error")
    wrong = httpx.get(f"{url}/v1/chat/completions")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert complaint(wrong)["message"]
    assert httpx.post(f"{url}/healthz").status_code == 405


def test_requests_beyond_the_queue_are_turned_away(upstream: Upstream) -> None:
    upstream.behave = lambda request: GOOD
    with served(upstream, n=1, max_requests=2, max_waiting=1) as url:
        upstream.gate.clear()
        statuses: list[int] = []

        def ask() -> None:
            statuses.append(post(url, "chat/completions", {"messages": QUESTION}).status_code)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        try:
            for thread in threads:
                thread.start()
            upstream.wait_for(lambda: upstream.in_flight == 2)
            while metric(url, "me2_requests_waiting") < 1:
                pass
            assert metric(url, "me2_requests_in_flight") == 2
            with asked(url) as client, pytest.raises(openai.RateLimitError) as caught:
                client.chat.completions.create(model="m", messages=QUESTION)
            assert caught.value.code == "server_busy"
            assert caught.value.response.headers["retry-after"] == "1"
        finally:
            upstream.gate.set()
            for thread in threads:
                thread.join()
        assert statuses == [200] * 3
        assert upstream.max_in_flight == 2


def test_a_client_that_leaves_the_queue_frees_its_place(upstream: Upstream) -> None:
    upstream.behave = lambda request: GOOD
    with served(upstream, n=1, max_requests=1, max_waiting=1) as url:
        upstream.gate.clear()
        first = threading.Thread(target=post, args=(url, "chat/completions", {"messages": QUESTION}))
        first.start()
        try:
            upstream.wait_for(lambda: upstream.in_flight == 1)
            with pytest.raises(httpx.TimeoutException):
                httpx.post(f"{url}/v1/chat/completions", json={"messages": QUESTION}, timeout=0.3)
            while metric(url, "me2_requests_waiting"):
                pass
        finally:
            upstream.gate.set()
            first.join()
        assert post(url, "chat/completions", {"messages": QUESTION}).status_code == 200
    assert len(upstream.requests) == 2


def test_the_key_is_asked_for(upstream: Upstream) -> None:
    with served(upstream, api_key="right-key") as url:
        for key in ("", "wrong-key", "right-keyx", "right-ke", "rïght-key"):
            headers = [("authorization", f"Bearer {key}".encode("latin-1"))] if key else []
            for path in ("chat/completions", "score", "rerank", "embeddings"):
                response = post(url, path, {"messages": QUESTION}, headers=headers)
                assert (response.status_code, complaint(response)["code"]) == (401, "invalid_api_key")
                assert "right-key" not in response.text
            assert httpx.get(f"{url}/v1/models", headers=headers).status_code == 401
            assert httpx.get(f"{url}/v1/models/m", headers=headers).status_code == 401
        with asked(url, "wrong") as client, pytest.raises(openai.AuthenticationError):
            client.models.list()
        with asked(url, "right-key") as client:
            assert client.chat.completions.create(model="m", messages=QUESTION).choices
            assert client.models.list().data
        assert [httpx.get(url + path).status_code for path in ("/healthz", "/metrics")] == [200, 200]
    assert len(upstream.requests) == 1


def test_the_key_is_checked_before_a_place_is_taken_or_a_body_read(upstream: Upstream) -> None:
    with served(upstream, api_key="k", max_requests=1, max_waiting=0) as url:
        host, port = httpx.URL(url).host, httpx.URL(url).port
        with socket.create_connection((host, port or 0), timeout=20) as connection:
            connection.sendall(b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 401")
            assert metric(url, "me2_requests_waiting") == 0


# Scoring


def test_score_takes_texts_and_messages(client: openai.OpenAI, url: str) -> None:
    message = {"role": "assistant", "content": "146", "reasoning_content": BAD}
    response = post(url, "score", {"question": "What is 12 * 13?", "traces": [GOOD, message]})
    expected = TRMScorer("mini").score("What is 12 * 13?", [GOOD, Trace.from_message(message)])
    assert response.json() == {"scorer": "mini", "rewards": list(expected), "truncated": [0, 0]}
    chat = post(url, "score", {"question": QUESTION, "traces": [GOOD], "scorer": "long"})
    assert chat.json()["rewards"] == [len(GOOD)]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"traces": []}, "traces"),
        ({"traces": ["x", ""]}, "traces"),
        ({"traces": ["x", {}]}, "traces"),
        ({"traces": ["x", {"content": 3}]}, "traces"),
        ({"traces": [3]}, "traces"),
        ({"traces": ["x"], "question": 3}, "question"),
        ({"traces": ["x"], "scorer": "/etc"}, "scorer"),
        ({"traces": ["x"] * 129}, "traces"),
        ({"traces": ["x"], "more": 1}, "more"),
        ({}, "traces"),
    ],
)
def test_what_cannot_be_scored_is_named(url: str, body: dict[str, Any], param: str) -> None:
    response = post(url, "score", body)
    assert (response.status_code, complaint(response)["param"]) == (400, param)


def test_traces_have_a_largest_size(upstream: Upstream) -> None:
    with served(upstream, max_trace_characters=100) as url:
        for path, body in (
            ("score", {"traces": ["x" * 101]}),
            ("rerank", {"query": "?", "documents": ["x" * 101]}),
            ("embeddings", {"input": "x" * 101}),
        ):
            response = post(url, path, body)
            assert (response.status_code, complaint(response)["code"]) == (400, "too_long")


def test_rerank_in_the_form_of_cohere_and_in_ours(url: str) -> None:
    documents = [BAD, {"text": GOOD}, ""]
    body = {
        "query": "What is 12 * 13?",
        "documents": documents,
        "return_documents": True,
        "model": "whatever",
    }
    found = post(url, "rerank", body).json()
    assert [(one["index"], one["document"]) for one in found["results"]] == [
        (1, {"text": GOOD}),
        (0, {"text": BAD}),
    ]
    assert found["results"][0]["relevance_score"] == TRMScorer("mini").score("What is 12 * 13?", [GOOD])[0]
    assert [(one["index"], one["stage"]) for one in found["failures"]] == [(2, "read")]
    messages = [
        {"role": "assistant", "content": text + f" \\boxed{{{n}}}"}
        for text, n in ((GOOD, 1), (BAD, 2), (BAD, 2))
    ]
    voted = post(
        url, "rerank", {"question": QUESTION, "candidates": messages, "select": "vote", "top_n": 1}
    ).json()
    assert [(one["index"], one["answer"]) for one in voted["results"]] == [(1, "2")]
    assert post(url, "rerank", {"query": "?", "documents": ["a"], "model": "long"}).json()["model"] == "long"
    for wrong in ({"query": "?"}, {"documents": ["x"]}, {"query": "?", "question": "?", "documents": ["x"]}):
        assert post(url, "rerank", wrong).status_code == 400


HOSTILE = [
    ("What is 12 * 13?", GOOD),
    ("You are terse.\nWhat is\n\n12 * 13?\n", f"<think>\n{BAD}\n</think>146"),
    ("Is </think> a tag?\n<think> too?", f"{GOOD}\n</think>\n</think>"),
    ("a\n" * 20, f"<think><think>\n{GOOD}"),
    (None, f"First line 3 * 4 = 12.\n{BAD}"),
    ("", "\n\n  3 * 4 = 12"),
    ("  \n leading 7 spaces", "trailing 7 * 2 = 14  \n "),
    (QUESTION, "x-me2-trace-offsets: 1\n\n" + GOOD),
    ([{"role": "system", "content": "S\nT"}, *QUESTION], "ü\ud800 12 * 13 = 156"),
]


def test_a_remote_scorer_gets_the_scores_of_the_local_one(url: str) -> None:
    local, traces = alone_scorer(TRMScorer("mini")), [Trace(reasoning=text) for _, text in HOSTILE]
    questions = [question for question, _ in HOSTILE]
    expected = local.score(questions, traces)
    with RemoteTRMScorer(url, api="sglang") as remote:
        assert remote.score(questions, traces) == expected
        assert remote.score("One\ntwo 12?", traces) == local.score("One\ntwo 12?", traces)
        remote.check(questions, traces, expected, tolerance=0)
    with RemoteTRMScorer(url, model="long") as remote:
        assert remote.score("Q", ["abc"]) == [len("<think>abc")]


def test_a_remote_scorer_gets_the_scores_of_a_reward_model(tmp_path: Path) -> None:
    local = TRMScorer(str(tiny_reward_model(tmp_path / "trm")))
    traces, questions = [Trace(reasoning=text) for _, text in HOSTILE], [question for question, _ in HOSTILE]
    expected = local.score(questions, traces)
    with served(None, scorers={"trm": str(tmp_path / "trm")}) as url:
        with RemoteTRMScorer(url, model="trm") as remote:
            assert remote.score(questions, traces) == pytest.approx(expected, abs=1e-5)
        # A client that does not say where the trace begins: the model reads the same text all the same.
        texts = [f"{question}\n{text}" for question, text in [("Q", "one\ntwo"), ("Q\nR </think>", "three")]]
        bare = post(url, "embeddings", {"model": "trm", "input": texts}).json()
        assert [item["embedding"][0] for item in bare["data"]] == pytest.approx(
            local.score(["Q", "Q\nR </think>"], ["one\ntwo", "three"]), abs=1e-5
        )
        long = post(url, "embeddings", {"input": "x" * 9000})
        assert (long.status_code, "longer" in long.text) == (400, True)
        assert str(tmp_path) not in post(url, "score", {"traces": ["x"]}).text
        with asked(url) as client, pytest.raises(openai.NotFoundError, match="only scores"):
            client.chat.completions.create(model="m", messages=QUESTION)


def test_embeddings_for_openais_own_client(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(
        model="mini", input=[f"What is 12 * 13?\n{text}" for text in (GOOD, BAD)]
    )
    assert [item.embedding for item in answer.data] == [
        [score] for score in TRMScorer("mini").score("What is 12 * 13?", [GOOD, BAD])
    ]
    assert answer.usage.total_tokens > 0
    for wrong in (
        {"input": ""},
        {"input": []},
        {"input": [" "]},
        {"input": "x", "dimensions": 1},
        {"model": "/etc"},
    ):
        with pytest.raises(openai.BadRequestError):
            client.embeddings.create(**{"model": "mini", "input": "x", **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("offsets", ["1", "3,x", "99,2", "2,2,2", "-1,2", b"\xff"])
def test_offsets_that_do_not_fit(url: str, offsets: Any) -> None:
    response = post(url, "embeddings", {"input": ["Q\na", "Q\nb"]}, headers={"x-me2-trace-offsets": offsets})
    assert (response.status_code, complaint(response)["param"]) == (400, "x-me2-trace-offsets")


# The server itself


def metric(url: str, name: str) -> float:
    found = re.search(
        rf"^{re.escape(name)} (\S+)$", httpx.get(f"{url}/metrics", timeout=60).text, re.MULTILINE
    )
    return float(found[1]) if found else 0.0


def test_metrics_tell_what_was_done(upstream: Upstream) -> None:
    with served(upstream) as url, asked(url) as client:
        client.chat.completions.create(model="m", messages=QUESTION)
        post(url, "score", {"traces": []})
        httpx.get(f"{url}/wp-admin")
        httpx.get(f"{url}/v1/models/abc")
        assert metric(url, 'me2_requests_total{route="/v1/chat/completions",status="200"}') == 1
        assert metric(url, 'me2_requests_total{route="/v1/score",status="400"}') == 1
        assert metric(url, 'me2_requests_total{route="other",status="404"}') == 1
        assert metric(url, 'me2_requests_total{route="/v1/models",status="404"}') == 1
        assert metric(url, 'me2_request_seconds_count{route="/v1/chat/completions"}') == 1
        assert metric(url, 'me2_candidates_total{outcome="scored"}') == 4
        assert metric(url, 'me2_tokens_total{kind="completion"}') == 20
        assert metric(url, "me2_cost_usd_total") == pytest.approx(7 * 1.5e-7 + 20 * 6e-7)
        assert metric(url, 'me2_scorer_seconds_count{scorer="mini"}') == 1
        assert metric(url, 'me2_upstream_calls_total{source="upstream"}') == 1
        assert metric(url, "process_resident_memory_bytes") > 1e7
        assert "text/plain" in httpx.get(f"{url}/metrics").headers["content-type"]


class Slow(Longest):
    def __init__(self) -> None:
        self.may_load = threading.Event()

    def load(self) -> None:
        assert self.may_load.wait(30)


async def test_an_app_inside_another_one_is_ready_once_its_scorer_is_loaded(upstream: Upstream) -> None:
    scorer = Slow()
    settings = ServerConfig(
        models="openai/gpt-4o-mini",
        scorers=[scorer],
        n=2,
        params={"api_base": upstream.url, "api_key": SECRET},
    )
    outer = Starlette(routes=[Mount("/one", create_app(settings)), Mount("/two", create_app(settings))])
    transport = httpx.ASGITransport(app=outer)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        health = await client.get("/one/healthz")
        assert (health.status_code, health.json()["status"]) == (503, "loading")
        assert (await client.get("/one/healthz/live")).status_code == 200
        asking = asyncio.create_task(client.post("/one/v1/chat/completions", json={"messages": QUESTION}))
        scorer.may_load.set()
        answer = await asking
        assert answer.json()["me2"]["scorer"] == "Slow"
        assert (await client.get("/one/healthz")).json() == {"status": "ok", "scorers": ["Slow"]}
        text = (await client.get("/one/metrics")).text
        assert 'me2_requests_total{route="/v1/chat/completions",status="200"} 1.0' in text
        assert "chat/completions" not in (await client.get("/two/metrics")).text


class Unloadable(Longest):
    def load(self) -> None:
        raise ConfigurationError("no such weights")


def test_a_scorer_that_cannot_be_loaded_stops_the_server() -> None:
    with pytest.raises(ConfigurationError, match="no such weights"), served(None, scorers=[Unloadable()]):
        raise AssertionError("it started")


async def test_a_server_that_is_stopped_while_it_loads_has_not_failed() -> None:
    stopped, loading = threading.Event(), threading.Event()

    class Slow(Longest):
        def load(self) -> None:
            loading.set()
            assert stopped.wait(30)

    def stop(server: Any, url: str) -> None:
        assert loading.wait(30)
        server.should_exit = True

    try:
        await run(ServerConfig(scorers=[Slow()], port=0), stop, lambda url: pytest.fail("loaded"), False)
    finally:
        stopped.set()


async def test_an_app_whose_scorer_cannot_be_loaded_says_so() -> None:
    app = create_app(ServerConfig(scorers=[Unloadable()]))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        score = await client.post("/v1/score", json={"traces": ["x"]})
        assert (score.status_code, complaint(score)["code"]) == (500, "configuration")
        assert (await client.get("/healthz")).json()["status"] == "failed"


def test_a_port_that_is_taken() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ConfigurationError, match="Choose another"),
        served(None, port=taken.getsockname()[1]),
    ):
        raise AssertionError("it started")


def test_an_answer_is_not_held_back() -> None:
    """asyncio sends small packets at once for sockets that name their protocol; the others wait for 40 ms."""
    with listen(ServerConfig(port=0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize(
    "settings",
    [
        {"n": 0}, {"n": 65}, {"timeout": 0}, {"timeout": float("inf")}, {"api_key": ""}, {"api_key": "a b"},
        {"api_key": "schlüssel"}, {"scorers": {}}, {"port": 70000}, {"select": "worst"}, {"unknown": 1},
        *({"allow_params": [name]} for name in ("api_base", "extra_body", "mock_response", "headers", "timeout", "n")),
        {"allow_params": ["input_cost_per_token"]}, {"answer": "nothing"}, {"stop": 2}, {"min_confidence": 0},
        {"models": "openai/a", "escalate": "openai/b"}, {"select": "best", "stop": "sure"},
    ],
)  # fmt: skip
def test_settings_that_cannot_work(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        ServerConfig(**settings)
    if settings.get("api_key"):
        assert settings["api_key"] not in str(caught.value)


def test_what_has_no_name_gets_one_that_tells_no_place(tmp_path: Path) -> None:
    settings = ServerConfig(
        models=len, scorers=["mini", "http://gpu:30000", str(tmp_path), "org/model", Longest()]
    )  # type: ignore[arg-type]
    assert list(settings.models) == ["len"]
    assert list(settings.scorers) == ["mini", "remote", tmp_path.name, "org/model", "Longest"]
    (process,) = ServerConfig(scorers=f"prm:{tmp_path}").scorers  # type: ignore[arg-type]
    assert process == tmp_path.name


def test_settings_are_frozen_and_keep_their_secrets() -> None:
    settings = ServerConfig(models=["a", "b"], api_key="hidden-key", params={"api_key": SECRET})  # type: ignore[arg-type]
    assert settings.models == {"a": "a", "b": "b"}
    assert "hidden-key" not in repr(settings)
    assert SECRET not in repr(settings)
    with pytest.raises(ValidationError):
        settings.n = 3
    for wrong in ({"models": {"m": 3}}, {"scorers": {"s": 3}}, {"models": {"m": len}, "cache": True}):
        with pytest.raises(ConfigurationError):
            create_app(ServerConfig(**wrong))


async def test_a_hundred_requests_at_once_none_lost_none_mixed_up(upstream: Upstream) -> None:
    upstream.behave = lambda request: (
        error(500) if request.number % 10 == 9 else Reply(f"You said {request.text}", honours_n=False)
    )
    with served(upstream, n=2, max_retries=6, max_requests=32) as url:
        async with openai.AsyncOpenAI(
            base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120
        ) as client:

            async def ask(number: int) -> str | None:
                chat = [{"role": "user", "content": f"question {number}"}]
                if number % 2:
                    answer = await client.chat.completions.create(model="m", messages=chat)  # type: ignore[arg-type]
                    return answer.choices[0].message.content
                stream = await client.chat.completions.create(model="m", messages=chat, stream=True)  # type: ignore[arg-type]
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            answers = await asyncio.gather(*(ask(number) for number in range(100)))
        assert answers == [f"You said question {number}" for number in range(100)]
        assert metric(url, 'me2_requests_total{route="/v1/chat/completions",status="200"}') == 100
        assert metric(url, "me2_requests_waiting") == metric(url, "me2_requests_in_flight") == 0


@contextmanager
def subprocess_server(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``me2 serve`` in a process of its own, and its URL."""
    command = [sys.executable, "-m", "me2sdk.cli", "serve", *arguments, "--port", "0"]
    kept = {name: value for name, value in os.environ.items() if name != "ME2_SERVER_KEY"}
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**kept, "OPENAI_API_KEY": SECRET, **environment}
    )
    with process, ExitStack() as stack:
        stack.callback(process.kill)
        assert process.stderr is not None
        lines = []
        while not lines or not (found := re.search(r"Listening on (\S+)", lines[-1])):
            lines.append(process.stderr.readline())
            assert lines[-1], lines
        process.lines = lines  # type: ignore[attr-defined]
        yield process, found[1]


def test_sigterm_lets_a_request_finish() -> None:
    with OpenAIServer(GOOD) as upstream:
        arguments = ("m=openai/test", "--api-base", upstream.url, "-n", "1")
        with subprocess_server("--model", *arguments, ME2_SERVER_KEY="key") as (process, url):
            upstream.gate.clear()
            statuses: list[int] = []

            def ask() -> None:
                headers = {"authorization": "Bearer key"}
                statuses.append(
                    post(url, "chat/completions", {"messages": QUESTION}, headers=headers).status_code
                )

            thread = threading.Thread(target=ask)
            thread.start()
            try:
                upstream.wait_for(lambda: upstream.in_flight == 1)
                process.send_signal(signal.SIGTERM)
                while True:  # no new connections are taken
                    try:
                        socket.create_connection((httpx.URL(url).host, httpx.URL(url).port or 0)).close()
                    except ConnectionError:
                        break
                assert process.poll() is None
            finally:
                upstream.gate.set()
                thread.join()
            assert statuses == [200]
            assert process.wait(30) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""
        assert len(process.lines) == 1  # type: ignore[attr-defined]


def test_memory_stays_flat() -> None:
    """Resident memory grows by at most 8 MiB over 300 requests; keeping their bodies would take 15.

    benchmarks/server.py does the same over 2,000.
    """
    body = {"messages": [{"role": "user", "content": "What is 12 * 13? " * 3000}]}
    with (
        OpenAIServer(GOOD) as upstream,
        subprocess_server("openai/test", "--api-base", upstream.url, "-n", "1") as (process, url),
    ):
        resident = []
        for count in (150, 300):
            asyncio.run(ask_many(url, body, count))
            resident.append(psutil.Process(process.pid).memory_info().rss)
    assert len(upstream.requests) == 450
    assert resident[1] - resident[0] < 8 * 2**20


async def ask_many(url: str, body: dict[str, Any], count: int) -> None:
    slots = asyncio.Semaphore(8)
    async with httpx.AsyncClient(timeout=60) as client:

        async def one() -> None:
            async with slots:
                response = await client.post(f"{url}/v1/chat/completions", json=body)
                assert response.status_code == 200

        await asyncio.gather(*(one() for _ in range(count)))


def test_a_server_for_everybody_without_a_key_warns() -> None:
    with subprocess_server("--host", "0.0.0.0") as (process, _):
        assert "ME2_SERVER_KEY" in process.lines[0]  # type: ignore[attr-defined]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    with subprocess_server("--host", "0.0.0.0", ME2_SERVER_KEY="k") as (process, _):
        assert len(process.lines) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", ["starlette", "uvicorn", "prometheus_client"])
def test_the_missing_extra_is_one_line(module: str) -> None:
    code = (
        f"import sys; sys.modules[{module!r}] = None; sys.argv = ['me2', 'serve', 'm']; "
        "from me2sdk.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert 'Run: pip install "me2sdk[server]"' in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["-n", "99"], "more than max_n"), (["--allow-param", "api_key"], "may not come from clients")],
)
def test_usage_errors_of_the_command(arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "me2sdk.cli", "serve", "openai/test", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, said in done.stderr) == (2, True)
