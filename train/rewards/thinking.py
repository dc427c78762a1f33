"""The thinking reward alone as a function of completions: how well they were reasoned, right or wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from me2sdk.errors import ConfigurationError
from me2sdk.schema import Message, Question
from me2sdk.scorers import Scorer
from me2sdk.stats import sigmoid
from me2sdk.train.rewards.formula import group_spread
from me2sdk.train.rewards.scoring import TraceScores, read_trace

__all__ = ["ThinkingReward"]


class ThinkingReward:
    """A reward function that is a scorer's thinking reward r_t, whatever the answer.

    Pass an object to ``GRPOTrainer(reward_funcs=…)``, alone or beside other reward functions. It asks for no
    reference answers, and so a policy may learn to please it with wrong ones: `GatedReward` cannot be pleased so.

    - A completion without text gets the lowest reward of its batch, so that silence never pays.
    - A score that fails is tried once more, alone. If that fails too the completion gets None, which TRL leaves out;
      ``score_failures`` counts these.

    Args:
        scorer: a `Scorer`, or a name as `open_scorer` takes it: "mini", the hub name or folder of a reward model,
            the URL of a server that holds one.
        squash: give sigmoid(r_t), between 0 and 1, to go beside rewards of that size; by default the logit itself.
        question_column: the dataset's column with the question that the scorer gets. A dataset without it has its
            prompt taken.

    Raises:
        ConfigurationError: there is no scorer of this name.

    Example:
        ```python
        import asyncio
        from me2sdk.train import ThinkingReward

        reward = ThinkingReward("mini")  # for GRPOTrainer(reward_funcs=reward)
        right, wrong = asyncio.run(reward(["What is 3 + 4?"] * 2, ["3 + 4 = 7.", "3 + 4 = 8."]))
        print(right > wrong)  # True
        ```
    """

    __name__ = "thinking_reward"  # what TRL calls it in its logs

    def __init__(
        self, scorer: str | Scorer = "mini", *, squash: bool = False, question_column: str = "question"
    ) -> None:
        if scorer is None:
            raise ConfigurationError('The thinking reward needs a scorer, "mini" or another.')
        self._scores = TraceScores(scorer, otherwise="is left out")
        self._squash = squash
        self._question_column = question_column

    @property
    def score_failures(self) -> int:
        """Scores that failed twice, so far."""
        return self._scores.failures

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
            completions: the completions, text or a list of messages, of which the assistant's last one counts.
            log_metric: takes ``r_t``, ``r_std`` (spread within groups) and ``score_failures`` (share of the batch).
            log_extra: takes ``r_t`` of each completion.
            columns: the dataset's other columns, and what else TRL passes.

        Raises:
            ConfigurationError: a setting of the scorer cannot work.
            ScoringError: scoring has failed `FAILURES_IN_A_ROW` times without a success.
        """
        questions = columns.get(self._question_column) or prompts
        traces = [read_trace(item, question) for item, question in zip(completions, questions, strict=True)]
        scores = await self._scores.of({i: trace for i, trace in enumerate(traces) if trace})
        r_t = [scores.get(i) for i in range(len(traces))]
        known = [score for score in r_t if score is not None]
        lowest = min(known, default=None)
        kept = [lowest if trace is None else score for trace, score in zip(traces, r_t, strict=True)]
        rewards = [score if score is None or not self._squash else sigmoid(score) for score in kept]
        if log_metric is not None:
            if known:
                log_metric("r_t", sum(known) / len(known))
            log_metric(
                "score_failures", sum(score is None for score in scores.values()) / max(1, len(traces))
            )
            log_metric("r_std", group_spread(rewards, [str(prompt) for prompt in prompts]))
        if log_extra is not None:
            log_extra("r_t", r_t)
        return rewards
