"""verl cannot be installed beside these tests, so `compute_score` is called as verl 0.9 calls it: by keyword, with
columns and handles that it does not know, awaited where ``inspect.iscoroutinefunction`` says so."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from me2sdk.adapters import verl
from me2sdk.adapters.verl import compute_score
from me2sdk.errors import ConfigurationError
from me2sdk.train import gated_reward

Q = "What is 3 + 4?"
RIGHT, WRONG = "3 + 4 = 7.\n#### 7", "#### 8"


class Scorer:
    def __init__(self) -> None:
        self.batches: list[int] = []
        self.questions: list[Any] = []

    async def ascore(self, question: Any, traces: Sequence[Any]) -> list[float]:
        self.batches.append(len(traces))
        self.questions += question
        return [1.0] * len(traces)

    def score(self, question: Any, traces: Sequence[Any]) -> list[float]:
        raise NotImplementedError


async def as_verl(solution: str, reference: Any = "7", **reward_kwargs: Any) -> dict[str, Any]:
    assert inspect.iscoroutinefunction(compute_score)  # or verl would run it in a thread
    return await partial(compute_score, **reward_kwargs)(
        data_source="webinstruct",
        solution_str=solution,
        ground_truth=reference,
        extra_info={"question": Q, "num_turns": 2, "rollout_reward_scores": {}},
        reward_router_address="localhost:1",
        reward_model_tokenizer=object(),
    )


async def test_scores_and_what_is_logged_beside_them() -> None:
    scorer = Scorer()
    right, wrong = await asyncio.gather(as_verl(RIGHT, scorer=scorer), as_verl(WRONG, scorer=scorer))
    assert right == {
        "score": gated_reward(1, 1.0),
        "r_v": 1,
        "r_t": 1.0,
        "scored": 1,
        "score_failed": 0,
        "undecided": 0,
    }
    assert wrong == {"score": 0.0, "r_v": 0, "r_t": 0.0, "scored": 0, "score_failed": 0, "undecided": 0}
    assert scorer.questions == [Q]


async def test_calls_that_arrive_together_are_scored_together() -> None:
    scorer = Scorer()
    results = await asyncio.gather(*(as_verl(RIGHT, scorer=scorer) for _ in range(60)))
    assert scorer.batches == [60]
    assert all(result["score"] == results[0]["score"] for result in results)
    await as_verl(RIGHT, scorer=scorer)
    assert scorer.batches == [60, 1]


async def test_batches_have_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verl, "GATHER_SECONDS", 30.0)
    monkeypatch.setattr(verl, "_LARGEST", 4)
    scorer = Scorer()
    await asyncio.wait_for(asyncio.gather(*(as_verl(RIGHT, scorer=scorer) for _ in range(4))), 20)
    assert scorer.batches == [4]


async def test_a_call_that_is_cancelled_costs_the_others_nothing() -> None:
    scorer = Scorer()
    first = asyncio.create_task(as_verl(RIGHT, scorer=scorer))
    second = asyncio.create_task(as_verl(RIGHT, scorer=scorer))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second)["r_v"] == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_errors_reach_every_caller() -> None:
    results = await asyncio.gather(as_verl(RIGHT, " "), as_verl(RIGHT, " "), return_exceptions=True)
    assert all(isinstance(result, ConfigurationError) for result in results)


async def test_the_bundled_scorer_numbers_as_references_and_a_missing_reward() -> None:
    assert (await as_verl(RIGHT, 7))["score"] == pytest.approx(0.9, abs=0.1)

    def model(messages: list[dict[str, Any]], **params: Any) -> str:
        return "hm"

    undecided = await as_verl("#### sept", scorer=None, alpha=0, verifier=model)
    assert (undecided["score"], undecided["undecided"]) == (0.0, 1)


def test_a_second_event_loop_works_too() -> None:
    for _ in range(2):
        assert asyncio.run(as_verl(RIGHT))["r_v"] == 1
