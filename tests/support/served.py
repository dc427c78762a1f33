"""A server of ours in front of an upstream that tests can make fail, and OpenAI's client in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
from support.fake_provider import OpenAIServer, Request

from me2sdk.adapters.openai_server import ServerConfig, serving
from me2sdk.scorers.mini import MiniScorer

GOOD, BAD = "12 * 13 = 120 + 36 = 156. The answer is 156.", "12 * 13 = 140, or 12 * 13 = 141. Hmm. It is 146."
QUESTION = [{"role": "user", "content": "What is 12 * 13?"}]
SECRET = "sk-upstream-secret-0123456789"
TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
TOOLS = [
    {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
]


class Upstream(OpenAIServer):
    """An upstream whose behaviour each test sets anew."""

    def __init__(self) -> None:
        super().__init__(lambda request: self.behave(request))
        self.behave: Callable[[Request], Any] = lambda request: GOOD

    def reset(self) -> None:
        self.requests.clear()
        self.left = 0
        self.max_in_flight = 0


MINI = MiniScorer.load().alone()
"""Rewards that do not depend on how many say the same: what is tested is that the best one comes back."""


@contextmanager
def served(upstream: OpenAIServer | None, **settings: Any) -> Iterator[str]:
    """The URL of a server in front of ``upstream``."""
    values: dict[str, Any] = {
        "models": {"m": "openai/gpt-4o-mini"} if upstream else {},
        "port": 0,
        "n": 4,
        "max_retries": 0,
        "scorers": {"mini": MINI},
        "params": {"api_base": upstream.url, "api_key": SECRET} if upstream else {},
    }
    with serving(ServerConfig(**{**values, **settings})) as url:
        yield url


@contextmanager
def asked(url: str, key: str = "none") -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60) as client:
        yield client


def post(url: str, path: str, body: Any, **options: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/{path}", json=body, timeout=60, **options)


def complaint(response: httpx.Response) -> dict[str, Any]:
    """The error in OpenAI's form."""
    found = response.json()["error"]
    assert set(found) == {"message", "type", "param", "code"}
    return dict(found)
