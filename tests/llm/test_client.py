from __future__ import annotations

import asyncio
import contextlib
import pickle
import random
import sqlite3
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import CUT, EMPTY, HANG, MALFORMED, OpenAIServer, Reply, Request, error

from me2sdk.errors import ConfigurationError, GenerationError
from me2sdk.llm import LLM, Generation, load_litellm
from me2sdk.schema import Failure, Trace, Usage

Connect = Callable[..., LLM]


async def collect(samples: Any) -> list[Any]:
    return sorted([item async for item in samples], key=lambda item: item.index)


def our_tasks() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if "LLM." in str(task.get_coro())]


async def test_one_answer(connect: Connect) -> None:
    with OpenAIServer(Reply("four", {"reasoning_content": "two and two"})) as server:
        llm = connect(server, "openai/gpt-4o", temperature=0.6)
        answer = await llm.agenerate("What is 2 + 2?", top_p=0.9)
    assert answer.message["content"] == "four"
    assert Trace.from_message(answer.message).reasoning == "two and two"
    assert (answer.model, answer.finish_reason, answer.cached, answer.index) == (
        "openai/gpt-4o",
        "stop",
        False,
        0,
    )
    assert answer.usage == llm.usage
    assert (llm.usage.calls, llm.usage.prompt_tokens, llm.usage.completion_tokens) == (1, 7, 5)
    assert llm.usage.cost == pytest.approx(7 * 2.5e-6 + 5 * 1e-5)
    assert answer.raw.choices[0].message.content == "four"
    assert server.requests[0].body == {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "What is 2 + 2?"}],
        "temperature": 0.6,
        "top_p": 0.9,
    }


def test_sync_twin_gives_the_same(connect: Connect) -> None:
    with OpenAIServer("same") as server:
        llm = connect(server)
        ours, theirs = llm.generate("x"), asyncio.run(llm.agenerate("x"))
    assert ours.message == theirs.message
    assert ours.usage == theirs.usage


async def test_cost_is_unknown_without_a_price_or_without_usage(connect: Connect) -> None:
    with OpenAIServer() as server:
        llm = connect(server, "openai/unheard-of")
        assert (await llm.agenerate("x")).usage == Usage(
            calls=1, prompt_tokens=7, completion_tokens=5, cost=None
        )
    with OpenAIServer(Reply(usage=None)) as server:
        llm = connect(server, "openai/gpt-4o")
        unknown = Usage(calls=1, prompt_tokens=None, completion_tokens=None, cost=None)
        assert (await llm.agenerate("x")).usage == unknown
        assert llm.usage == unknown


@pytest.mark.parametrize("fault", [error(429), error(500), error(503), error(409), MALFORMED, CUT, EMPTY])
async def test_what_may_pass_is_tried_again(connect: Connect, naps: list[float], fault: Any) -> None:
    with OpenAIServer([fault, fault, "good"]) as server:
        answer = await connect(server).agenerate("x")
    assert answer.message["content"] == "good"
    assert len(server.requests) == 3
    assert len(naps) == 2
    assert naps[1] >= 0.5  # twice the first pause, before jitter
    assert answer.seconds >= sum(naps)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_what_will_not_pass_is_tried_once(connect: Connect, naps: list[float], status: int) -> None:
    with OpenAIServer(error(status)) as server:
        with pytest.raises(GenerationError) as caught:
            await connect(server).agenerate("x")
        assert len(server.requests) == 1
    assert (caught.value.status, caught.value.attempts, naps) == (status, 1, [])


async def test_retries_are_bounded(connect: Connect, naps: list[float]) -> None:
    with OpenAIServer(error(503)) as server:
        with pytest.raises(GenerationError, match="failed after 3 attempts") as caught:
            await connect(server, max_retries=2).agenerate("x")
        assert len(server.requests) == 3
    assert (caught.value.attempts, caught.value.status, len(naps)) == (3, 503, 2)
    assert caught.value.error_type == "ServiceUnavailableError"


async def test_retry_after_is_kept(connect: Connect, naps: list[float]) -> None:
    with OpenAIServer([error(429, retry_after=7), "good"]) as server:
        await connect(server).agenerate("x")
    assert len(naps) == 1
    assert 7 <= naps[0] < 8


async def test_no_wait_past_the_total_time(connect: Connect, naps: list[float]) -> None:
    with OpenAIServer([error(429, retry_after=700), "never asked"]) as server:
        with pytest.raises(GenerationError, match="raise total_timeout") as caught:
            await connect(server).agenerate("x")
        assert len(server.requests) == 1
    assert pickle.loads(pickle.dumps(caught.value)).retry_after == caught.value.retry_after == 700
    assert naps == []


async def test_a_hanging_server_times_out(connect: Connect) -> None:
    with OpenAIServer([HANG, "good"]) as server:
        answer = await connect(server, timeout=0.3).agenerate("x")
        assert answer.message["content"] == "good"
    with OpenAIServer(HANG) as server, pytest.raises(GenerationError, match="Raise timeout") as caught:
        await connect(server, timeout=0.2, max_retries=0).agenerate("x")
    assert caught.value.status == 408


async def test_unreachable_endpoint() -> None:
    llm = LLM("openai/test", api_base="http://127.0.0.1:9/v1", api_key="none", max_retries=0)
    with pytest.raises(GenerationError, match="endpoint can be reached"):
        await llm.agenerate("x")


async def test_max_concurrency_holds(connect: Connect) -> None:
    with OpenAIServer() as server:
        server.gate.clear()
        llm = connect(server, max_concurrency=4)
        calls = [asyncio.create_task(llm.agenerate(f"{i}")) for i in range(40)]
        await asyncio.to_thread(server.wait_for, lambda: server.in_flight == 4)
        server.gate.set()
        await asyncio.gather(*calls)
    assert server.max_in_flight == 4
    assert len(server.requests) == 40


async def test_a_pause_gives_its_slot_away(connect: Connect) -> None:
    with OpenAIServer([error(429), "second", "first"]) as server:
        llm = connect(server, max_concurrency=1)
        napping, wake = asyncio.Event(), asyncio.Event()

        async def nap(seconds: float) -> None:
            napping.set()
            await wake.wait()

        llm._caller.sleep = nap
        first = asyncio.create_task(llm.agenerate("1"))
        await napping.wait()
        assert (await llm.agenerate("2")).message["content"] == "second"
        wake.set()
        assert (await first).message["content"] == "first"


async def test_samples_in_one_call_where_the_provider_can(connect: Connect) -> None:
    with OpenAIServer(Reply(["a", "b", "c"])) as server:
        llm = connect(server, "openai/gpt-4o")
        answers = await collect(llm.asample("x", 3))
        assert [answer.message["content"] for answer in answers] == ["a", "b", "c"]
        assert [answer.usage for answer in answers] == [None] * 3
        assert [len(answer.raw.choices) for answer in answers] == [1, 1, 1]
        assert [answer.raw.choices[0].message.content for answer in answers] == ["a", "b", "c"]
        assert [request.body.get("n") for request in server.requests] == [3]
        assert (llm.usage.calls, llm.usage.completion_tokens) == (1, 15)


@pytest.mark.parametrize("reply", [Reply("a", honours_n=False), None])
async def test_the_rest_is_fetched_singly(connect: Connect, reply: Reply | None) -> None:
    def behave(request: Request) -> Any:
        return error(400, "n is not supported") if reply is None and "n" in request.body else reply or "a"

    with OpenAIServer(behave) as server:
        answers = await collect(connect(server).asample("x", 4, seed=10))
    assert [answer.index for answer in answers] == [0, 1, 2, 3]
    assert all(isinstance(answer, Generation) and answer.usage is not None for answer in answers)
    assert [request.body.get("n") for request in server.requests].count(4) == 1
    seeds = sorted(request.body["seed"] for request in server.requests if "n" not in request.body)
    assert seeds == ([10, 11, 12, 13] if reply is None else [11, 12, 13])


async def test_a_prompt_that_is_too_long_is_not_asked_again(connect: Connect) -> None:
    message = "This model's maximum context length is 8 tokens. However, your messages resulted in 9 tokens."
    with OpenAIServer(error(400, message)) as server:
        failures = await collect(connect(server).asample("x", 3))
        assert len(server.requests) == 1
    assert [failure.error for failure in failures] == ["ContextWindowExceededError"] * 3


async def test_one_call_each_where_the_provider_cannot() -> None:
    llm = LLM("anthropic/claude-sonnet-4-5", mock_response="hello", api_key="none")
    answers = await collect(llm.asample("x", 3))
    assert [answer.message["content"] for answer in answers] == ["hello"] * 3
    assert llm.usage.calls == 3


async def test_one_failure_costs_the_others_nothing(connect: Connect) -> None:
    def behave(request: Request) -> Any:
        return error(401, "wrong key {key}") if request.body["model"] == "bad" else "good"

    with OpenAIServer(behave) as server:
        llm = connect(server, ["openai/good", "openai/bad", "openai/good"])
        items = await collect(llm.asample("x", 6))
    assert [type(item) for item in items] == [Generation, Failure, Generation] * 2
    assert [item.index for item in items] == list(range(6))
    failure = items[1]
    assert (failure.model, failure.status, failure.stage) == ("openai/bad", 401, "generate")
    assert (failure.error, failure.attempts) == ("AuthenticationError", 1)
    assert "sk-very-secret-key" not in failure.message
    assert llm.models == ("openai/good", "openai/bad", "openai/good")


async def test_answers_come_as_they_arrive() -> None:
    late = asyncio.Event()

    async def model(messages: list[Any], **params: Any) -> str:
        if not late.is_set() and len(asked) == 0:
            asked.append(1)
            await late.wait()
        return "x"

    asked: list[int] = []
    samples = LLM(model).asample("x", 3)
    seen = {(await anext(samples)).index, (await anext(samples)).index}
    assert seen == {1, 2}
    late.set()
    assert (await anext(samples)).index == 0
    with pytest.raises(StopAsyncIteration):
        await anext(samples)


async def test_keys_stay_out_of_errors(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    with OpenAIServer(error(401, "Incorrect API key provided: {key}")) as server:
        llm = connect(server)
        with pytest.raises(GenerationError) as caught:
            await llm.agenerate("x")
    whole = "".join(traceback.format_exception(caught.value)) + repr(llm) + caplog.text
    assert "very-secret" not in whole
    assert "AuthenticationError" in str(caught.value)
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "very-secret" not in str(chain)
        chain = chain.__context__


async def test_litellm_does_not_print(connect: Connect, capfd: pytest.CaptureFixture[str]) -> None:
    litellm = load_litellm()
    with OpenAIServer(error(400)) as server, pytest.raises(GenerationError):
        await connect(server).agenerate("x")
    assert capfd.readouterr().out == ""
    assert litellm.suppress_debug_info is False


@pytest.mark.parametrize("how", ["aclose", "cancel"])
async def test_closing_cancels_what_is_in_flight(connect: Connect, how: str) -> None:
    with OpenAIServer(lambda request: "quick" if request.body["model"] == "quick" else HANG) as server:
        llm = connect(server, ["openai/quick", "openai/a", "openai/b", "openai/c"])
        samples = llm.asample("x", 4)
        assert (await anext(samples)).model == "openai/quick"
        if how == "aclose":
            await asyncio.to_thread(server.wait_for, lambda: server.in_flight == 3)
            await samples.aclose()
        else:
            waiting = asyncio.ensure_future(anext(samples))
            await asyncio.to_thread(server.wait_for, lambda: server.in_flight == 3)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await asyncio.to_thread(server.wait_for, lambda: server.left == 3)
        assert our_tasks() == []


async def test_a_function_that_cancels_itself_is_a_failure() -> None:
    async def model(messages: list[Any], **params: Any) -> str:
        raise asyncio.CancelledError

    items = await collect(LLM(model, max_retries=0).asample("x", 2))
    assert [type(item) for item in items] == [Failure, Failure]


def test_one_object_in_several_loops_at_once() -> None:
    in_flight: Counter[int] = Counter()
    most: Counter[int] = Counter()

    async def model(messages: list[Any], **params: Any) -> str:
        loop = id(asyncio.get_running_loop())
        in_flight[loop] += 1
        most[loop] = max(most[loop], in_flight[loop])
        for _ in range(5):
            await asyncio.sleep(0)
        in_flight[loop] -= 1
        return str(messages[0]["content"])

    llm = LLM(model, max_concurrency=2)
    results: list[str] = []
    together = threading.Barrier(3, timeout=20)

    async def ask(name: str) -> None:
        together.wait()
        answers = await asyncio.gather(*(llm.agenerate(f"{name}{i}") for i in range(20)))
        results.extend(answer.message["content"] for answer in answers)

    threads = [threading.Thread(target=asyncio.run, args=(ask(name),)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(f"{name}{i}" for name in "abc" for i in range(20))
    assert list(most.values()) == [2, 2, 2]
    assert llm.usage.calls == 60


def test_one_object_in_one_loop_after_another(connect: Connect) -> None:
    with OpenAIServer(lambda request: request.text) as server:
        llm = connect(server, max_concurrency=2)

        async def ask(name: str) -> list[str]:
            answers = await asyncio.gather(*(llm.agenerate(f"{name}{i}") for i in range(5)))
            return [answer.message["content"] for answer in answers]

        for name in "abc":
            assert asyncio.run(ask(name)) == [f"{name}{i}" for i in range(5)]
            assert llm.generate("x").message["content"] == "x"
    assert llm.usage.calls == 18


async def test_cached_samples_are_told_apart(connect: Connect, tmp_path: Path) -> None:
    with OpenAIServer([Reply(["a", "b"])]) as server:
        first = await collect(connect(server, cache=tmp_path).asample("x", 2))
        llm = connect(server, cache=tmp_path)
        second = await collect(llm.asample("x", 2))
        assert len(server.requests) == 1
        assert [answer.message for answer in first] == [answer.message for answer in second]
        assert [(answer.cached, answer.usage) for answer in second] == [(True, Usage(cached_calls=1))] * 2
        assert llm.usage == Usage(cached_calls=2)
        third = await collect(llm.asample("x", 3))
        assert [answer.cached for answer in third] == [True, True, False]
        assert (await llm.agenerate("x", sample_index=1)).message["content"] == "b"
        assert not (await llm.agenerate("x", sample_index=1, temperature=0.1)).cached


async def test_errors_are_not_cached(connect: Connect, tmp_path: Path) -> None:
    with OpenAIServer([error(400), EMPTY, error(400), "good"]) as server:
        llm = connect(server, cache=tmp_path)
        for _ in range(2):
            with pytest.raises(GenerationError):
                await llm.agenerate("x")
        assert (await llm.agenerate("x")).message["content"] == "good"
        assert (await llm.agenerate("x")).cached
    assert llm.usage.calls == 2  # the empty response was billed


async def test_two_hundred_calls_with_faults(connect: Connect, tmp_path: Path) -> None:
    faults = [error(429, retry_after=1), error(500), error(503), CUT, MALFORMED, EMPTY]

    tries: Counter[str] = Counter()

    def behave(request: Request) -> Any:
        tries[request.text] += 1
        dice = random.Random(f"{request.text}, try {tries[request.text]}")  # whatever the order of arrival
        return dice.choice(faults) if dice.random() < 0.2 else f"answer to {request.text}"

    with OpenAIServer(behave) as server:
        llm = connect(server, cache=tmp_path, max_concurrency=16, max_retries=2)
        server.gate.clear()
        calls = [asyncio.create_task(llm.agenerate(f"question {i}")) for i in range(200)]
        await asyncio.to_thread(server.wait_for, lambda: server.in_flight == 16)
        server.gate.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        good = [(i, item) for i, item in enumerate(results) if isinstance(item, Generation)]
        bad = [item for item in results if isinstance(item, GenerationError)]
        assert len(good) + len(bad) == 200
        assert all(item.message["content"] == f"answer to question {i}" for i, item in good)
        assert bad  # some of these questions fail three times
        assert all(item.attempts == 3 for item in bad)
        assert server.max_in_flight == 16
        assert len(server.requests) > 200

        with contextlib.closing(sqlite3.connect(tmp_path / "cache.db")) as rows:
            keys = [key for (key,) in rows.execute("SELECT key FROM Cache")]
        assert len(keys) == len(set(keys)) == len(good)

        before = len(server.requests)
        again = await asyncio.gather(*(llm.agenerate(f"question {i}") for i, _ in good))
        assert len(server.requests) == before
        assert [item.message for item in again] == [item.message for _, item in good]


@pytest.mark.parametrize(
    "settings",
    [
        {"model": []},
        {"model": 3},
        {"model": ""},
        {"max_concurrency": 0},
        {"max_retries": -1},
        {"timeout": 0},
        {"total_timeout": float("nan")},
        {"cache_size_bytes": 0},
        {"n": 3},
        {"stream": True},
        {"num_retries": 1},
        {"model": len, "cache": True},
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        LLM(**{"model": "openai/x", **settings})


async def test_arguments_that_cannot_work(tmp_path: Path) -> None:
    llm = LLM("openai/x", cache=tmp_path)
    for messages in ("x", []):
        with pytest.raises(ConfigurationError):
            await llm.agenerate(messages, **({"n": 2} if messages else {}))
    with pytest.raises(ConfigurationError, match="n is at least 1"):
        await anext(llm.asample("x", 0))
    with pytest.raises(ConfigurationError, match="counts from 0"):
        await llm.agenerate("x", sample_index=-1)
    with pytest.raises(ConfigurationError, match="cache key"):
        await anext(llm.asample("x", 2, logit_bias=object()))


async def test_a_session_counts_for_itself_and_for_its_parent() -> None:
    with OpenAIServer("42") as server:
        llm = LLM("openai/test", api_base=server.url, api_key="k", max_concurrency=1)
        one, two = llm.session(), llm.session()
        await asyncio.gather(one.agenerate("q"), two.agenerate("q"), two.agenerate("q"))
        assert server.max_in_flight == 1  # the slots are shared
    assert (one.usage.calls, two.usage.calls, llm.usage.calls) == (1, 2, 3)
    assert llm.usage == one.usage + two.usage


async def test_a_session_may_ask_another_model(tmp_path: Path) -> None:
    with OpenAIServer(lambda request: str(request.body["model"])) as server:
        llm = LLM("openai/one", api_base=server.url, api_key="k", cache=tmp_path, max_retries=0)
        other, pool = llm.session("openai/two"), llm.session(["openai/three", "openai/four"])
        answers = [await one.agenerate("q") for one in (llm, other, other.session(), pool)]
    assert [answer.message["content"] for answer in answers] == ["one", "two", "two", "three"]
    assert (other.models, pool.models) == (("openai/two",), ("openai/three", "openai/four"))
    assert (other.usage.calls, llm.usage.calls, llm.usage.cached_calls) == (1, 3, 1)
    with pytest.raises(ConfigurationError, match="cannot be cached"):
        llm.session(len)
    with pytest.raises(ConfigurationError, match="empty"):
        llm.session([])


async def test_what_is_missing_at_the_deadline_fails_and_the_rest_is_kept(connect: Connect) -> None:
    with OpenAIServer(lambda request: "quick" if request.body["model"] == "quick" else HANG) as server:
        llm = connect(server, ["openai/quick", "openai/a", "openai/b"])
        await llm.agenerate("x")  # the first call of all takes longer
        items = await collect(llm.asample("x", 3, deadline=1.5))
        await asyncio.to_thread(server.wait_for, lambda: server.left == 2)
    assert [type(item) for item in items] == [Generation, Failure, Failure]
    assert {(item.error, item.status, item.model) for item in items[1:]} == {
        ("Timeout", 408, "openai/a"),
        ("Timeout", 408, "openai/b"),
    }
    assert our_tasks() == []


async def test_a_single_answer_keeps_to_the_deadline_and_its_call_is_cancelled(connect: Connect) -> None:
    with OpenAIServer(lambda request: HANG if request.number else "quick") as server:
        llm = connect(server)
        await llm.agenerate("x")  # the first call of all takes longer
        (late,) = await collect(llm.asample("x", 1, start=2, deadline=1.5))
        await asyncio.to_thread(server.wait_for, lambda: server.left == 1)
    assert isinstance(late, Failure)
    assert (late.index, late.error, late.status) == (2, "Timeout", 408)
    assert our_tasks() == []


async def test_a_deadline_that_is_far_off_changes_nothing() -> None:
    async def model(messages: list[Any], **params: Any) -> str:
        assert params == {}
        return "42"

    items = await collect(LLM(model).asample("x", 3, deadline=60))
    assert [item.message["content"] for item in items] == ["42"] * 3


async def test_loading_ahead_is_for_models_that_need_it() -> None:
    llm = LLM("openai/test")
    assert await llm.aload() is llm
    assert await LLM(len).aload()


async def test_a_missing_key_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)
    with OpenAIServer() as server:
        with pytest.raises(GenerationError, match="OPENAI_API_KEY") as caught:
            await LLM("openai/test", api_base=server.url).agenerate("x")
        assert not server.requests
    assert caught.value.attempts == 1
    assert "pass api_key=" in str(caught.value)
