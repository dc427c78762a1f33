"""How sure a choice is: the chance that the leading answer is right, and what that leaves to the others."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from me2sdk.sampling.agreement import FEATURES

__all__ = ["ConfidenceModel", "load_confidence_model"]


@dataclass(frozen=True)
class ConfidenceModel:
    """A logistic model of whether the leading answer is right.

    Attributes:
        intercept: its constant.
        weights: one a feature, in the order of `FEATURES`.
        none: how many votes "none of these answers" counts for, when the leader is wrong.
    """

    intercept: float
    weights: tuple[float, ...]
    none: float

    def leader(self, features: Sequence[float]) -> float:
        """The chance that the leading answer is right."""
        logit = self.intercept + sum(w * x for w, x in zip(self.weights, features, strict=True))
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, logit))))

    def all_answers(self, leader: int, chance: float, weights: Mapping[int, float]) -> dict[int, float]:
        """The chance of each answer: where the leader is wrong, another is right as often as it has votes."""
        rest = sum(weights.values()) - weights[leader] + self.none
        return {
            answer: chance if answer == leader else (1 - chance) * weight / rest
            for answer, weight in weights.items()
        }


@functools.cache
def load_confidence_model() -> ConfidenceModel:
    """The model that ships with me2sdk; its card is ``data/decision_card.md``."""
    data = json.loads((files("me2sdk") / "data" / "decision.json").read_text("utf-8"))
    return ConfidenceModel(
        intercept=data["intercept"],
        weights=tuple(data["weights"][name] for name in FEATURES),
        none=data["none"],
    )
