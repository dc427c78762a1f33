"""Reward models on the pairs, one a seed (paper §5.1)."""

from __future__ import annotations

from typing import Any

from me2sdk.train import RewardModelConfig, train_reward_model
from recipes.reproduction.stages import Place

__all__ = ["train_reward_models"]


def train_reward_models(place: Place) -> dict[str, Any]:
    """Train them one after another; a run that was stopped goes on from its checkpoint."""
    runs = []
    for seed in range(place.config.seeds):
        config = RewardModelConfig.model_validate(
            {
                **place.config.reward_model,
                "output": str(place.reward_model(seed)),
                "train": [str(place.pairs("train"))],
                "validation": [str(place.pairs("validation"))],
                "seed": seed,
                "merged": bool(place.config.reward_model.get("lora")),
            }
        )
        report = train_reward_model(config, on_progress=place.on_progress)
        runs.append(
            {
                "seed": seed,
                "train_pairs": report.train_pairs,
                "validation_pairs": report.validation_pairs,
                "left_out": report.left_out,
                "steps": report.steps,
                "best_step": report.best_step,
                "validation_accuracy": report.validation.accuracy if report.validation else None,
                "seconds": round(report.seconds),
            }
        )
    return {"runs": runs}
