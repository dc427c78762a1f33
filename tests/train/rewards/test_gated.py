from __future__ import annotations

import inspect
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from me2sdk.errors import ConfigurationError, ScoringError
from me2sdk.llm import LLM
from me2sdk.schema import Trace
from me2sdk.train import GatedReward, gated_reward
from me2sdk.train.rewards import ThinkingReward
from me2sdk.train.rewards.gated import FAILURES_IN_A_ROW

Q = "What is 3 + 4?"
RIGHT, WRONG = "3 + 4 = 7.\n#### 7", "3 + 4 = 8.\n#### 8"


class Scorer:
    """Gives each trace its length, keeps what it was asked, and fails on traces with BROKEN."""

    name = "length"

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.questions: list[Any] = []

    def score(self, question: Any, traces: Sequence[Trace | str]) -> list[float]:
        texts = [trace.reasoning if isinstance(trace, Trace) else trace for trace in traces]
        self.calls.append(texts)
        self.questions += question
        if any("BROKEN" in text for text in texts):
            raise ValueError("cannot")
        return [len(text) / 10 for text in texts]


class Flaky(Scorer):
    """Fails on every first call, as a server that restarts."""

    def score(self, question: Any, traces: Sequence[Trace | str]) -> list[float]:
        scores = super().score(question, traces)
        if len(self.calls) % 2:
            raise ConnectionError("gone")
        return scores


async def test_a_batch_is_verified_and_its_right_answers_are_scored_in_one_call() -> None:
    scorer = Scorer()
    reward = GatedReward(scorer, alpha=0.2)
    one, two, three, four = await reward.areward(
        [Q] * 4, [RIGHT, WRONG, "I do not know.\nNobody does.", ""], ["7"] * 4
    )
    assert scorer.calls == [[RIGHT]]
    assert (one.r_v, one.r_t, one.reward) == (1, len(RIGHT) / 10, gated_reward(1, len(RIGHT) / 10))
    for item in (two, three, four):
        assert (item.r_v, item.r_t, item.reward) == (0, None, 0.0)


async def test_a_reward_does_not_depend_on_what_else_was_written() -> None:
    reward = GatedReward("mini")
    completions = [RIGHT, "3 + 4 = 7, of course. The answer is 7.", "Perhaps it is 7.\n#### 7", RIGHT]
    alone = [(await reward.areward([Q], [one], ["7"]))[0] for one in completions]
    assert await reward.areward([Q] * 4, completions, ["7"] * 4) == alone


async def test_as_trl_calls_it() -> None:
    scorer = Scorer()
    reward = GatedReward(scorer, reference_column="answer")
    assert inspect.iscoroutinefunction(reward.__call__)
    assert reward.__name__ == "gated_reward"
    metrics: dict[str, float] = {}
    extra: dict[str, list[Any]] = {}
    prompts = [[{"role": "user", "content": Q}]] * 2 + [[{"role": "user", "content": "Which?"}]] * 2
    completions = [
        [{"role": "assistant", "content": text}] for text in (RIGHT, WRONG, RIGHT, RIGHT + " BROKEN")
    ]
    rewards = await reward(
        prompts,
        completions,
        completion_ids=[[1]] * 4,
        answer=["7", "7", "7", "9"],
        question=[Q, Q, "Which?", "Which?"],
        trainer_state=None,
        log_metric=metrics.__setitem__,
        log_extra=extra.__setitem__,
    )
    good = gated_reward(1, len(RIGHT) / 10)
    assert rewards == [good, 0.0, good, 0.0]
    assert scorer.questions == [Q, "Which?"]
    assert metrics == pytest.approx(
        {
            "r_v": 0.5,
            "r_t": len(RIGHT) / 10,
            "r": good / 2,
            "r_std": good / 2,
            "unjudged": 0,
            "score_failures": 0,
        }
    )
    assert extra == {"r_v": [1, 0, 1, 0], "r_t": [len(RIGHT) / 10, None, len(RIGHT) / 10, None]}
    with pytest.raises(ConfigurationError, match="no column 'answer'"):
        await reward(prompts, completions)


async def test_text_prompts_and_no_question_column() -> None:
    scorer = Scorer()
    assert await GatedReward(scorer)([Q], [RIGHT], reference=["7"]) == [gated_reward(1, len(RIGHT) / 10)]
    assert scorer.questions == [Q]


async def test_the_verifier_alone() -> None:
    reward = GatedReward(None, alpha=0)
    assert reward.__name__ == "verifiable_reward"
    assert await reward([Q, Q], [RIGHT, WRONG], reference=["7", "7"]) == [1.0, 0.0]
    logging_only = GatedReward(Scorer(), alpha=0)
    [item] = await logging_only.areward([Q], [RIGHT], ["7"])
    assert (item.reward, item.r_t) == (1.0, len(RIGHT) / 10)
    with pytest.raises(ConfigurationError, match="needs a scorer"):
        GatedReward(None)
    with pytest.raises(ConfigurationError, match="alpha"):
        GatedReward(alpha=2)


async def test_a_score_that_fails_costs_the_others_nothing_and_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scorer = Scorer()
    reward = GatedReward(scorer, alpha=0.2)
    good, broken = await reward.areward([Q, Q], [RIGHT, f"BROKEN {RIGHT}"], ["7", "7"])
    assert good.reward == gated_reward(1, len(RIGHT) / 10)
    assert (broken.reward, broken.r_t, broken.failed) == (0.9, None, True)
    assert reward.score_failures == 1
    assert "counts as r_t = 0" in caplog.text
    metrics: dict[str, float] = {}
    await reward([Q, Q], [RIGHT, f"BROKEN {RIGHT}"], reference=["7", "7"], log_metric=metrics.__setitem__)
    assert metrics["score_failures"] == 0.5


async def test_a_scorer_that_comes_back_is_asked_again() -> None:
    reward = GatedReward(Flaky())
    [item] = await reward.areward([Q], [RIGHT], ["7"])
    assert item.reward == gated_reward(1, len(RIGHT) / 10)
    assert reward.score_failures == 0


async def test_a_scorer_that_is_gone_stops_the_training() -> None:
    reward = GatedReward(Scorer())
    with pytest.raises(ScoringError, match="last checkpoint"):
        await reward.areward(
            [Q] * FAILURES_IN_A_ROW, [f"BROKEN {RIGHT}"] * FAILURES_IN_A_ROW, ["7"] * FAILURES_IN_A_ROW
        )
    assert reward.score_failures == FAILURES_IN_A_ROW


async def test_scores_that_are_no_numbers_are_failures() -> None:
    class Nan:
        async def ascore(self, question: Any, traces: Any) -> list[float]:
            return [float("nan")] * len(traces)

        def score(self, question: Any, traces: Any) -> list[float]:
            raise NotImplementedError

    [item] = await GatedReward(Nan()).areward([Q], [RIGHT], ["7"])
    assert (item.reward, item.failed) == (0.9, True)


async def test_an_answer_that_cannot_be_judged_has_no_reward() -> None:
    def model(messages: list[dict[str, Any]], **params: Any) -> str:
        text = messages[0]["content"]
        if "sick" in text.partition("[begin student answer")[2]:
            raise ValueError("down")
        return "Final Decision: Yes" if "seven" in text else "no idea"

    reward = GatedReward(None, alpha=0, model=LLM(model, max_retries=0))
    items = await reward.areward([Q] * 3, ["#### seven", "#### sept", "#### sick"], ["7"] * 3)
    assert [(item.r_v, item.reward) for item in items] == [(1, 1.0), (None, None), (None, None)]
    assert reward.undecided == 2


async def test_the_bundled_scorer_by_name() -> None:
    lean, wordy = await GatedReward("mini").areward(
        [Q, Q], [RIGHT, "Hmm. 3 + 4 = 7. Wait, let me check: 3 + 4 = 7.\n#### 7"], ["7", "7"]
    )
    assert lean.reward is not None
    assert wordy.reward is not None
    assert 0.8 < wordy.reward < lean.reward < 1


DONE = {"role": "assistant", "content": RIGHT}
TOOL = {"role": "tool", "content": "saved", "tool_call_id": "1"}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}


@pytest.mark.parametrize(
    ("completion", "r_v"),
    [
        ([DONE, TOOL], 1),
        ([CALL, TOOL, DONE], 1),
        ([DONE, CALL, TOOL, TOOL], 0),  # the last thing that it said is a call
        ([{"content": RIGHT}], 1),
        ([TOOL], 0),
        ([], 0),
        ([{"role": "assistant", "content": None, "refusal": f"No. {RIGHT}"}], 0),
    ],
)
async def test_the_assistant_s_last_message_counts(completion: list[Any], r_v: int) -> None:
    scorer = Scorer()
    (reward,) = await GatedReward(scorer)([Q], [completion], reference=["7"])
    assert reward == (gated_reward(1, len(RIGHT) / 10) if r_v else 0)
    thinking = await ThinkingReward(scorer)([Q] * 2, [completion, "x"])
    assert thinking[1] == pytest.approx(0.1)
    assert (thinking[0] == pytest.approx(len(RIGHT) / 10)) == bool(r_v)


@pytest.mark.parametrize("reference", [7, 7.0, "7", Decimal(7), np.int64(7), np.float32(7)])
async def test_references_may_be_numbers(reference: Any) -> None:
    reward = GatedReward(Scorer())
    right, wrong = await reward([Q] * 2, [RIGHT, WRONG], reference=[reference] * 2)
    assert (right, wrong) == (gated_reward(1, len(RIGHT) / 10), 0)


async def test_no_reference_is_no_number() -> None:
    with pytest.raises(ConfigurationError, match="reference"):
        await GatedReward(Scorer())([Q], [RIGHT], reference=[None])
