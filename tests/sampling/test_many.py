"""Many questions: their order, what fails, one limit and one budget for all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from support.fake_provider import HANG, OpenAIServer, Reply, Request, error

from me2sdk import (
    LLM,
    BestOfNManyResult,
    BestOfNResult,
    Budget,
    ConfigurationError,
    Escalate,
    abest_of_n_many,
    best_of_n_many,
)
from me2sdk.sampling import ManySummary, QuestionFailure


def echo(request: Request) -> Any:
    """Answers with the number in the question, and fails where there is none."""
    word = request.text.split()[-1]
    return Reply(f"The answer is {word}.", honours_n=False) if word.isdecimal() else error(400, "no {key}")


def options(server: OpenAIServer, **more: Any) -> dict[str, Any]:
    return {
        "model": "openai/unpriced",
        "api_base": server.url,
        "api_key": "sk-secret-test-key",
        "scorer": "shortest",
        **more,
    }


class Unloadable:
    """A scorer whose weights are missing."""

    def load(self) -> None:
        raise ConfigurationError("There are no weights.")

    def score(self, question: Any, traces: Any) -> list[float]:
        raise AssertionError("it was not loaded")


def answers(many: BestOfNManyResult) -> list[str | None]:
    """The answer of each question, or the name of its error."""
    return [one.error if isinstance(one, QuestionFailure) else one.best.answer for one in many.results]


def numbered(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"Say {number}"


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_results_stand_in_the_order_of_the_questions(asynchronous: bool) -> None:
    with OpenAIServer(echo) as server:
        given = options(server, n=2)
        chat = [{"role": "user", "content": "Say 77"}]
        questions = [*numbered(20), chat]
        many = (
            await abest_of_n_many(questions, **given) if asynchronous else best_of_n_many(questions, **given)
        )
    assert answers(many) == [*map(str, range(20)), "77"]
    assert many.summary == ManySummary(answered=21, samples_asked=42, usage=many.summary.usage)
    assert (many.summary.questions, many.summary.usage.calls) == (21, 42)
    assert BestOfNManyResult.model_validate_json(many.model_dump_json()) == many


async def test_results_are_told_as_they_are_done_and_kept_in_order() -> None:
    first_may_end = asyncio.Event()
    told: list[tuple[int, str]] = []

    async def model(messages: Any, **params: Any) -> str:
        if messages[0]["content"] == "Say 0":
            await first_may_end.wait()
        return f"The answer is {messages[0]['content'][4:]}."

    async def on_result(index: int, outcome: Any) -> None:
        told.append((index, outcome.best.answer))
        if len(told) == 4:
            first_may_end.set()

    many = await abest_of_n_many(
        numbered(5), model=model, n=1, scorer="shortest", max_concurrency=2, on_result=on_result
    )
    assert told == [(1, "1"), (2, "2"), (3, "3"), (4, "4"), (0, "0")]
    assert answers(many) == ["0", "1", "2", "3", "4"]


def test_a_question_that_fails_costs_no_other() -> None:
    with OpenAIServer(echo) as server:
        many = best_of_n_many(["Say 1", "Say no", "Say 3"], **options(server, n=2))
    assert answers(many) == ["1", "GenerationError", "3"]
    failed = many.results[1]
    assert isinstance(failed, QuestionFailure)
    assert "Only 0 of 2 candidates" in failed.message
    assert isinstance(failed.partial, BestOfNResult)
    assert {one.status for one in failed.partial.failures} == {400}
    assert "sk-secret" not in many.model_dump_json()
    assert (many.summary.answered, many.summary.failed, many.summary.samples_asked) == (2, 1, 6)
    assert BestOfNManyResult.model_validate_json(many.model_dump_json()) == many


def test_what_a_failed_question_cost_is_counted() -> None:
    def reply(request: Request) -> Any:
        return error(400) if request.number == 1 else echo(request)

    with OpenAIServer(reply) as server:
        llm = LLM("openai/unpriced", api_base=server.url, api_key="sk-test", max_concurrency=1)
        many = best_of_n_many(["Say 1"], model=llm, n=2, min_candidates=2, scorer="shortest")
    failed = many.results[0]
    assert isinstance(failed, QuestionFailure)
    assert (failed.usage.calls, many.summary.usage) == (1, failed.usage)
    assert llm.usage == failed.usage


def test_what_is_no_question_fails_alone() -> None:
    questions: Any = ["Say 1", None, [], 3, [{"role": "user", "content": 3}], "Say 2"]
    with OpenAIServer(echo) as server:
        many = best_of_n_many(questions, **options(server, n=1))
        assert len(server.requests) == 2
    assert answers(many) == ["1", *["ConfigurationError"] * 4, "2"]


def test_a_fault_of_the_callers_own_code_fails_its_question_alone() -> None:
    def stop(result: BestOfNResult) -> bool:
        if result.best.answer == "2":
            raise KeyError("mine")
        return True

    with OpenAIServer(echo) as server:
        many = best_of_n_many(["Say 1", "Say 2", "Say 3"], **options(server, n=4, stop=stop))
    assert answers(many) == ["1", "KeyError", "3"]
    assert many.summary.usage.calls == 3  # the one that failed had cost a call, too


def test_one_limit_holds_for_all_and_a_generator_is_not_read_ahead() -> None:
    read = 0

    def questions() -> Iterator[str]:
        nonlocal read
        for question in numbered(12):
            read += 1
            yield question

    def reply(request: Request) -> Any:
        assert read <= len(server.requests) // 2 + 4
        return echo(request)

    with OpenAIServer(reply) as server:
        best_of_n_many(questions(), **options(server, n=2, max_concurrency=3))
        assert server.max_in_flight <= 3
    assert read == 12


def test_the_limit_of_an_llm_holds_for_its_calls() -> None:
    with OpenAIServer(echo) as server:
        llm = LLM("openai/unpriced", api_base=server.url, api_key="sk-test", max_concurrency=2)
        many = best_of_n_many(numbered(8), model=llm, n=2, scorer="shortest", max_concurrency=8)
        assert server.max_in_flight <= 2
    assert llm.usage == many.summary.usage
    with pytest.raises(ConfigurationError, match="not to best_of_n_many"):
        best_of_n_many(["q"], model=llm, budget=Budget(tokens=9))


def test_when_the_budget_is_spent_the_rest_is_not_asked() -> None:
    budget = Budget(tokens=1000)
    with OpenAIServer(echo) as server:  # 12 tokens a call; 100 and the prompt are set aside for each
        many = best_of_n_many(numbered(200), **options(server, n=1, budget=budget, max_tokens=100))
        asked = len(server.requests)
    given = answers(many)
    assert {one for one in given if one != "BudgetExceeded"} <= {str(number) for number in range(asked + 16)}
    assert len(given) == 200
    assert (many.summary.answered, many.summary.failed) == (asked, 200 - asked)
    # Calls in flight set aside more than they use, and what they leave is not lost.
    assert asked >= 70
    assert budget.spent.total_tokens == many.summary.usage.total_tokens == 12 * asked
    assert "Raise it" in many.results[-1].message  # type: ignore[union-attr]


def test_a_budget_that_allows_for_nothing_asks_nothing() -> None:
    with OpenAIServer(echo) as server:
        many = best_of_n_many(numbered(40), **options(server, n=2, budget=Budget(tokens=5), max_tokens=100))
        assert server.requests == []
    assert set(answers(many)) == {"BudgetExceeded"}


def test_saved_and_abstained_are_summed_up() -> None:
    def reply(request: Request) -> Any:
        text = request.text if request.text == "Say 1" else f"Say {request.number}"
        return Reply(f"The answer is {text.split()[-1]}.", honours_n=False)

    with OpenAIServer(reply) as server:
        many = best_of_n_many(
            ["Say 1", "anything"], **options(server, n=8, stop="sure", min_confidence=0.7, max_concurrency=1)
        )
    sure, unsure = many.results
    assert isinstance(sure, BestOfNResult)
    assert isinstance(unsure, BestOfNResult)
    assert (sure.abstained, unsure.abstained) == (False, True)
    assert (many.summary.answered, many.summary.abstained) == (1, 1)
    assert many.summary.samples_asked == sure.asked + unsure.asked
    assert many.summary.samples_saved == 16 - many.summary.samples_asked > 0


def test_a_stronger_model_counts_in_usage_and_against_what_is_saved() -> None:
    def weak(messages: Any, **params: Any) -> str:
        return f"The answer is {next(count)}."

    count = iter(range(100))
    strong = LLM(lambda messages, **params: "The answer is 7.")
    many = best_of_n_many(
        ["a", "b"], model=weak, n=2, scorer="shortest", escalate=Escalate(strong), max_concurrency=1
    )
    assert [one.escalated for one in many.results if isinstance(one, BestOfNResult)] == [True, True]
    assert (many.summary.samples_asked, many.summary.samples_saved) == (6, -2)
    assert many.summary.usage.calls == 6


@pytest.mark.parametrize(
    ("questions", "more", "word"),
    [
        ("What is 2 + 2?", {}, "Put a single question in a list"),
        ([{"role": "user", "content": "Hi"}], {}, "Put a single question in a list"),
        (7, {}, "list of questions"),
        (["q"], {"max_concurrency": 0}, "max_concurrency is at least 1"),
        (["q"], {"n": 0}, "n must be at least 1"),
        (["q"], {"scorer": Unloadable()}, "no weights"),
        (["q"], {"on_results": print}, "Did you mean 'on_result'"),
    ],
)
def test_what_cannot_work_is_refused_before_a_call(questions: Any, more: dict[str, Any], word: str) -> None:
    with OpenAIServer(echo) as server:
        with pytest.raises(ConfigurationError, match=word):
            best_of_n_many(questions, **options(server, **more))
        assert server.requests == []


def test_a_price_that_is_not_known_is_no_fault_of_a_question() -> None:
    with OpenAIServer(echo) as server, pytest.raises(ConfigurationError, match="price"):
        best_of_n_many(numbered(3), **options(server, n=1, budget=Budget(usd=1)))


@pytest.mark.parametrize("whose", ["on_result", "generator"])
def test_an_error_outside_of_questions_ends_the_job_but_not_what_is_in_work(whose: str) -> None:
    told: list[int] = []

    def questions() -> Iterator[str]:
        for number, question in enumerate(numbered(50)):
            if whose == "generator" and number == 2:
                server.wait_for(lambda: len(server.requests) == 2)
                server.gate.set()
                raise OSError("the file ends here")
            yield question

    def on_result(index: int, outcome: Any) -> None:
        told.append(index)
        if whose == "on_result" and len(told) == 1:
            raise OSError("the disk is full")

    with OpenAIServer(echo) as server:
        if whose == "generator":
            server.gate.clear()
        with pytest.raises(OSError, match=r"the file ends|the disk is full"):
            best_of_n_many(questions(), **options(server, n=1, max_concurrency=3, on_result=on_result))
        assert len(server.requests) == len(told) <= 5
    assert {0, 1} <= set(told)  # paid for, so their results are told


async def test_cancelling_ends_the_calls_in_flight() -> None:
    with OpenAIServer(HANG) as server:
        task = asyncio.create_task(abest_of_n_many(numbered(9), **options(server, n=1, max_concurrency=3)))
        await asyncio.to_thread(server.wait_for, lambda: server.in_flight == 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(server.wait_for, lambda: server.left == 3)


def test_no_questions_are_no_error() -> None:
    many = best_of_n_many([], model=lambda messages, **params: "4", scorer="shortest")
    assert many == BestOfNManyResult(results=(), summary=ManySummary())


def test_a_generator_that_waits_does_not_hold_up_what_is_in_work() -> None:
    first_done = threading.Event()

    def questions() -> Iterator[str]:
        yield "Say 1"
        assert first_done.wait(20)
        yield "Say 2"

    with OpenAIServer(echo) as server:
        given = options(server, n=1, on_result=lambda index, outcome: first_done.set())
        assert answers(best_of_n_many(questions(), **given)) == ["1", "2"]
