from __future__ import annotations

import json
import threading

import httpx
import pytest
from support.fake_provider import CUT, EMPTY, HANG, MALFORMED, OpenAIServer, Reply, error


def ask(server: OpenAIServer, **body: object) -> httpx.Response:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **body}
    headers = {"Authorization": "Bearer the-key"}
    return httpx.post(f"{server.url}/chat/completions", json=body, headers=headers, timeout=5)


def test_behaviours() -> None:
    script = ["text", Reply(["a", "b"]), EMPTY, error(429, retry_after=3), error(401, "bad {key}")]
    with OpenAIServer(script) as server:
        assert ask(server).json()["choices"][0]["message"] == {"role": "assistant", "content": "text"}
        double = ask(server, n=2).json()
        assert [choice["message"]["content"] for choice in double["choices"]] == ["a", "b"]
        assert double["usage"] == {"prompt_tokens": 7, "completion_tokens": 10, "total_tokens": 17}
        assert ask(server).json()["choices"] == []
        busy = ask(server)
        assert (busy.status_code, busy.headers["retry-after"]) == (429, "3")
        assert ask(server).json()["error"]["message"] == "bad the-key"
        assert ask(server).json()["choices"][0]["message"]["content"] == "42"  # after the script
        assert server.requests[1].text == "hi"
        assert httpx.post(f"{server.url}/nothing", json={"messages": []}).status_code == 404


def test_streams() -> None:
    with OpenAIServer(["text", error(429)]) as server:
        streamed = ask(server, stream=True)
        assert streamed.headers["content-type"] == "text/event-stream"
        *lines, done = [line.removeprefix("data: ") for line in streamed.text.split("\n\n") if line]
        chunks = [json.loads(line) for line in lines]
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
        assert "".join(delta.get("content", "") for delta in deltas) == "text"
        assert (chunks[-1]["usage"]["total_tokens"], done) == (12, "[DONE]")
        assert ask(server, stream=True).status_code == 429


def test_broken_bodies() -> None:
    with OpenAIServer([CUT, MALFORMED]) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            ask(server)
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            ask(server).json()


def test_closing_ends_what_hangs() -> None:
    outcomes: list[type] = []

    def hang() -> None:
        try:
            ask(server)
        except httpx.HTTPError as problem:
            outcomes.append(type(problem))

    with OpenAIServer(HANG) as server:
        thread = threading.Thread(target=hang)
        thread.start()
        server.wait_for(lambda: server.in_flight == 1)
    thread.join(5)
    assert outcomes
    assert server.max_in_flight == 1
