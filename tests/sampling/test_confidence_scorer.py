"""`best_of_n` with the generator's own confidence as reward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply, Request, error

from me2sdk import LLM, Escalate, GenerationError, ScoringError, best_of_n, completion
from me2sdk.scorers import ConfidenceScorer, Ensemble, LengthScorer

TEXTS = {0: "It is 5, I guess.", 1: "It is 4.", 2: "It might be 6."}
VALUES = {0: -1.0, 1: -0.25, 2: -2.0}


def logprobs(value: float) -> dict[str, Any]:
    top = [{"token": "x", "logprob": value, "bytes": None}, {"token": "y", "logprob": -4.0, "bytes": None}]
    return {"content": [{"token": "x", "logprob": value, "bytes": None, "top_logprobs": top}]}


def behave(request: Request) -> Reply:
    """Three answers in turn, the second of which is the surest; log-probabilities where they are asked for."""
    turn = request.number % 3
    given = {"logprobs": logprobs(VALUES[turn])} if request.body.get("logprobs") else {}
    return Reply(TEXTS[turn], choice=given, honours_n=False)


def ask(server: OpenAIServer, scorer: Any = "confidence", **more: Any) -> Any:
    settings = {
        "model": "openai/unpriced",
        "api_base": server.url,
        "api_key": "sk-test",
        "n": 3,
        "select": "best",
    }
    return best_of_n("2 + 2?", scorer=scorer, **{**settings, **more})


def test_it_asks_for_logprobs_and_chooses_the_surest() -> None:
    with OpenAIServer(behave) as server:
        result = ask(server)
    assert {request.body["logprobs"] for request in server.requests} == {True}
    assert not any("top_logprobs" in request.body for request in server.requests)
    assert [one.score for one in result.candidates] == [-0.25, -1.0, -2.0]
    assert result.best.response == TEXTS[1]
    assert result.best.trace.certainty.mean_logprob == -0.25
    assert (result.failures, result.scorer) == ((), "confidence")
    assert '"logprobs"' not in result.model_dump_json()
    assert type(result).model_validate_json(result.model_dump_json()) == result


def test_alternatives_are_asked_for_where_they_are_needed() -> None:
    with OpenAIServer(behave) as server:
        result = ask(server, "confidence:top_k")
    assert {request.body["top_logprobs"] for request in server.requests} == {10}
    assert result.best.score == 3.0  # of -2 and -4


@pytest.mark.parametrize("own", ["call", "LLM"])
def test_parameters_of_the_caller_win(own: str) -> None:
    with OpenAIServer(behave) as server:
        if own == "call":
            ask(server, "confidence:top_k", top_logprobs=5)
        else:
            llm = LLM("openai/unpriced", api_base=server.url, api_key="sk-test", top_logprobs=5)
            best_of_n("2 + 2?", model=llm, n=3, scorer="confidence:top_k")
    assert {(one.body["logprobs"], one.body["top_logprobs"]) for one in server.requests} == {(True, 5)}


def test_other_scorers_ask_for_nothing() -> None:
    with OpenAIServer(behave) as server:
        result = ask(server, "shortest")
    assert not any("logprobs" in request.body for request in server.requests)
    assert result.best.trace.certainty is None


def test_logprobs_of_the_caller_reach_any_scorer() -> None:
    with OpenAIServer(behave) as server:
        assert ask(server, "shortest", logprobs=True).best.trace.certainty is not None


def test_within_an_ensemble() -> None:
    both = Ensemble({ConfidenceScorer(): 5, LengthScorer("longest"): 1})
    with OpenAIServer(behave) as server:
        result = ask(server, both)
    assert result.best.response == TEXTS[1]
    assert result.best.scores["confidence"] == -0.25


def test_answers_from_the_cache_keep_their_score(tmp_path: Path) -> None:
    with OpenAIServer(behave) as server:
        first, again = (ask(server, cache=tmp_path) for _ in range(2))
    assert (again.usage.cached_calls, again.usage.calls) == (3, 0)
    assert [one.score for one in again.candidates] == [one.score for one in first.candidates]


def test_an_answer_that_came_without_is_a_failure_that_names_its_model() -> None:
    def sometimes(request: Request) -> Reply:
        reply = behave(request)
        return Reply(reply.content, honours_n=False) if request.number % 3 == 2 else reply

    with OpenAIServer(sometimes) as server:
        result = ask(server)
    assert [one.score for one in result.candidates] == [-0.25, -1.0, None]
    (failed,) = result.failures
    assert (failed.stage, failed.error, failed.model) == ("score", "ScoringError", "openai/unpriced")


def test_a_server_that_sends_none() -> None:
    with (
        OpenAIServer(Reply("It is 4.")) as server,
        pytest.raises(ScoringError, match="logprobs=True") as failed,
    ):
        ask(server)
    assert {failure.model for failure in failed.value.partial.failures} == {"openai/unpriced"}


def test_a_server_that_refuses() -> None:
    with (
        OpenAIServer(lambda request: error(400, "logprobs is not supported by this model")) as server,
        pytest.raises(
            GenerationError, match=r"scorer confidence asks for logprobs=True: take another scorer"
        ),
    ):
        ask(server)


@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4-5", "openai/o3-mini"])
def test_a_provider_that_litellm_knows_to_have_none(model: str) -> None:
    with OpenAIServer() as server, pytest.raises(GenerationError) as failed:
        ask(server, "confidence:entropy", model=model)
    assert not server.requests
    assert failed.value.error_type == "UnsupportedParamsError"
    advice = "The scorer confidence:entropy asks for logprobs=True, top_logprobs=10: take another scorer"
    assert all(advice in failure.message for failure in failed.value.partial.failures)


@pytest.mark.parametrize("as_llm", [False, True])
def test_a_stronger_model_is_asked_for_them_as_well(as_llm: bool) -> None:
    with OpenAIServer(behave) as server, OpenAIServer(behave) as other:
        options = {"api_base": other.url, "api_key": "sk-test"}
        strong = (
            Escalate(LLM("openai/strong", **options), below=1.0)
            if as_llm
            else Escalate("openai/strong", below=1.0, params=options)
        )
        result = ask(server, select="auto", escalate=strong)
    assert result.escalated
    assert other.requests[0].body["logprobs"] is True
    assert result.failures == ()


def test_a_function_may_send_logprobs() -> None:
    values = iter([-2.0, -1.0])
    result = best_of_n(
        "2 + 2?",
        model=lambda messages, **params: {"content": "It is 4.", "logprobs": logprobs(next(values))},
        n=2,
        max_concurrency=1,
        scorer="confidence",
        select="best",
    )
    assert [one.score for one in result.candidates] == [-1.0, -2.0]


def test_the_drop_in_returns_what_litellm_would() -> None:
    with OpenAIServer(behave) as server:
        messages = [{"role": "user", "content": "2 + 2?"}]
        options = {"api_base": server.url, "api_key": "sk-test", "scorer": "confidence", "select": "best"}
        response = completion("openai/unpriced", messages, best_of=3, **options)
    assert response.choices[0].message.content == TEXTS[1]
    assert response.choices[0].logprobs.content[0].logprob == -0.25
