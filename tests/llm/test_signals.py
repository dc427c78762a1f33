"""What a provider says beside its text: why it stopped, that it refused, that it gives one answer a call."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply, Request, error

from me2sdk import best_of_n
from me2sdk.llm import LLM, Generation
from me2sdk.llm.request import rejects_n
from me2sdk.schema import Failure

Connect = Callable[..., LLM]

CUSTOM = {"id": "1", "type": "custom", "custom": {"name": "run", "input": "print(7 * 6)"}}


@pytest.mark.parametrize(
    ("reason", "choice", "expected"),
    [
        ("stop", {}, "stop"),
        ("length", {}, "length"),
        ("content_filter", {}, "content_filter"),
        ("abort", {}, "abort"),  # SGLang, vLLM; LiteLLM says "stop"
        ("error", {}, "error"),  # OpenRouter; LiteLLM says "stop"
        ("network_error", {}, "network_error"),  # GLM; LiteLLM says "stop"
        ("stop", {"native_finish_reason": "MAX_TOKENS"}, "MAX_TOKENS"),
        ("stop", {"native_finish_reason": "end_turn"}, "stop"),
        ("length", {"native_finish_reason": "max_output_tokens"}, "length"),
        ("stop", {"error": {"code": 502, "message": "upstream died"}}, "error"),
        ("refusal", {}, "refusal"),
        ("no word that anybody knows", {}, "stop"),
        (None, {}, "stop"),
    ],
)
async def test_the_reason_is_the_provider_s_where_litellm_hides_it(
    connect: Connect, reason: Any, choice: dict[str, Any], expected: str
) -> None:
    with OpenAIServer(Reply("7 * 6 = 42", finish_reason=reason, choice=choice)) as server:
        assert (await connect(server).agenerate("x")).finish_reason == expected


@pytest.mark.parametrize("stop", ["refusal", "max_tokens"])
async def test_the_reason_of_anthropic(stop: str) -> None:
    class Anthropic(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            said = {"type": "text", "text": "7 * 6"}
            body: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "model": "x"}
            body |= {"content": [said], "stop_reason": stop, "usage": {"input_tokens": 7, "output_tokens": 5}}
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the test output clean."""

    with HTTPServer(("127.0.0.1", 0), Anthropic) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}"
            answer = await LLM("anthropic/claude-x", api_base=url, api_key="none").agenerate("x")
        finally:
            server.shutdown()
            thread.join()
    # Not every version of LiteLLM tells the provider's own word.
    assert answer.finish_reason in {"refusal": ("refusal", "content_filter"), "max_tokens": ("length",)}[stop]


@pytest.mark.parametrize(
    "fields",
    [
        {"refusal": "I cannot help with that."},
        {"tool_calls": [CUSTOM]},
        {"function_call": {"name": "f", "arguments": '{"a": 1}'}},
    ],
)
async def test_what_stands_in_place_of_content_is_kept(connect: Connect, fields: dict[str, Any]) -> None:
    with OpenAIServer(Reply(None, fields)) as server:
        answer = await connect(server).agenerate("x")
    found = dict(answer.message)
    found |= found.pop("provider_specific_fields", {})  # where older versions of LiteLLM keep a refusal
    assert found == {"role": "assistant", "content": None, **fields}


@pytest.mark.parametrize(
    ("fields", "response"),
    [
        ({"tool_calls": [CUSTOM]}, "run(print(7 * 6))"),
        ({"function_call": {"name": "f", "arguments": '{"a": 1}'}}, 'f({"a": 1})'),
        ({"reasoning_content": "7 * 6 = 42"}, "7 * 6 = 42"),
    ],
)
def test_they_are_finished_answers(fields: dict[str, Any], response: str) -> None:
    with OpenAIServer(Reply(None, fields)) as server:
        best = best_of_n("7 * 6?", model="openai/x", n=1, api_base=server.url, api_key="none").best
    assert (best.response, best.trace.truncated, best.refusal) == (response, False, None)


REFUSALS_OF_N = [
    (500, "Only one completion choice is allowed"),  # llama.cpp
    (400, "This model does not support the 'n' parameter"),
    (400, "n must be 1"),
    (422, '{"loc": ["body", "n"], "msg": "Input should be less than or equal to 1"}'),
    (403, "n > 1 is not allowed on this plan"),
    (404, "No endpoints found that support n"),
    (501, "multiple completions are not implemented"),
    (503, "The number of completions must be 1"),
    (400, "Unsupported value: candidateCount must be 1"),
    (400, "best_of must be 1 with greedy sampling"),
]


@pytest.mark.parametrize(("status", "message"), REFUSALS_OF_N)
async def test_n_refused_with_any_status_is_asked_one_by_one(
    connect: Connect, naps: list[float], status: int, message: str
) -> None:
    def behave(request: Request) -> Any:
        return error(status, message) if request.body.get("n") else "42"

    with OpenAIServer(behave) as server:
        llm = connect(server)
        first = [item async for item in llm.asample("x", 3)]
        again = [item async for item in llm.asample("x", 3)]
    assert all(isinstance(item, Generation) for item in first + again)
    # It is refused once, without a retry, and remembered.
    assert [request.body.get("n") for request in server.requests] == [3] + [None] * 6
    assert naps == []


async def test_another_server_is_asked_for_several_all_the_same(connect: Connect) -> None:
    with OpenAIServer(lambda request: error(400, "n must be 1") if request.body.get("n") else "42") as one:
        llm = connect(one)
        assert len([item async for item in llm.asample("x", 2)]) == 2
        with OpenAIServer("42") as other:
            assert len([item async for item in llm.asample("x", 2, api_base=other.url)]) == 2
            assert [request.body.get("n") for request in other.requests] == [2]


@pytest.mark.parametrize("status", [400, 405, 500, 501])
async def test_without_a_word_of_n_one_sample_is_asked_for_to_see(connect: Connect, status: int) -> None:
    def behave(request: Request) -> Any:
        return error(status, "something is wrong") if request.body.get("n") else "42"

    with OpenAIServer(behave) as server:
        items = [item async for item in connect(server, max_retries=0).asample("x", 3)]
    assert all(isinstance(item, Generation) for item in items)
    assert [request.body.get("n") for request in server.requests] == [3, None, None, None]


async def test_a_server_that_is_broken_is_not_asked_for_every_sample(connect: Connect) -> None:
    with OpenAIServer(lambda request: error(500, "something is wrong")) as server:
        items = [item async for item in connect(server, max_retries=0).asample("x", 5)]
    assert sorted(item.index for item in items) == [0, 1, 2, 3, 4]
    assert all(isinstance(item, Failure) and item.status == 500 for item in items)
    assert [request.body.get("n") for request in server.requests] == [5, None]


async def test_limits_and_credentials_are_no_refusal_of_n(connect: Connect) -> None:
    for status in (401, 402, 429, 503):
        with OpenAIServer(lambda request, status=status: error(status, "come back later")) as server:  # type: ignore[misc]
            items = [item async for item in connect(server, max_retries=0).asample("x", 3)]
        assert all(isinstance(item, Failure) and item.status == status for item in items)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "message",
    [
        "The server had an error while processing your request",
        "Rate limit reached for gpt-n in organization n-1",
        "Internal server error\\n at line 3",
        "temperature must be between 0 and 2",
        "model openai/n-gram not found",
        "can't read the message",
    ],
)
def test_other_errors_say_nothing_of_n(message: str) -> None:
    assert not rejects_n(Exception(message))
