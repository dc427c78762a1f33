from __future__ import annotations

from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply, Request

from me2sdk import LLM, ConfigurationError, Escalate, best_of_n

WEAK = ["a #### 1", "b #### 2", "c #### 3", "d #### 1"]


def reply(request: Request) -> Reply:
    strong = request.body["model"] == "strong"
    return Reply("clear #### 3" if strong else WEAK[request.number % len(WEAK)], honours_n=False)


def options(server: OpenAIServer, **more: Any) -> dict[str, Any]:
    return {
        "model": "openai/weak",
        "api_base": server.url,
        "api_key": "sk-test",
        "scorer": None,
        "n": 4,
        "max_concurrency": 1,
        "temperature": 0.7,
        **more,
    }


def test_where_the_weaker_model_is_not_sure_the_stronger_one_is_asked_and_leads() -> None:
    with OpenAIServer(reply) as server:
        plain = best_of_n("q", **options(server))
        result = best_of_n("q", **options(server, escalate="openai/strong"))
        sent = server.requests[-1]
    assert (plain.best.answer, plain.escalated) == ("1", False)
    assert (result.best.answer, result.escalated, result.asked) == ("3", True, 5)
    assert [(one.text, one.votes, one.weight) for one in result.answers][:2] == [("3", 2, 3.0), ("1", 2, 2.0)]
    assert sent.body["temperature"] == 0.7  # what was sent to the weaker one
    assert {name: usage.calls for name, usage in result.usage_by_model.items()} == {
        "openai/weak": 4,
        "openai/strong": 1,
    }
    assert result.usage.calls == 5
    assert result.best.model in ("openai/weak", "openai/strong")
    assert sorted(one.index for one in result.candidates) == list(range(5))


def test_where_the_weaker_model_is_sure_nobody_else_is_asked() -> None:
    with OpenAIServer(lambda request: Reply("x #### 3", honours_n=False)) as server:
        result = best_of_n("q", **options(server, n=8, escalate=Escalate("openai/strong", below=0.5)))
        assert {request.body["model"] for request in server.requests} == {"weak"}
    assert result.escalated is False
    assert (result.confidence or 0) > 0.5


def test_how_often_and_when_and_with_what_may_be_said() -> None:
    with OpenAIServer(reply) as server:
        stronger = Escalate("openai/strong", n=2, below=0.9, params={"temperature": 0.1, "max_tokens": 9})
        result = best_of_n("q", **options(server, escalate=stronger, stop=0.95))
        strong = [request.body for request in server.requests if request.body["model"] == "strong"]
    assert [(body["temperature"], body["max_tokens"]) for body in strong] == [(0.1, 9)] * 2
    assert result.asked == 6
    assert result.best.answer == "3"


def test_min_confidence_says_when_to_escalate_and_when_to_abstain() -> None:
    with OpenAIServer(reply) as server:
        result = best_of_n("q", **options(server, escalate="openai/strong", min_confidence=0.99))
        kept = best_of_n("q", **options(server, escalate="openai/strong", min_confidence=0.01))
    assert (result.escalated, result.abstained) == (True, True)
    assert (kept.escalated, kept.abstained) == (False, False)


def test_keys_and_addresses_of_one_provider_are_not_sent_to_another() -> None:
    with OpenAIServer(reply) as weak, OpenAIServer(reply) as strong:
        other = LLM("openai/strong", api_base=strong.url, api_key="sk-other")
        result = best_of_n("q", **options(weak, escalate=other))
        assert [request.key for request in strong.requests] == ["sk-other"]
        assert other.usage.calls == 1
        assert result.usage_by_model["openai/strong"].calls == 1
        assert result.usage.calls == 5
        seen: list[dict[str, Any]] = []

        def local(messages: Any, **params: Any) -> str:
            seen.append(params)
            return "#### 3"

        best_of_n("q", **options(weak, escalate=local))
        assert [sorted(params) for params in seen] == [["temperature"]]


def test_a_stronger_model_that_fails_costs_nothing() -> None:
    def broken(messages: Any, **params: Any) -> str:
        raise RuntimeError("down")

    with OpenAIServer(reply) as server:
        result = best_of_n("q", **options(server, escalate=broken))
    assert result.best.answer == "1"
    assert result.escalated
    assert [(failure.index, failure.stage) for failure in result.failures] == [(4, "generate")]


@pytest.mark.parametrize("settings", [{"n": 0}, {"below": 0.0}, {"below": 1.5}])
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="Escalate needs"):
        Escalate("openai/strong", **settings)
