from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.fake_provider import HANG, OpenAIServer, Reply, Request, error

from me2sdk import (
    LLM,
    BestOfNResult,
    Budget,
    Candidate,
    ConfigurationError,
    GenerationError,
    InvalidTraceError,
    RerankResult,
    ScoringError,
    Trace,
    abest_of_n,
    acompletion,
    arerank,
    best_of_n,
    completion,
    rerank,
)


class NumberScorer:
    """Scores a trace by the number that its reasoning starts with."""

    name = "number"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def score(self, question: Any, traces: Any) -> list[float]:
        self.batches.append(len(traces))
        return [float(trace.reasoning.split()[0]) for trace in traces]


def numbered(request: Request) -> str:
    """Replies "0", "1", … with an answer that repeats after two."""
    return f"{request.number} so #### {request.number % 2}"


def options(server: OpenAIServer, **more: Any) -> dict[str, Any]:
    return {
        "model": "openai/unpriced",
        "api_base": server.url,
        "api_key": "sk-secret-test-key",
        "scorer": NumberScorer(),
        **more,
    }


def one_each(behaviour: Any) -> Any:
    """The behaviour, from a server that returns one choice a call."""

    def reply(request: Request) -> Any:
        made = behaviour(request)
        return Reply(made, honours_n=False) if isinstance(made, str) else made

    return reply


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_best_of_n_returns_the_highest_reward_first(asynchronous: bool) -> None:
    with OpenAIServer(one_each(numbered)) as server:
        arguments = options(server, n=5, select="best")
        result = (
            await abest_of_n("How many?", **arguments)
            if asynchronous
            else best_of_n("How many?", **arguments)
        )
    assert [candidate.score for candidate in result.candidates] == [4, 3, 2, 1, 0]
    assert result.best.response == "4 so #### 0"
    assert result.best.answer == "0"
    assert result.best.model == "openai/unpriced"
    assert sorted(candidate.index for candidate in result.candidates) == list(range(5))
    assert result.usage.calls == 5
    assert result.usage.prompt_tokens == 35
    assert result.usage.cost is None  # LiteLLM has no price for it
    assert result.scorer == "number"
    assert BestOfNResult.model_validate_json(result.model_dump_json()) == result


def test_votes() -> None:
    answers = ["9 #### 1", "1 #### 7", "2 #### 7.0", "3 no answer"]
    with OpenAIServer(one_each(lambda request: answers[request.number])) as server:
        by_vote = best_of_n("q", **options(server, n=4, select="vote", max_concurrency=1))
    assert by_vote.best.response == "2 #### 7.0"
    assert [candidate.score for candidate in by_vote.candidates] == [2, 1, 9, 3]


def test_a_failed_candidate_is_recorded_and_the_rest_go_on() -> None:
    def reply(request: Request) -> Any:
        return error(400, "no such thing as {key}") if request.number == 1 else numbered(request)

    with OpenAIServer(one_each(reply)) as server:
        result = best_of_n("q", **options(server, n=4, max_concurrency=1))
    assert len(result.candidates) + len(result.failures) == 4
    assert [failure.stage for failure in result.failures] == ["generate"]
    assert result.failures[0].status == 400
    assert "sk-secret" not in result.model_dump_json()


def test_below_min_candidates_the_error_carries_what_arrived() -> None:
    def reply(request: Request) -> Any:
        return numbered(request) if request.number == 0 else error(401, "bad key {key}")

    with (
        OpenAIServer(one_each(reply)) as server,
        pytest.raises(GenerationError, match="Only 1 of 3 candidates") as caught,
    ):
        best_of_n("q", **options(server, n=3, min_candidates=2, max_concurrency=1))
    assert caught.value.partial is not None
    assert [candidate.response for candidate in caught.value.partial.candidates] == ["0 so #### 0"]
    assert len(caught.value.partial.failures) == 2
    assert caught.value.status == 401
    assert "sk-secret" not in str(caught.value)


def test_candidates_are_scored_while_others_are_generated() -> None:
    scored_first = threading.Event()
    with OpenAIServer(lambda request: HANG if request.number == 1 else Reply("5", honours_n=False)) as server:
        seen: list[Candidate] = []

        def on_candidate(candidate: Candidate) -> None:
            seen.append(candidate)
            scored_first.set()

        async def run() -> None:
            task = asyncio.create_task(
                abest_of_n("q", **options(server, n=2, max_concurrency=2, on_candidate=on_candidate))
            )
            await asyncio.to_thread(scored_first.wait, 20)
            assert not task.done()  # the other one still hangs
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(run())
        server.wait_for(lambda: server.left == 1)  # the call in flight was cancelled
    assert [candidate.score for candidate in seen] == [5.0]


def test_a_callback_that_fails_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def on_candidate(candidate: Candidate) -> None:
        raise RuntimeError("user's bug")

    with OpenAIServer(one_each(numbered)) as server:
        result = best_of_n("q", **options(server, n=2, on_candidate=on_candidate))
    assert len(result.candidates) == 2
    assert "on_candidate failed" in caplog.text


def test_truncated_and_empty_candidates() -> None:
    replies = [
        Reply("9 cut", finish_reason="length", honours_n=False),
        Reply("", honours_n=False),
        Reply("1", honours_n=False),
    ]
    with OpenAIServer(lambda request: replies[request.number % 3]) as server:
        result = best_of_n("q", **options(server, n=3, max_concurrency=1))
    assert result.best.response == "1"
    assert [candidate.trace.truncated for candidate in result.candidates] == [False, True]
    assert [(failure.stage, failure.error) for failure in result.failures] == [("read", "InvalidTraceError")]


REFUSED = {"refusal": "9 cannot help with that, not even with \\boxed{41}."}


def test_a_refusal_is_named_and_stands_last() -> None:
    replies = [
        Reply(None, REFUSED, honours_n=False),
        Reply("8 cut", finish_reason="abort", honours_n=False),
        Reply("1 so #### 41", honours_n=False),
    ]
    scorer = NumberScorer()
    seen: list[Candidate] = []
    with OpenAIServer(lambda request: replies[request.number % 3]) as server:
        result = best_of_n(
            "q",
            **options(server, n=3, max_concurrency=1, scorer=scorer, select="vote", on_candidate=seen.append),
        )
    assert [candidate.index for candidate in result.candidates] == [2, 1, 0]
    assert [candidate.refusal for candidate in result.candidates] == [None, None, REFUSED["refusal"]]
    refused = result.candidates[-1]
    assert (refused.score, refused.answer, refused.response) == (None, None, REFUSED["refusal"])
    assert (sum(scorer.batches), len(seen), result.failures) == (2, 3, ())
    assert BestOfNResult.model_validate_json(result.model_dump_json()) == result


@pytest.mark.parametrize("select", ["best", "vote", "weighted_vote"])
def test_nothing_but_refusals_is_a_result_that_says_so(select: Any) -> None:
    with OpenAIServer(Reply(None, REFUSED)) as server:
        result = best_of_n("q", **options(server, n=2, select=select))
    assert [candidate.refusal for candidate in result.candidates] == [REFUSED["refusal"]] * 2
    assert result.best.response == REFUSED["refusal"]


def test_a_reason_may_be_the_refusal() -> None:
    with OpenAIServer(Reply("", finish_reason="refusal")) as server:
        best = best_of_n("q", **options(server, n=1)).best
    assert (best.refusal, best.finish_reason) == ("The model refused to answer.", "refusal")


@pytest.mark.parametrize("reason", ["content_filter", "abort", "error", "length", "cancelled", "MAX_TOKENS"])
def test_an_answer_cut_off_in_any_way_stands_behind_a_finished_one(reason: str) -> None:
    replies = [Reply("9 so", finish_reason=reason, honours_n=False), Reply("1", honours_n=False)]
    with OpenAIServer(lambda request: replies[request.number % 2]) as server:
        result = best_of_n("q", **options(server, n=2, max_concurrency=1))
    assert [(c.response, c.trace.truncated) for c in result.candidates] == [("1", False), ("9 so", True)]


def test_an_answer_that_a_filter_left_nothing_of_says_so() -> None:
    said = r"cut off before it wrote anything .*content_filter"
    with (
        OpenAIServer(Reply(None, finish_reason="content_filter")) as server,
        pytest.raises(GenerationError, match=said),
    ):
        best_of_n("q", **options(server, n=2))


def test_a_refusal_that_is_handed_in_stands_last() -> None:
    parts = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    result = rerank(
        "q", [{"role": "assistant", "content": None, **REFUSED}, "1", parts], scorer=NumberScorer()
    )
    assert [(c.index, c.refusal) for c in result.candidates] == [
        (1, None),
        (0, REFUSED["refusal"]),
        (2, "No."),
    ]


def test_mixed_pool_and_callables() -> None:
    async def second(messages: Any, **params: Any) -> dict[str, Any]:
        return {"content": "7", "reasoning_content": f"2 {messages[0]['content']} {params}"}

    def first(messages: Any, **params: Any) -> str:
        return "1 plain"

    result = best_of_n("q?", model=[first, second], n=4, scorer=NumberScorer(), temperature=0.5)
    assert [candidate.index % 2 for candidate in result.candidates] == [1, 1, 0, 0]
    assert result.best.trace.reasoning == "2 q? {'temperature': 0.5}"
    assert result.best.response == "7"
    assert result.usage.calls == 4
    assert result.usage.total_tokens is None


def test_chat_messages_as_question_reach_model_and_scorer() -> None:
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]
    asked: list[Any] = []

    class Scorer(NumberScorer):
        def score(self, question: Any, traces: Any) -> list[float]:
            asked.append(question)
            return super().score(question, traces)

    with OpenAIServer("4") as server:
        best_of_n(chat, **options(server, n=1, scorer=Scorer()))
        assert server.requests[0].body["messages"] == chat
    assert asked == [chat]


def test_budget_stops_and_keeps_what_is_done() -> None:
    with OpenAIServer(one_each(numbered)) as server:
        result = best_of_n("q", **options(server, n=6, budget=Budget(tokens=40)))
    assert 1 <= len(result.candidates) < 6
    assert {failure.error for failure in result.failures} == {"BudgetExceeded"}
    assert (result.usage.total_tokens or 0) <= 40


def test_an_llm_keeps_its_own_total_and_each_result_its_share() -> None:
    with OpenAIServer(one_each(numbered)) as server:
        llm = LLM("openai/unpriced", api_base=server.url, api_key="k")
        one = best_of_n("q", model=llm, n=2, scorer=NumberScorer())
        two = best_of_n("q", model=llm, n=3, scorer=NumberScorer())
    assert (one.usage.calls, two.usage.calls, llm.usage.calls) == (2, 3, 5)
    with pytest.raises(ConfigurationError, match="its own budget"):
        best_of_n("q", model=llm, n=2, budget=Budget(tokens=1))


class BadScorer:
    name = "bad"

    def __init__(self, behaviour: Any) -> None:
        self.behaviour = behaviour

    async def ascore(self, question: Any, traces: Any) -> list[float]:
        return [self.behaviour(trace) for trace in traces]

    def score(self, question: Any, traces: Any) -> list[float]:
        raise AssertionError("the async twin is to be used")


def fail_on_two(trace: Trace) -> float:
    if trace.reasoning.startswith("2"):
        raise RuntimeError("cannot score two")
    return 1.0


def test_one_trace_that_cannot_be_scored_does_not_cost_the_others() -> None:
    result = rerank("q", ["1", "2", "3"], scorer=BadScorer(fail_on_two))
    assert [candidate.score for candidate in result.candidates] == [1.0, 1.0, None]
    assert [(f.index, f.stage, f.error) for f in result.failures] == [(1, "score", "RuntimeError")]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_failures_unless_votes_decide(value: float) -> None:
    scorer = BadScorer(lambda trace: value)
    for select in ("best", "weighted_vote"):
        with pytest.raises(ScoringError, match="None of the 2 candidates could be scored") as caught:
            rerank("q", ["#### 1", "#### 2"], scorer=scorer, select=select)  # type: ignore[arg-type]
        assert caught.value.partial is not None
        assert len(caught.value.partial.candidates) == 2
    for select in ("vote", "auto"):
        result = rerank("q", ["#### 1", "#### 2", "#### 2"], scorer=scorer, select=select)  # type: ignore[arg-type]
        assert result.best.answer == "2"
        assert result.chosen_by == "agreement"
        assert [failure.stage for failure in result.failures] == ["score"] * 3
    nothing = rerank("q", ["Rain", "Snow"], scorer=scorer)
    assert (nothing.best.index, nothing.chosen_by) == (0, "order")


def test_a_scorer_that_returns_too_few_scores_is_an_error() -> None:
    class Short(NumberScorer):
        def score(self, question: Any, traces: Any) -> list[float]:
            return []

    with pytest.raises(ScoringError, match="one finite score per trace"):
        rerank("q", ["1", "2"], scorer=Short(), select="best")


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_rerank_reads_text_traces_and_messages(asynchronous: bool) -> None:
    items = [
        "<think>1</think>a",
        Trace(reasoning="3", response="b"),
        {"content": "c", "reasoning_content": "2"},
        {"content": None},
    ]
    result = (
        await arerank("q", items, scorer=NumberScorer())
        if asynchronous
        else rerank("q", items, scorer=NumberScorer())
    )
    assert [candidate.response for candidate in result.candidates] == ["b", "c", "a"]
    assert all(candidate.trace.question == "q" for candidate in result.candidates)
    assert [(failure.index, failure.stage) for failure in result.failures] == [(3, "read")]
    assert RerankResult.model_validate_json(result.model_dump_json()) == result


def test_rerank_with_nothing_readable_or_nothing_at_all() -> None:
    result = rerank("q", ["", " "], scorer=NumberScorer())
    assert len(result.failures) == 2
    with pytest.raises(InvalidTraceError, match="all of them failed"):
        _ = result.best
    for nothing in ([], "text"):
        with pytest.raises(InvalidTraceError, match="at least one candidate"):
            rerank("q", nothing)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"n": 0}, "n must be"),
        ({"n": 2, "min_candidates": 3}, "min_candidates"),
        ({"select": "worst"}, "weighted_vote"),
        ({"scorer": object()}, "scorer must be"),
        ({"scorer": "no/such/folder/anywhere"}, "no/such/folder"),
    ],
)
def test_bad_arguments_fail_before_any_call(arguments: dict[str, Any], word: str) -> None:
    calls: list[int] = []

    def model(messages: Any, **params: Any) -> str:
        calls.append(1)
        return "1"

    with pytest.raises(ConfigurationError, match=word):
        best_of_n("q", **{"model": model, "n": 2, "scorer": NumberScorer(), **arguments})
    assert not calls


CHAT = [{"role": "user", "content": "How many?"}]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_completion_is_litellms_response_best_first(asynchronous: bool) -> None:
    import litellm

    def reply(request: Request) -> Reply:
        return Reply(f"{request.number}", {"reasoning_content": f"{request.number} thought"}, honours_n=False)

    with OpenAIServer(reply) as server:
        arguments = {
            **options(server),
            "model": "openai/unpriced",
            "messages": CHAT,
            "best_of": 3,
            "temperature": 0.7,
        }
        response = await acompletion(**arguments) if asynchronous else completion(**arguments)
        assert len(server.requests) == 3
        assert all(request.body["temperature"] == 0.7 for request in server.requests)
    assert isinstance(response, litellm.ModelResponse)
    assert [choice.message.content for choice in response.choices] == ["2", "1", "0"]
    assert [choice.index for choice in response.choices] == [0, 1, 2]
    assert response.choices[0].message.reasoning_content == "2 thought"
    assert response.usage.prompt_tokens == 21
    assert response._hidden_params["me2sdk"].best.score == 2
    assert response.model_dump_json()


def test_completion_where_the_provider_honours_n() -> None:
    with OpenAIServer(Reply(["0", "2", "1"])) as server:
        response = completion(**{**options(server), "messages": CHAT, "best_of": 3, "n": 2})
        assert len(server.requests) == 1
    assert [choice.message.content for choice in response.choices] == ["2", "1"]


def test_completion_gives_a_refusal_as_litellm_does() -> None:
    with OpenAIServer(Reply(None, REFUSED)) as server:
        ours = completion(**{**options(server), "messages": CHAT, "best_of": 2})
    assert [choice.message.model_dump(exclude_none=True) for choice in ours.choices] == [
        {"role": "assistant", **REFUSED}
    ] * 2
    assert ours._hidden_params["me2sdk"].best.refusal == REFUSED["refusal"]


def test_completion_keeps_tool_calls() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}

    class Constant(NumberScorer):
        def score(self, question: Any, traces: Any) -> list[float]:
            return [0.0] * len(traces)

    with OpenAIServer(
        Reply(None, {"tool_calls": [call]}, finish_reason="tool_calls", honours_n=False)
    ) as server:
        response = completion(**{**options(server, scorer=Constant()), "messages": CHAT, "best_of": 2})
    assert response.choices[0].message.tool_calls[0].function.name == "add"


def test_completion_retries_as_told() -> None:
    with OpenAIServer([error(500), Reply("1", honours_n=False)]) as server:
        assert (
            completion(**{**options(server), "messages": CHAT, "best_of": 1, "num_retries": 1})
            .choices[0]
            .message.content
        )
    with OpenAIServer(error(500)) as server:
        with pytest.raises(GenerationError):
            completion(**{**options(server), "messages": CHAT, "best_of": 1, "num_retries": 0})
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "word"), [({"stream": True}, "stream"), ({"n": 9}, "best_of=2"), ({"n": 0}, "best_of=2")]
)
def test_completion_refuses_what_cannot_work(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        completion("openai/unpriced", CHAT, best_of=2, scorer=NumberScorer(), **arguments)


# What happens when nothing is said


def test_by_default_most_votes_win_whatever_the_rewards_say() -> None:
    answers = ["9 #### 1", "1 #### 7", "2 #### 7.0"]
    result = rerank("q", answers, scorer=NumberScorer())
    assert (result.select, result.chosen_by, result.best.index) == ("auto", "agreement and reward", 2)
    assert [(answer.text, answer.votes, answer.best) for answer in result.answers] == [
        ("7.0", 2, 2),
        ("1", 1, 0),
    ]
    assert result.confidence == result.best.confidence == result.answers[0].confidence
    assert RerankResult.model_validate_json(result.model_dump_json()) == result
    with OpenAIServer(one_each(lambda request: answers[request.number])) as server:
        sampled = best_of_n("q", **options(server, n=3, max_concurrency=1))
    with OpenAIServer(one_each(lambda request: answers[request.number])) as server:
        response = completion(**{**options(server), "messages": CHAT, "best_of": 3})
    assert sampled.best.answer == "7.0"
    assert (sampled.asked, sampled.stopped_early, sampled.escalated) == (3, False, False)
    assert response._hidden_params["me2sdk"].select == "auto"


def test_without_a_scorer_nothing_is_scored() -> None:
    result = rerank("q", ["#### 1", "#### 2", "#### 2"], scorer=None)
    assert (result.best.index, result.scorer, result.chosen_by) == (1, "", "agreement")
    assert [candidate.score for candidate in result.candidates] == [None] * 3
    assert result.confidence is not None


def test_equal_candidates_are_scored_once() -> None:
    scorer = NumberScorer()
    result = rerank("q", ["1 #### 4", "2 #### 5", "1 #### 4", "1 #### 4"], scorer=scorer)
    assert scorer.batches == [2]
    assert [candidate.score for candidate in result.candidates] == [1, 1, 1, 2]
    with OpenAIServer(one_each(lambda request: "3 #### 4")) as server:
        best_of_n("q", **options(server, n=4, max_concurrency=1, scorer=scorer))
    assert scorer.batches == [2, 1, *[0] * (len(scorer.batches) - 2)]


@pytest.mark.parametrize(("least", "abstained"), [(0.2, False), (0.99, True), (None, False)])
def test_below_the_confidence_asked_for_the_result_abstains(least: float | None, abstained: bool) -> None:
    outputs = ["a #### 1", "b #### 2", "c #### 2"]
    assert rerank("q", outputs, scorer=None, min_confidence=least).abstained is abstained
    sampled = best_of_n(
        "q", model=lambda messages, **params: "a #### 1", n=2, scorer=None, min_confidence=least
    )
    assert sampled.abstained is abstained
    assert sampled.best.answer == "1"


def test_where_nothing_can_say_how_sure_it_is_the_result_abstains() -> None:
    result = rerank("q", ["Rain", "Snow", "Hail"], scorer=None, min_confidence=0.01)
    assert (result.confidence, result.abstained) == (None, True)


def test_usage_is_told_for_each_model() -> None:
    with OpenAIServer(one_each(numbered)) as server:
        result = best_of_n("q", **options(server, n=3, model=["openai/one", "openai/two"]))
    assert {name: usage.calls for name, usage in result.usage_by_model.items()} == {
        "openai/one": 2,
        "openai/two": 1,
    }
    assert result.usage.prompt_tokens == 21


# A deadline


def test_what_came_by_the_deadline_is_decided_on() -> None:
    with OpenAIServer(
        lambda request: HANG if request.number == 2 else Reply("1 #### 4", honours_n=False)
    ) as server:
        result = best_of_n("q", **options(server, n=3, deadline=3.0, max_concurrency=3))
    assert len(result.candidates) == 2
    assert result.best.answer == "4"
    assert [(failure.stage, failure.error) for failure in result.failures] == [("generate", "Timeout")]
    assert result.seconds < 30


def test_a_scorer_that_does_not_end_costs_the_rewards_alone() -> None:
    class Stuck:
        name = "stuck"

        async def ascore(self, question: Any, traces: Any) -> list[float]:
            await asyncio.Event().wait()
            return []

        def score(self, question: Any, traces: Any) -> list[float]:
            raise AssertionError("not asked")

    result = best_of_n(
        "q", model=lambda messages, **params: "It is 4. #### 4", n=2, scorer=Stuck(), deadline=0.3
    )
    assert [candidate.score for candidate in result.candidates] == [None, None]
    assert {failure.stage for failure in result.failures} == {"score"}
    assert (result.best.answer, result.chosen_by) == ("4", "agreement")


def test_when_nothing_came_by_the_deadline_the_error_says_so() -> None:
    with OpenAIServer(HANG) as server, pytest.raises(GenerationError, match="No answer within"):
        best_of_n("q", **options(server, n=2, deadline=0.2))


# Scorers that look at all candidates side by side, and scorers that ask models


class Joint:
    """Scores a trace by how many of the others are shorter."""

    name = "joint"
    joint = True

    def __init__(self) -> None:
        self.batches: list[int] = []

    def score(self, question: Any, traces: Any) -> list[float]:
        self.batches.append(len(traces))
        return [float(sum(len(o.reasoning) < len(t.reasoning) for o in traces)) for t in traces]


def test_a_joint_scorer_sees_all_candidates_at_once() -> None:
    scorer, seen = Joint(), []
    with OpenAIServer(one_each(lambda request: "x" * (1 + request.number % 3))) as server:
        result = best_of_n(
            "q",
            **options(server, n=4, select="best", scorer=scorer, max_concurrency=1, on_candidate=seen.append),
        )
    assert scorer.batches == [4]  # equal ones, too
    assert [candidate.score for candidate in result.candidates] == [3, 2, 0, 0]
    assert [candidate.score for candidate in seen] == [None] * 4
    ranked = rerank("q", ["x", "xxx", "x"], scorer=scorer, select="best")
    assert [candidate.score for candidate in ranked.candidates] == [2, 0, 0]


class Comparing(Joint):
    """Gives a trace that it sees alone its length."""

    def __init__(self, delay: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.delay = delay

    def score(self, question: Any, traces: Any) -> list[float]:
        self.delay()
        return super().score(question, traces)

    def alone(self) -> Any:
        class Alone:
            name = "joint"

            def score(self, question: Any, traces: Any) -> list[float]:
                return [100.0 + len(trace.reasoning) for trace in traces]

        return Alone()


def test_until_a_joint_scorer_sees_all_each_has_the_reward_that_it_has_alone() -> None:
    scorer, seen, asked = Comparing(), [], []

    def stop(result: BestOfNResult) -> bool:
        asked.append(result.best.score)
        return False

    with OpenAIServer(one_each(lambda request: "x" * (1 + request.number))) as server:
        result = best_of_n(
            "q",
            **options(
                server,
                n=4,
                select="best",
                scorer=scorer,
                max_concurrency=1,
                on_candidate=seen.append,
                stop=stop,
            ),
        )
    assert [candidate.score for candidate in seen] == [100.0 + len(one.trace.reasoning) for one in seen]
    assert asked == sorted(asked)
    assert asked[0] > 100
    assert scorer.batches == [4]
    assert [candidate.score for candidate in result.candidates] == [3, 2, 1, 0]
    assert result.failures == ()


def test_what_came_before_the_deadline_has_rewards_of_one_kind() -> None:
    held = threading.Event()
    with OpenAIServer(one_each(lambda request: "x" * (1 + request.number))) as server:
        result = best_of_n(
            "q", **options(server, n=3, select="best", scorer=Comparing(lambda: held.wait(60)), deadline=2)
        )
        held.set()
    assert all((candidate.score or 0) > 100 for candidate in result.candidates)
    assert len(result.candidates) == 3
    assert result.failures == ()


def test_a_joint_scorer_that_fails_costs_no_candidate() -> None:
    class Broken(Joint):
        def score(self, question: Any, traces: Any) -> list[float]:
            raise RuntimeError("down")

    result = best_of_n("q", model=lambda messages, **params: "#### 4", n=3, scorer=Broken())
    assert [failure.stage for failure in result.failures] == ["score"] * 3
    assert (result.best.answer, result.chosen_by) == ("4", "agreement")


def test_what_a_scorer_asks_counts_in_the_result_and_in_the_budget() -> None:
    class Asking(Joint):
        def __init__(self, llm: LLM | None = None) -> None:
            super().__init__()
            self.llm = llm

        def within(self, llm: LLM) -> Asking:
            return Asking(llm.session("openai/judge"))

        async def ascore(self, question: Any, traces: Any) -> list[float]:
            assert self.llm is not None
            said = await self.llm.agenerate("How good?")
            return [float(str(said.message["content"]))] * len(traces)

    def reply(request: Request) -> Reply:
        return Reply("7" if request.body["model"] == "judge" else "#### 4", honours_n=False)

    with OpenAIServer(reply) as server:
        model = LLM("openai/m", api_base=server.url, api_key="k")
        result = best_of_n("q", model=model, n=2, scorer=Asking())
        assert {name: usage.calls for name, usage in result.usage_by_model.items()} == {
            "openai/m": 2,
            "openai/judge": 1,
        }
        assert result.best.score == 7
        few = best_of_n(
            "q",
            model="openai/m",
            api_base=server.url,
            api_key="k",
            n=2,
            max_tokens=5,
            scorer=Asking(),
            budget=Budget(tokens=30),
        )
    assert [failure.error for failure in few.failures if failure.stage == "score"] == ["BudgetExceeded"] * 2
    assert few.best.answer == "4"


def test_a_stronger_model_that_cannot_be_asked_is_refused_before_any_call() -> None:
    calls: list[int] = []
    with pytest.raises(ConfigurationError):
        best_of_n("q", model=lambda messages, **params: calls.append(1) or "4", n=2, escalate=5)  # type: ignore[arg-type, func-returns-value]
    assert not calls
