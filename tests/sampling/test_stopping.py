from __future__ import annotations

import asyncio
from collections import Counter
from fractions import Fraction
from itertools import product
from math import factorial
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from support.fake_provider import HANG, OpenAIServer, Reply, Request

from me2sdk import BestOfNResult, Candidate, ConfigurationError, Trace, best_of_n, completion
from me2sdk.sampling import Tally, ballot_of, chance_to_stay, decide, next_wave, tally
from me2sdk.verify import group_answers


def exact(leader: int, second: int, others: int, missing: int) -> Fraction:
    """The chance by drawing votes one by one from an urn that holds each vote, and one more of each kind."""

    def rising(start: int, count: int) -> int:
        return factorial(start + count) // factorial(start)

    total = Fraction(0)
    for a, b in product(range(missing + 1), repeat=2):
        c = missing - a - b
        if c < 0:
            continue
        ways = factorial(missing) // (factorial(a) * factorial(b) * factorial(c))
        weight = ways * rising(leader, a) * rising(second, b) * rising(others, c)
        lead = leader + a - second - b
        total += Fraction(weight) * (1 if lead > 0 else Fraction(1, 2) if lead == 0 else 0)
    votes = leader + second + others + 2
    return total / (factorial(votes + missing) // factorial(votes))


@pytest.mark.parametrize(
    "votes", [(3, 1, 0, 4), (1, 1, 2, 6), (5, 2, 1, 8), (0, 0, 0, 3), (4, 0, 0, 0), (2, 2, 0, 0)]
)
def test_the_chance_to_stay_is_that_of_the_urn(votes: tuple[int, int, int, int]) -> None:
    assert chance_to_stay(*votes) == pytest.approx(float(exact(*votes)), abs=1e-9)


def test_a_wave_is_as_large_as_it_must_be_at_least() -> None:
    for left in (4, 8, 32):
        wave = next_wave(0.95, Tally(), left)
        assert chance_to_stay(wave, 0, 0, left - wave) >= 0.95
        assert wave == 1 or chance_to_stay(wave - 1, 0, 0, left - wave + 1) < 0.95
    assert next_wave(0.95, Tally(leader=8, certain=8), 24) == 0
    assert next_wave(0.95, Tally(leader=2, certain=2, second=2), 3) == 2
    assert next_wave(0.95, Tally(unanswered=6), 8) == 6  # before that, answers do not decide
    assert next_wave("sure", Tally(unanswered=3), 4) == 4
    assert next_wave(0.5, Tally(), 8) == next_wave(0.8, Tally(), 4) == 2  # one answer agrees with nobody
    assert next_wave(0.5, Tally(), 1) == next_wave("sure", Tally(), 1) == 1
    assert next_wave("sure", Tally(), 9) == 5
    assert next_wave("sure", Tally(leader=3, certain=3, second=1), 4) == 2
    assert next_wave("sure", Tally(leader=3, certain=1, second=3), 1) == 1
    assert next_wave("sure", Tally(leader=5, certain=5, second=1), 3) == 0
    assert next_wave("sure", Tally(leader=4, certain=2), 1) == 1  # 5, 5, 5 cm, 5 cm, and then 5 m


def candidates_of(answers: list[str | None]) -> list[Candidate]:
    return [Candidate(index=i, trace=Trace(reasoning="x"), answer=answer) for i, answer in enumerate(answers)]


def count(answers: list[str | None]) -> Tally:
    return tally(candidates_of(answers), group_answers(answers))


def test_votes_are_counted_with_those_that_are_certain() -> None:
    assert count([]) == Tally()
    assert count(["4", "4.0", "5", None, "6"]) == Tally(leader=2, certain=2, second=1, others=1, unanswered=1)
    assert count(["5", "5 m", "5"]) == Tally(leader=3, certain=2)


ANSWERS = st.sampled_from(
    [
        "4",
        "4.0",
        "5",
        "5 m",
        "5 cm",
        "500 cm",
        "x = 5",
        "y = 5",
        "1/2",
        "0.5",
        "50%",
        "(A)",
        "A",
        "B",
        "yes",
        "blue",
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.one_of(st.none(), ANSWERS), min_size=1, max_size=12))
def test_sure_never_changes_the_answer(answers: list[str | None]) -> None:
    for seen in range(len(answers)):
        part = candidates_of(answers[:seen])
        votes = tally(part, group_answers(answers[:seen]))
        if next_wave("sure", votes, len(answers) - seen):
            continue
        ends = [one.index for one in decide(part, group_answers(answers[:seen])).candidates]
        every = candidates_of(answers)
        groups = group_answers(answers)
        full = decide(every, groups)
        assert full.answers[0].votes > max((one.votes for one in full.answers[1:]), default=0)
        assert groups[ends[0]] == groups[full.candidates[0].index]
        return


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["4", "5", "6"]), min_size=2, max_size=9))
def test_sure_asks_for_less_and_returns_the_same(answers: list[str]) -> None:
    def ask(stop: Any) -> BestOfNResult:
        given_out = iter(answers)
        return best_of_n(
            "q",
            model=lambda messages, **params: f"#### {next(given_out)}",
            n=len(answers),
            scorer=None,
            stop=stop,
            max_concurrency=1,
        )

    full, early = ask(None), ask("sure")
    counts = Counter(answers).most_common(2)
    tied = len(counts) > 1 and counts[0][1] == counts[1][1]
    assert early.best.answer == full.best.answer or tied
    assert early.asked <= full.asked == len(answers)
    assert early.stopped_early is (early.asked < full.asked)


def numbered(answers: list[str]) -> Any:
    return lambda request: Reply(answers[request.number], honours_n=False)


def options(server: OpenAIServer, **more: Any) -> dict[str, Any]:
    return {"model": "openai/m", "api_base": server.url, "api_key": "sk-test", "scorer": None, **more}


def test_agreement_ends_sampling() -> None:
    with OpenAIServer(numbered(["so #### 4"] * 32)) as server:
        result = best_of_n("q", **options(server, n=32, stop=0.95))
        assert len(server.requests) == result.asked == len(result.candidates) == next_wave(0.95, Tally(), 32)
    assert result.stopped_early
    assert result.usage.calls == result.asked
    assert result.best.answer == "4"


def test_disagreement_asks_for_all() -> None:
    with OpenAIServer(lambda request: Reply(f"#### {request.number}", honours_n=False)) as server:
        result = best_of_n("q", **options(server, n=6, stop=0.95))
    assert (result.asked, result.stopped_early, len(result.answers)) == (6, False, 6)


def test_failures_and_free_text_do_not_end_it() -> None:
    with OpenAIServer(lambda request: Reply("Rain falls.", honours_n=False)) as server:
        assert best_of_n("q", **options(server, n=5, stop=0.9)).asked == 5


def test_waves_keep_the_saving_of_n() -> None:
    def reply(request: Request) -> Reply:
        return Reply(["so #### 4"] * request.body.get("n", 1))

    with OpenAIServer(reply) as server:
        result = best_of_n("q", **options(server, n=16, stop=0.95))
        assert [request.body.get("n", 1) for request in server.requests] == [next_wave(0.95, Tally(), 16)]
    assert result.usage.calls == 1


def test_a_function_decides_for_itself_and_what_is_in_flight_is_cancelled() -> None:
    seen: list[int] = []

    async def enough(result: BestOfNResult) -> bool:
        seen.append(len(result.candidates))
        await asyncio.to_thread(
            server.wait_for, lambda: len(server.requests) == 2
        )  # the other one is on its way
        return bool(result.best.score and result.best.score >= 1)

    def reply(request: Request) -> Any:
        return HANG if request.number % 2 else Reply("1 so #### 4", honours_n=False)

    class One:
        def score(self, question: Any, traces: Any) -> list[float]:
            return [1.0] * len(traces)

    with OpenAIServer(reply) as server:
        result = best_of_n("q", **options(server, n=8, stop=enough, scorer=One()))
        server.wait_for(lambda: server.in_flight == 0)
        assert server.left >= 1
    assert seen == [1]
    assert (len(result.candidates), result.asked, result.stopped_early) == (1, 2, True)


async def test_a_function_may_be_async() -> None:
    from me2sdk import abest_of_n

    async def enough(result: BestOfNResult) -> bool:
        return len(result.candidates) == 3

    result = await abest_of_n("q", model=lambda messages, **params: "4", n=12, stop=enough, max_concurrency=1)
    assert len(result.candidates) == 3


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"stop": 1.5}, "below 1"),
        ({"stop": 0.2}, "at least 0.5"),
        ({"stop": True}, "stop is a chance"),
        ({"stop": "shure"}, "list"),
        ({"stop": 0.95, "select": "best", "scorer": "shortest"}, "counts votes"),
        ({"stop": "sure", "answer": None}, "counts votes"),
        ({"stop": 0.95, "answer": "similar"}, "counts votes"),
        ({"min_confidence": 0}, "min_confidence"),
        ({"deadline": 0}, "deadline"),
        ({"select": "best"}, "scorer=None"),
        ({"answer": "jsn"}, "jsn"),
        ({"escalate": "openai/x", "answer": None}, "escalate"),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        best_of_n("q", **{"model": lambda messages, **params: "4", "scorer": None, **arguments})


def test_texts_at_which_the_model_stops_are_sent_to_it() -> None:
    with OpenAIServer(lambda request: Reply("#### 4", honours_n=False)) as server:
        best_of_n("q", **options(server, n=1, stop=["###", "\n\n"]))
        completion(messages=[{"role": "user", "content": "q"}], best_of=1, **options(server, stop="END"))
        completion(messages=[{"role": "user", "content": "q"}], best_of=2, **options(server, stop="sure"))
        assert [request.body.get("stop") for request in server.requests][:2] == [["###", "\n\n"], "END"]
        assert all("stop" not in request.body for request in server.requests[2:])


def test_the_ballot_of_finished_candidates() -> None:
    made = [
        *candidates_of(["4", "4"]),
        Candidate(index=2, trace=Trace(reasoning="x", truncated=True), answer="4"),
    ]
    made.append(Candidate(index=3, trace=Trace(reasoning="x"), refusal="no", answer="4"))
    ballot = ballot_of(made, [0, 0, 0, 0])
    assert (ballot.members, ballot.weights, ballot.voters, ballot.candidates) == ({0: [0, 1]}, {0: 2.0}, 2, 4)
