from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply, error

from me2sdk.errors import ConfigurationError, GenerationError
from me2sdk.llm import LLM, load_litellm
from me2sdk.schema import Usage

UNKNOWN = Usage(calls=1, prompt_tokens=None, completion_tokens=None, cost=None)


async def test_functions_of_each_kind() -> None:
    def plain(messages: list[Any], **params: Any) -> str:
        return f"{messages[0]['content']} {params} {threading.current_thread().name.split('_')[0]}"

    async def coroutine(messages: list[Any], **params: Any) -> dict[str, Any]:
        return {"content": "c", "reasoning_content": "r"}

    class Callable_:
        async def __call__(self, messages: list[Any], **params: Any) -> str:
            return "from an object"

    def returns_awaitable(messages: list[Any], **params: Any) -> Any:
        return coroutine(messages)

    answer = await LLM(plain, temperature=1).agenerate("hi", top_p=0.5)
    assert answer.message == {
        "role": "assistant",
        "content": "hi {'temperature': 1, 'top_p': 0.5} me2sdk-model",
    }
    assert (answer.model, answer.usage, answer.raw, answer.finish_reason) == ("plain", UNKNOWN, None, None)
    message = (await LLM(coroutine).agenerate("hi")).message
    assert message == {"role": "assistant", "content": "c", "reasoning_content": "r"}
    answer = await LLM(Callable_()).agenerate("hi")
    assert (answer.message["content"], answer.model) == ("from an object", "Callable_")
    assert (await LLM(returns_awaitable).agenerate("hi")).message["content"] == "c"


async def test_a_function_may_return_a_response(connect: Callable[..., LLM]) -> None:
    litellm = load_litellm()

    def model(messages: list[Any], **params: Any) -> Any:
        return litellm.completion("openai/gpt-4o", messages, api_key="none", mock_response="mocked", **params)

    answer = await LLM(model).agenerate("hi")
    assert answer.message["content"] == "mocked"
    assert answer.usage is not None
    assert answer.usage.completion_tokens
    assert answer.raw.choices[0].message.content == "mocked"


async def test_plain_functions_fill_all_slots() -> None:
    together = threading.Barrier(16, timeout=20)

    def model(messages: list[Any], **params: Any) -> str:
        together.wait()
        return "x"

    llm = LLM(model, max_concurrency=16)
    assert len([item async for item in llm.asample("x", 16)]) == 16
    assert llm.usage.calls == 16


async def test_errors_of_functions() -> None:
    class Busy(Exception):
        status_code = 429

    raised = [Busy("later"), ConnectionResetError("gone"), TimeoutError()]

    def recovers(messages: list[Any], **params: Any) -> str:
        if raised:
            raise raised.pop()
        return "x"

    llm = LLM(recovers)

    async def nap(seconds: float) -> None:
        pass

    llm._caller.sleep = nap
    assert (await llm.agenerate("x")).message["content"] == "x"

    for bug, text in [
        (ValueError("a bug"), "ValueError"),
        (StopIteration(), "StopIteration"),
        (KeyError("sk-abcdefghij"), "KeyError"),
    ]:

        def broken(messages: list[Any], _bug: Exception = bug, **params: Any) -> str:
            raise _bug

        with pytest.raises(
            GenerationError, match=f"failed after 1 attempt .*{text}.*Check the model function"
        ) as e:
            await LLM(broken).agenerate("x")
        assert "sk-abc" not in str(e.value)


async def test_a_function_that_returns_something_else() -> None:
    with pytest.raises(GenerationError, match="returned int; return a text"):
        await LLM(lambda messages, **params: 3).agenerate("x")
    with pytest.raises(GenerationError, match="returned dict"):
        await LLM(lambda messages, **params: {"choices": []}).agenerate("x")


async def test_functions_get_copies() -> None:
    def model(messages: list[Any], **params: Any) -> str:
        messages[0]["content"] += "!"
        return str(messages[0]["content"])

    chat = [{"role": "user", "content": "hi"}]
    items = [item async for item in LLM(model).asample(chat, 3)]
    assert [item.message["content"] for item in items] == ["hi!"] * 3
    assert chat == [{"role": "user", "content": "hi"}]


def test_functions_need_no_litellm() -> None:
    code = (
        "import sys; from me2sdk.llm import LLM\n"
        "assert LLM(lambda messages, **params: 'x', max_tokens=3).generate('q').message['content'] == 'x'\n"
        "assert not {'litellm', 'torch', 'transformers', 'diskcache'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_router(connect: Callable[..., LLM], naps: list[float], tmp_path: Any) -> None:
    litellm = load_litellm()

    def deployment(name: str, model: str, server: OpenAIServer) -> dict[str, Any]:
        params = {"model": model, "api_base": server.url, "api_key": "sk-router-secret"}
        return {"model_name": name, "litellm_params": params}

    with OpenAIServer([error(503), Reply("from the first", usage=(7, 5))]) as one:
        router = litellm.Router([deployment("main", "openai/gpt-4o", one)], num_retries=3, cooldown_time=0)
        llm = LLM(router, cache=tmp_path)
        llm._caller.sleep = connect(one)._caller.sleep
        answer = await llm.agenerate("x")
        assert (answer.model, answer.message["content"]) == ("main", "from the first")
        assert len(one.requests) == 2  # one retry, ours: the router made none
        assert len(naps) == 1
        assert answer.usage is not None
        assert answer.usage.cost == pytest.approx(7 * 2.5e-6 + 5 * 1e-5)
        assert (await llm.agenerate("x")).cached
        assert llm.models == ("main",)
        assert "sk-router-secret" in llm._targets[0].secrets()
        assert "sk-router-secret" not in str(llm._targets[0].identity())

    with OpenAIServer(error(503)) as down, OpenAIServer("from the fallback") as up:
        router = litellm.Router(
            [deployment("main", "openai/a", down), deployment("spare", "openai/b", up)],
            fallbacks=[{"main": ["spare"]}],
        )
        assert (await LLM(router).agenerate("x")).message["content"] == "from the fallback"


def test_a_router_needs_a_deployment() -> None:
    litellm = load_litellm()
    with pytest.raises(ConfigurationError, match="empty model_list"):
        LLM(litellm.Router([]))


async def test_litellm_cache_of_the_application_is_left_aside(
    connect: Callable[..., LLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    litellm = load_litellm()
    for name in ("input_callback", "success_callback", "_async_success_callback"):
        monkeypatch.setattr(litellm, name, [])
    monkeypatch.setattr(litellm, "cache", litellm.Cache(type="local"))
    chat = [{"role": "user", "content": "x"}]
    with OpenAIServer(["the application's", "ours"]) as server:
        await litellm.acompletion("openai/test", chat, api_base=server.url, api_key="none", max_retries=0)
        async with asyncio.timeout(20):
            while not litellm.cache.cache.cache_dict:  # noqa: ASYNC110 - filled in the background
                await asyncio.sleep(0.001)
        assert (await connect(server).agenerate(chat)).message["content"] == "ours"
