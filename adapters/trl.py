"""Reward functions for TRL's ``GRPOTrainer``: the thinking reward alone, and gated by the right answer.

::

    from trl import GRPOConfig, GRPOTrainer
    from me2sdk.adapters.trl import GatedReward

    GRPOTrainer(model=…, reward_funcs=GatedReward("mini"), train_dataset=…, args=GRPOConfig(…))

`GatedReward` and `ThinkingReward` take TRL's arguments: conversational or text prompts and completions, the dataset's
columns, ``log_metric`` and ``log_extra``. TRL awaits them, so several reward functions run side by side.
"""

from __future__ import annotations

from me2sdk.train.rewards import GatedReward, ThinkingReward

try:
    import trl  # noqa: F401 - these functions are for its trainer
except ImportError as error:
    raise ImportError(f'me2sdk.adapters.trl needs TRL ({error}). Run: pip install "me2sdk[trl]"') from error

__all__ = ["GatedReward", "ThinkingReward"]
