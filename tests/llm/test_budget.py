from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.fake_provider import EMPTY, OpenAIServer, Reply, error

from me2sdk.errors import BudgetExceeded, ConfigurationError
from me2sdk.llm import LLM, Budget, Generation
from me2sdk.schema import Failure

Connect = Callable[..., LLM]


@pytest.mark.parametrize("limits", [{}, {"usd": -1}, {"tokens": -5}, {"usd": float("nan")}])
def test_limits_that_cannot_work(limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Budget(**limits)


async def test_stops_before_it_is_passed(connect: Connect) -> None:
    with OpenAIServer(Reply(usage=(10, 40))) as server:
        budget = Budget(tokens=220)
        llm = connect(server, budget=budget, max_tokens=40)
        for _ in range(4):
            await llm.agenerate("x" * 18)  # estimated at 10 tokens
        with pytest.raises(BudgetExceeded, match=r"may use 50 tokens\. Of the budget of 220, 200 are spent"):
            await llm.agenerate("x" * 18)
        assert len(server.requests) == 4
    assert (budget.spent.total_tokens, budget.spent.calls) == (200, 4)
    assert budget.spent.cost is None  # nobody knows this model's price


async def test_what_is_in_flight_counts(connect: Connect) -> None:
    with OpenAIServer(Reply(usage=(10, 1))) as server:
        server.gate.clear()
        llm = connect(server, ["openai/a", "openai/b", "openai/c"], budget=Budget(tokens=120), max_tokens=40)
        samples = llm.asample("x" * 18, 3)
        first = await anext(samples)  # the third: only two calls fit beside each other
        assert isinstance(first, Failure)
        assert (first.error, first.attempts) == ("BudgetExceeded", 0)
        assert "100 are set aside" in first.message
        server.gate.set()
        rest = [item async for item in samples]
    assert [type(item) for item in rest] == [Generation, Generation]
    assert len(server.requests) == 2


async def test_dollars(connect: Connect) -> None:
    with OpenAIServer(Reply(usage=(10, 40))) as server:
        budget = Budget(usd=0.0009)  # gpt-4o: 2.5e-6 a prompt token, 1e-5 an answer token
        llm = connect(server, "openai/gpt-4o", budget=budget, max_completion_tokens=40)
        await llm.agenerate("x" * 18)
        await llm.agenerate("x" * 18)
        with pytest.raises(BudgetExceeded, match="US dollars"):
            await llm.agenerate("x" * 18)
    assert budget.spent.cost == pytest.approx(2 * (10 * 2.5e-6 + 40 * 1e-5))


async def test_dollars_need_a_price(connect: Connect) -> None:
    with OpenAIServer() as server:
        for llm in (
            connect(server, budget=Budget(usd=1)),
            LLM(lambda messages, **params: "x", budget=Budget(usd=1)),
        ):
            with pytest.raises(ConfigurationError, match=r"Use Budget\(tokens"):
                await llm.agenerate("x")
            with pytest.raises(ConfigurationError):
                await anext(llm.asample("x", 2))
        assert server.requests == []
        own_price = {"input_cost_per_token": 0.01, "output_cost_per_token": 0.1}
        budget = Budget(usd=2)
        llm = connect(server, budget=budget, max_tokens=5, **own_price)
        assert (await llm.agenerate("x")).usage.cost == pytest.approx(7 * 0.01 + 5 * 0.1)
        assert budget.spent.cost == pytest.approx(0.57)


async def test_several_answers_in_one_call_are_estimated_together(connect: Connect) -> None:
    with OpenAIServer(Reply(usage=(10, 40))) as server:
        llm = connect(server, budget=Budget(tokens=139), max_tokens=40)
        items = [item async for item in llm.asample("x" * 18, 3)]  # 10 + 3 × 40 together, 3 × 50 apart
        assert [type(item) for item in items] == [Generation] * 3
        items = [item async for item in llm.asample("x" * 18, 3)]
        assert [type(item) for item in items] == [Failure] * 3
        assert [request.body.get("n") for request in server.requests] == [3]


async def test_without_max_tokens_the_first_call_goes_alone(connect: Connect) -> None:
    with OpenAIServer(Reply(usage=(10, 40))) as server:
        server.gate.clear()
        budget = Budget(tokens=10_000)
        # One slot: the call that the others wait for must not be kept from it.
        llm = connect(server, budget=budget, max_concurrency=3)
        calls = [asyncio.create_task(llm.agenerate("x")) for _ in range(6)]
        await asyncio.to_thread(server.wait_for, lambda: server.in_flight == 1)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(server.requests) == 1
        server.gate.set()
        await asyncio.gather(*calls)
        assert budget.spent.calls == 6
        items = [item async for item in llm.asample("x", 4)]
        assert [type(item) for item in items] == [Generation] * 4
        assert server.requests[-1].body["n"] == 4  # lengths are known now


async def test_a_waiting_call_takes_over_when_the_first_fails(connect: Connect) -> None:
    with OpenAIServer([error(400), "a", "b"]) as server:
        llm = connect(server, budget=Budget(tokens=10_000))
        items = [item async for item in llm.asample("x", 3)]
    assert sorted(type(item).__name__ for item in items) == ["Failure", "Generation", "Generation"]


async def test_cancelling_gives_back_what_was_set_aside(connect: Connect) -> None:
    with OpenAIServer() as server:
        server.gate.clear()
        budget = Budget(tokens=60)
        llm = connect(server, budget=budget, max_tokens=40)
        call = asyncio.create_task(llm.agenerate("x"))
        await asyncio.to_thread(server.wait_for, lambda: server.in_flight == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        server.gate.set()
        await llm.agenerate("x")
    assert budget.spent.calls == 1


async def test_retries_are_charged_once_and_billed_failures_are_charged(connect: Connect) -> None:
    with OpenAIServer([error(500), error(429), EMPTY, "good"]) as server:
        budget = Budget(tokens=100)
        llm = connect(server, budget=budget, max_tokens=40)
        await llm.agenerate("x")
    assert budget.spent.calls == 2  # the empty response reported usage
    assert budget.spent.total_tokens == 24
    assert llm.usage.total_tokens == 24


async def test_a_function_is_charged_its_estimate() -> None:
    budget = Budget(tokens=1000)
    await LLM(lambda messages, **params: "short", budget=budget, max_tokens=300).agenerate("x" * 30)
    assert budget.spent.prompt_tokens == 14
    assert budget.spent.completion_tokens == 300
    budget = Budget(tokens=1000)
    llm = LLM(lambda messages, **params: "y" * 300, budget=budget)
    assert (await llm.agenerate("x" * 30)).usage.completion_tokens is None
    assert budget.spent.completion_tokens == 100  # nothing was said beforehand, so the text is counted


async def test_cached_answers_are_free(connect: Connect, tmp_path: Any) -> None:
    with OpenAIServer() as server:
        await connect(server, cache=tmp_path).agenerate("x")
        assert (await connect(server, cache=tmp_path, budget=Budget(tokens=0)).agenerate("x")).cached


def test_one_budget_in_several_threads_and_objects() -> None:
    budget = Budget(tokens=10_000)
    outcomes: list[str] = []

    async def ask(llm: LLM) -> None:
        async for item in llm.asample("x" * 30, 50):
            outcomes.append(type(item).__name__)

    def work() -> None:
        asyncio.run(ask(LLM(lambda messages, **params: "y" * 60, budget=budget)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["Generation"] * 200
    assert budget.spent.calls == 200
    assert budget.spent.total_tokens == 200 * (14 + 20)
    assert not budget._held
    assert not budget._waiting
    assert "tokens=10000" in repr(budget)


async def test_never_passed_whatever_comes(connect: Connect) -> None:
    with OpenAIServer(Reply(usage=(5, 20))) as server:
        budget = Budget(tokens=777)
        llms = [connect(server, budget=budget, max_tokens=20, max_concurrency=8) for _ in range(2)]
        results = await asyncio.gather(
            *(llm.agenerate(f"{i}") for llm in llms for i in range(40)), return_exceptions=True
        )
    spent = sum(item.usage.total_tokens for item in results if isinstance(item, Generation))
    assert budget.spent.total_tokens == spent
    assert 777 - 25 * 17 < spent <= 777
    assert any(isinstance(item, BudgetExceeded) for item in results)
