"""Reward functions for TRL's ``GRPOTrainer``: the thinking reward alone, and gated by the right answer.

::

    from trl import GRPOConfig, GRPOTrainer
    from me2sdk.adapters.trl import GatedReward, thinking_reward

    GRPOTrainer(model=…, reward_funcs=GatedReward("mini"), train_dataset=…, args=GRPOConfig(…))

Both take TRL's call: conversational or text prompts and completions, the dataset's columns, ``log_metric`` and
``log_extra``. They are awaited, so several reward functions run side by side.
"""

from __future__ import annotations

from me2sdk.scorers import Scorer
from me2sdk.train.rewards import GatedReward, ThinkingReward

try:
    import trl  # noqa: F401 - its trainer is what these functions are for
except ImportError as error:
    raise ImportError(f'me2sdk.adapters.trl needs TRL ({error}). Run: pip install "me2sdk[trl]"') from error

__all__ = ["GatedReward", "ThinkingReward", "thinking_reward"]


def thinking_reward(
    scorer: str | Scorer = "mini", *, squash: bool = False, question_column: str = "question"
) -> ThinkingReward:
    """The thinking reward r_t of each completion, whatever its answer. Arguments and errors as for `ThinkingReward`."""
    return ThinkingReward(scorer, squash=squash, question_column=question_column)
