"""Rewards of answers while training: the formula, the scorer's part, and the verifier's gate (paper §5.4)."""

from __future__ import annotations

from me2sdk.train.rewards.formula import gated_reward
from me2sdk.train.rewards.gated import GatedReward, Rewarded
from me2sdk.train.rewards.thinking import ThinkingReward

__all__ = [
    "GatedReward",
    "Rewarded",
    "ThinkingReward",
    "gated_reward",
]
