"""Training a thinking reward model on preferences (paper §5.2), and making checkpoints smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from me2sdk._lazy import lazy

if TYPE_CHECKING:
    from me2sdk.train.reward_model.config import (
        Curve as Curve,
        PairAccuracy as PairAccuracy,
        RewardModelConfig as RewardModelConfig,
        RewardModelReport as RewardModelReport,
    )
    from me2sdk.train.reward_model.quantize import (
        QuantizationReport as QuantizationReport,
        quantize_checkpoint as quantize_checkpoint,
    )
    from me2sdk.train.reward_model.train import train_reward_model as train_reward_model

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "config": (
            "Curve",
            "PairAccuracy",
            "RewardModelConfig",
            "RewardModelReport",
        ),
        "quantize": (
            "QuantizationReport",
            "quantize_checkpoint",
        ),
        "train": ("train_reward_model",),
    },
)
