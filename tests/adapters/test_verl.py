"""verl cannot be installed beside these tests, so most call the functions as verl 0.9 calls them: by keyword, with
columns and handles that they do not know, awaited where ``inspect.iscoroutinefunction`` says so. The last one runs verl
itself in an environment of its own (``make verl``)."""

from __future__ import annotations

import asyncio
import inspect
import json
import signal
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.needs import needs

from me2sdk.adapters.verl import batching, compute_score, compute_score_batch, compute_score_sync
from me2sdk.errors import ConfigurationError
from me2sdk.train import gated_reward

ROOT = Path(__file__).resolve().parent.parent.parent
VERL = ROOT / ".cache" / "verl" / "bin" / "python"
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
    monkeypatch.setattr(batching, "BATCH_WAIT_SECONDS", 30.0)
    monkeypatch.setattr(batching, "_MAX_BATCH", 4)
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


@needs("math_verify")
def test_threads_may_call_the_form_without_await_and_are_batched() -> None:
    assert not inspect.iscoroutinefunction(compute_score_sync)  # or verl's "remote" manager refuses it
    scorer, handler = Scorer(), signal.getsignal(signal.SIGALRM)
    with ThreadPoolExecutor(8) as threads:
        calls = [
            threads.submit(
                compute_score_sync,
                data_source="webinstruct",
                solution_str=solution,
                ground_truth="2\\sqrt{2}",  # which takes math-verify
                extra_info={"question": Q},
                reward_router_address="localhost:1",
                scorer=scorer,
            )
            for solution in ["\\boxed{\\sqrt{8}}"] * 7 + ["\\boxed{\\sqrt{7}}"]
        ]
        assert [call.result()["r_v"] for call in calls] == [1] * 7 + [0]
    assert sum(scorer.batches) == 7
    assert len(scorer.batches) < 7
    assert signal.getsignal(signal.SIGALRM) is handler


def test_a_batch_is_scored_in_one_call_and_comes_back_in_order() -> None:
    scorer = Scorer()
    right, wrong, empty = compute_score_batch(
        data_sources=["webinstruct"] * 3,
        solution_strs=[RIGHT, WRONG, RIGHT],
        ground_truths=[7, "7", "8"],
        extra_infos=[{"question": Q}, None, {}],
        scorer=scorer,
        num_examine=0,
    )
    assert scorer.batches == [1]
    assert (right["r_v"], wrong["r_v"], empty["r_v"]) == (1, 0, 0)
    assert right == asyncio.run(as_verl(RIGHT, scorer=scorer))
    assert compute_score_batch(["x"], [RIGHT], ["7"])[0]["scored"] == 1
    assert compute_score_batch([], [], []) == []


@needs("torch", "math_verify")
@pytest.mark.skipif(not VERL.exists(), reason="verl has an environment of its own, which `make verl` makes")
def test_verl_itself_runs_all_three_forms(tmp_path: Path) -> None:
    """Its reward loop with two managers, its legacy managers, and its whole ``RewardLoopManager`` over Ray."""
    from me2sdk.testing import tiny_reward_model

    tiny_reward_model(tmp_path)  # for its tokenizer
    command = [str(VERL), "-P", str(ROOT / "tests" / "support" / "verl_program.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["verl"] == "0.9.1"
    (manager, loop), *others = found["reward loop"].items()
    assert manager == "naive compute_score"
    assert [one["reward_extra_info"]["r_v"] for one in loop] == [1, 1, 0, 0]
    assert [one["reward_extra_info"]["scored"] for one in loop] == [1, 1, 0, 0]
    first, second, wrong, empty = (one["reward_score"] for one in loop)
    assert 0.8 < first < 1
    assert 0.8 < second < 1
    assert first != second
    assert wrong == empty == 0
    assert len(others) == 3
    assert all(other == loop for _, other in others)
    rewards = pytest.approx([one["reward_score"] for one in loop])
    assert set(found["tensors"]) == {"batch", "legacy naive", "remote"}
    for tensor in found["tensors"].values():
        assert tensor["rewards"] == rewards
        assert tensor["extra"]["r_v"] == [1, 1, 0, 0]
