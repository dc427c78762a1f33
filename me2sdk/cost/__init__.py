"""What a job will cost, estimated before it starts by running it against a simulated model."""

from __future__ import annotations

from me2sdk.cost.estimate import CostEstimate, Verb, estimate_cost
from me2sdk.cost.simulated_model import Lengths as Lengths, SimulatedModel as SimulatedModel, filler as filler

__all__ = [
    "CostEstimate",
    "Verb",
    "estimate_cost",
]
