"""The gated reward as a function of completions (paper §5.4): for TRL's GRPOTrainer, verl, or a loop of one's own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from me2sdk.errors import ConfigurationError, GenerationError
from me2sdk.llm import LLM
from me2sdk.schema import Message, Question, Trace, Value
from me2sdk.scorers import Scorer
from me2sdk.train.data import as_reference
from me2sdk.train.rewards.formula import gated_reward, group_spread
from me2sdk.train.rewards.scoring import FAILURES_IN_A_ROW, TraceScores, read_trace
from me2sdk.verify import averify_answer

__all__ = ["FAILURES_IN_A_ROW", "GatedReward", "Rewarded"]

_log = logging.getLogger(__name__)


class Rewarded(Value):
    """The reward of one completion.

    Attributes:
        reward: what to train on, or None where the answer could not be judged.
        r_v: the verifiable reward: 1 for a right answer, 0 for a wrong or missing one, None where it could not
            be judged.
        r_t: the thinking reward of a right answer; None for others, without a scorer, and where scoring failed.
        failed: whether scoring failed, so that the reward is that of r_t = 0.
    """

    reward: float | None
    r_v: int | None
    r_t: float | None
    failed: bool = False


class GatedReward:
    """A reward function that gates a scorer's thinking reward with the verified answer.

    Pass an object to ``GRPOTrainer(reward_funcs=…)``, which calls it with each batch and the columns of the
    dataset. All answers of a batch are verified side by side, and all right ones scored in one call; wrong ones
    get 0 whatever the scorer says, so it is not asked about them.

    - A completion without an answer is wrong.
    - An answer that cannot be compared, or whose verifier fails, gets None, which TRL leaves out of its group.
    - A score that fails is tried once more, alone. If that fails too the completion gets the reward of
      r_t = 0, which is ``1 - alpha / 2``; ``score_failures`` counts these.

    Args:
        scorer: a `Scorer`, or a name as `open_scorer` takes it: "mini", the hub name or folder of a reward model,
            the URL of a server that holds one. None does without (then alpha must be 0). With alpha = 0 and a
            scorer, r_t is logged but decides nothing.
        alpha: share of the reward that the thinking reward decides.
        model: a model that judges answers which math-verify does not find equal, as for `verify_answer`.
        reference_column: the dataset's column with the right answer.
        question_column: the column with the question that the scorer gets. A dataset without it has its
            prompt taken.

    Attributes:
        undecided: completions whose answer could not be judged, so far.

    Raises:
        ConfigurationError: alpha is out of range or has no scorer.

    Example:
        ```python
        import asyncio
        from me2sdk.train import GatedReward

        reward = GatedReward("mini")  # for GRPOTrainer(reward_funcs=reward)
        completions = ["2 + 2 = 4. The answer is 4.", "2 + 2 = 5. The answer is 5."]
        right, wrong = asyncio.run(reward(["What is 2 + 2?"] * 2, completions, reference=["4", "4"]))
        print(right > 0.8, wrong)  # True 0.0
        ```
    """

    def __init__(
        self,
        scorer: str | Scorer | None = "mini",
        *,
        alpha: float = 0.2,
        model: Any = None,
        reference_column: str = "reference",
        question_column: str = "question",
    ) -> None:
        gated_reward(1, 0.0, alpha)  # says what is wrong with alpha
        if scorer is None and alpha > 0:
            raise ConfigurationError(
                "alpha above 0 needs a scorer. Pass one, or alpha=0 for the verifier alone."
            )
        self.alpha = alpha
        self.undecided = 0
        self._scores = TraceScores(scorer, otherwise="counts as r_t = 0")
        self._model = model if model is None or isinstance(model, LLM) else LLM(model)
        self._reference_column = reference_column
        self._question_column = question_column

    @property
    def score_failures(self) -> int:
        """Scores that failed twice, so far."""
        return self._scores.failures

    @property
    def __name__(self) -> str:
        """What TRL calls it in its logs."""
        return "gated_reward" if self.alpha else "verifiable_reward"

    async def areward(
        self,
        questions: Sequence[Question | None],
        completions: Sequence[str | Trace | Message | list[Message]],
        references: Sequence[str | float],
    ) -> list[Rewarded]:
        """The rewards of some completions, in order.

        Args:
            questions: what was asked, one per completion.
            completions: what the policy wrote. Of a list of messages the assistant's last one counts, also where
                messages of tools follow it.
            references: the right answers, as text or as numbers.

        Raises:
            ConfigurationError: a reference is empty, or a setting cannot work.
            ScoringError: scoring has failed `FAILURES_IN_A_ROW` times without a success.
            BudgetExceeded: the verifier's budget is spent.
        """
        traces = [read_trace(item, question) for item, question in zip(completions, questions, strict=True)]
        verdicts = await asyncio.gather(
            *(
                self._verify(trace, as_reference(reference))
                for trace, reference in zip(traces, references, strict=True)
            )
        )
        right = [i for i, r_v in enumerate(verdicts) if r_v == 1]
        scores = await self._scores.of({i: trace for i in right if (trace := traces[i])})
        self.undecided += sum(r_v is None for r_v in verdicts)
        failed = {i for i, score in scores.items() if score is None}
        rewards = gated_reward(verdicts, [scores.get(i) or 0.0 for i in range(len(traces))], self.alpha)
        return [
            Rewarded(
                reward=None if r_v is None else float(reward), r_v=r_v, r_t=scores.get(i), failed=i in failed
            )
            for i, (reward, r_v) in enumerate(zip(rewards, verdicts, strict=True))
        ]

    async def _verify(self, trace: Trace | None, reference: str) -> int | None:
        if trace is None:
            return 0
        try:
            verification = await averify_answer(trace, reference, model=self._model)
        except GenerationError as error:
            _log.warning("An answer could not be verified and is left out: %s", error)
            return None
        if verification.outcome == "undecided" and verification.answer is not None:
            return None
        return int(bool(verification))

    async def __call__(
        self,
        prompts: Sequence[Question],
        completions: Sequence[str | list[Message]],
        *,
        log_metric: Callable[[str, float], None] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """What TRL calls: one reward per completion, in order; None leaves a completion out.

        Args:
            prompts: the prompts, text or chat messages.
            completions: the completions, text or a list of messages, as for `areward`.
            log_metric: takes ``r_v``, ``r_t`` (of right answers), ``r``, ``r_std`` (spread within groups),
                ``unjudged`` and ``score_failures`` (shares of the batch).
            log_extra: takes ``r_v`` and ``r_t`` of each completion.
            columns: the dataset's other columns, and what else TRL passes.

        Raises:
            ConfigurationError: the column of references is missing; and what `areward` raises.
        """
        if self._reference_column not in columns:
            raise ConfigurationError(
                f"The dataset has no column {self._reference_column!r} with the right answers. Name yours as "
                "reference_column."
            )
        questions = columns.get(self._question_column) or prompts
        rewarded = await self.areward(questions, completions, columns[self._reference_column])
        rewards = [item.reward for item in rewarded]
        if log_metric is not None:
            metrics: dict[str, Sequence[float | None]] = {
                "r_v": [item.r_v for item in rewarded],
                "r_t": [item.r_t for item in rewarded],
                "r": rewards,
                "unjudged": [float(item.r_v is None) for item in rewarded],
                "score_failures": [float(item.failed) for item in rewarded],
            }
            for name, values in metrics.items():
                if known := [value for value in values if value is not None]:
                    log_metric(name, sum(known) / len(known))
            log_metric("r_std", group_spread(rewards, [str(prompt) for prompt in prompts]))
        if log_extra is not None:
            log_extra("r_v", [item.r_v for item in rewarded])
            log_extra("r_t", [item.r_t for item in rewarded])
        return rewards
