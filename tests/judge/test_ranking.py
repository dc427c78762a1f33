from __future__ import annotations

import asyncio
import inspect
import itertools
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from support.judge_doubles import make_dag

from me2sdk import InvalidTraceError, JudgeError, Trace
from me2sdk.judge import Ranking, arank_traces, rank_traces
from me2sdk.judge.tournament import merge_exchange
from me2sdk.llm import LLM
from me2sdk.schema import Message
from me2sdk.testing import FakeModel

QUESTION = "What is 3 + 4?"


def quality(trace: str) -> int:
    return int(trace.split("quality ")[1].split()[0])


def by_quality(*traces: str) -> str:
    first, second = map(quality, traces)
    return "tie" if first == second else "first" if first > second else "second"


def traces(*qualities: int) -> list[str]:
    return [f"quality {value} trace {place}" for place, value in enumerate(qualities)]


async def test_traces_are_put_in_order_with_fewer_than_all_comparisons() -> None:
    qualities = [3, 7, 0, 5, 1, 6, 2, 4]
    ranking = await arank_traces(
        QUESTION, traces(*qualities), model=FakeModel(judge=by_quality), repeats=1, structure=False
    )
    assert [qualities[place] for place in ranking.order] == sorted(qualities, reverse=True)
    assert ranking.ranks == tuple(range(1, 9))
    assert len(ranking.comparisons) < 28
    assert ranking.usage.calls == 10 * len(ranking.comparisons)
    strengths = [ranking.strengths[place] for place in ranking.order]
    assert strengths == sorted(strengths, reverse=True)  # type: ignore[type-var]
    assert ranking.unranked == ()
    assert Ranking.model_validate_json(ranking.model_dump_json()) == ranking


@pytest.mark.parametrize("count", [2, 3, 4, 5, 12, 24])
async def test_a_judge_without_doubt_gives_the_true_order(count: int) -> None:
    for seed in range(3):
        qualities = random.Random(seed).sample(range(count), count)
        table = FakeModel(judge=by_quality)
        ranking = await arank_traces(QUESTION, traces(*qualities), model=table, repeats=1, structure=False)
        assert [qualities[place] for place in ranking.order] == sorted(qualities, reverse=True)
        assert len(ranking.comparisons) <= sum(map(len, merge_exchange(count)))
        neighbours = set(map(frozenset, itertools.pairwise(ranking.order)))
        assert neighbours <= {frozenset((met.a, met.b)) for met in ranking.comparisons}


async def test_equal_traces_share_a_rank() -> None:
    ranking = await arank_traces(
        QUESTION, traces(1, 2, 1, 3, 2), model=FakeModel(judge=by_quality), repeats=1, structure=False
    )
    assert [{0: 1, 1: 2, 2: 1, 3: 3, 4: 2}[place] for place in ranking.order] == [3, 2, 2, 1, 1]
    assert ranking.ranks == (1, 2, 2, 4, 4)


async def test_each_dag_and_its_summaries_are_made_once() -> None:
    judge = FakeModel(judge=by_quality)
    dags = [make_dag(f"quality {value} start", f"quality {value} end") for value in range(4)]
    ranking = await arank_traces(QUESTION, dags, model=judge, repeats=1)
    assert [call.kind for call in judge.calls].count("summarize") == 4
    assert ranking.order == (3, 2, 1, 0)
    assert ranking.dags == tuple(dags)
    assert ranking.usage.calls == len(judge.calls)
    assert sum(met.verdict.usage.calls for met in ranking.comparisons) <= len(judge.calls)
    assert all(met.verdict.dag_a is None for met in ranking.comparisons)
    top = ranking.comparison(3, 2)
    assert top is not None
    assert top == ranking.comparison(2, 3)
    assert (top.verdict.dag_a, top.verdict.dag_b) == (dags[top.a], dags[top.b])


async def test_pairs_of_one_round_are_judged_side_by_side() -> None:
    waiting, everyone = 0, asyncio.Event()

    class Waits(FakeModel):
        async def __call__(self, messages: Sequence[Message], **params: Any) -> str:
            nonlocal waiting
            waiting += 1
            if waiting == 4 * 2 * 4:  # four pairs, two orders, four dimensions
                everyone.set()
            await everyone.wait()
            return self.answer(messages, **params)

    async with asyncio.timeout(20):
        ranking = await arank_traces(
            QUESTION,
            traces(*range(8)),
            model=Waits(judge=by_quality),
            repeats=1,
            structure=False,
            max_concurrency=64,
        )
    assert ranking.order == tuple(range(7, -1, -1))


async def test_a_pair_that_fails_costs_the_others_nothing() -> None:
    def decide(*traces: str) -> str:
        return "What?" if {2, 3} == set(map(quality, traces)) else by_quality(*traces)

    ranking = await arank_traces(
        QUESTION, traces(2, 0, 3, 1), model=FakeModel(judge=decide), repeats=1, structure=False
    )
    assert [(f.a, f.b, f.error) for f in ranking.failures] == [(0, 2, "JudgeError")]
    assert set(ranking.order[:2]) == {0, 2}
    assert ranking.order[2:] == (3, 1)
    assert ranking.comparison(0, 2) is None


async def test_a_trace_that_can_never_be_judged_is_not_ranked() -> None:
    def decide(*traces: str) -> str:
        return "What?" if 9 in map(quality, traces) else by_quality(*traces)

    ranking = await arank_traces(
        QUESTION, traces(1, 9, 2), model=FakeModel(judge=decide), repeats=1, structure=False
    )
    assert ranking.order == (2, 0)
    assert ranking.unranked == (1,)
    assert ranking.strengths[1] is None
    assert {(failure.a, failure.b) for failure in ranking.failures} == {(0, 1), (1, 2)}


async def test_without_any_verdict_it_is_an_error() -> None:
    with pytest.raises(JudgeError, match="None of the pairs") as caught:
        await arank_traces(
            QUESTION, traces(1, 2), model=FakeModel(judge=lambda *traces: "?"), repeats=1, structure=False
        )
    assert caught.value.usage.calls == 24  # type: ignore[attr-defined]


async def test_one_trace_is_in_order() -> None:
    ranking = await arank_traces(QUESTION, [Trace(reasoning="alone")], model=FakeModel(judge=by_quality))
    assert (ranking.order, ranking.ranks, ranking.strengths, ranking.comparisons) == ((0,), (1,), (0.0,), ())


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 9), st.randoms(use_true_random=False))
def test_whatever_the_verdicts_every_trace_gets_a_place(count: int, chance: random.Random) -> None:
    outcomes = {
        pair: chance.choice(["first", "second", "tie", "?"])
        for pair in itertools.combinations(range(count), 2)
    }

    def decide(*traces: str) -> str:
        first, second = map(quality, traces)
        outcome = outcomes[min(first, second), max(first, second)]
        turned = {"first": "second", "second": "first"}.get(outcome, outcome)
        return outcome if first < second else turned

    async def go() -> Any:
        model = FakeModel(judge=decide)
        return await arank_traces(QUESTION, traces(*range(count)), model=model, repeats=1, structure=False)

    try:
        ranking = asyncio.run(go())
    except JudgeError:
        assert "?" in outcomes.values()
        return
    assert sorted((*ranking.order, *ranking.unranked)) == list(range(count))
    pairs = [(met.a, met.b) for met in ranking.comparisons] + [(f.a, f.b) for f in ranking.failures]
    assert len(set(pairs)) == len(pairs) <= count * (count - 1) // 2
    assert all(outcomes[failure.a, failure.b] == "?" for failure in ranking.failures)
    assert all(s is None or math.isfinite(s) for s in ranking.strengths)


def test_the_synchronous_twin_takes_and_gives_the_same() -> None:
    assert inspect.signature(rank_traces) == inspect.signature(arank_traces)
    llm = LLM(FakeModel(judge=by_quality))
    ranking = rank_traces(QUESTION, traces(1, 2), model=llm, repeats=1, structure=False)
    assert ranking.order == (1, 0)
    assert llm.usage == ranking.usage


@pytest.mark.parametrize("items", [[], "one text", ["fine", ""]])
def test_nothing_to_rank(items: Any) -> None:
    with pytest.raises(InvalidTraceError):
        rank_traces(QUESTION, items, model=FakeModel(judge=by_quality))


async def test_a_pair_whose_order_follows_from_others_is_not_compared() -> None:
    model = FakeModel(judge=by_quality)
    ranking = await arank_traces(QUESTION, traces(0, 1, 3, 4, 2), model=model, repeats=1, structure=False)
    assert ranking.order == (3, 2, 4, 1, 0)
    assert len(ranking.comparisons) == 6  # the network alone would take 7
