from __future__ import annotations

import threading

import httpx
import pytest
from openai_server import CUT, EMPTY, HANG, MALFORMED, OpenAIServer, Reply, error


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
