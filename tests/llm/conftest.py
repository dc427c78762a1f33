from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from support.fake_provider import OpenAIServer

from me2sdk.llm import LLM


@pytest.fixture(autouse=True)
def as_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """LiteLLM as it is when it has just been imported: each of its routers switches its messages off for good."""
    if "litellm" in sys.modules:
        monkeypatch.setattr(sys.modules["litellm"], "suppress_debug_info", False)


@pytest.fixture
def naps() -> list[float]:
    """Seconds that calls wanted to pause; none of them passes."""
    return []


@pytest.fixture
def connect(naps: list[float]) -> Callable[..., LLM]:
    """``connect(server, **settings)``: an LLM that asks the server and pauses without sleeping."""

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        await asyncio.sleep(0)

    def make(server: OpenAIServer, model: Any = "openai/test", **settings: Any) -> LLM:
        llm = LLM(model, api_base=server.url, api_key="sk-very-secret-key", **settings)
        llm._caller.sleep = nap
        return llm

    return make
