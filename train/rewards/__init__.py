"""Rewards of answers while training: the formula, the scorer's part, and the verifier's gate (paper §5.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from me2sdk._lazy import lazy

if TYPE_CHECKING:
    from me2sdk.train.rewards.formula import gated_reward as gated_reward
    from me2sdk.train.rewards.gated import GatedReward as GatedReward, Rewarded as Rewarded
    from me2sdk.train.rewards.thinking import ThinkingReward as ThinkingReward

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "formula": ("gated_reward",),
        "gated": ("GatedReward", "Rewarded"),
        "thinking": ("ThinkingReward",),
    },
)
