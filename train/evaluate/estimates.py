"""Means over questions, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from me2sdk.schema import Value

__all__ = ["Estimate", "estimate"]

RESAMPLES = 2000
SEED = 11
_AT_ONCE = 2_000_000


class Estimate(Value):
    """A mean over questions with its 95% bootstrap interval.

    Attributes:
        mean: the mean.
        low: lower end of the interval.
        high: upper end of it.
    """

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def estimate(values: Sequence[float], questions: Sequence[str]) -> Estimate:
    """The mean, with a 95% interval from resampling questions (with all of their values).

    Args:
        values: at least one number.
        questions: for each value the question it belongs to.
    """
    sums: dict[str, list[float]] = {}
    for question, value in zip(questions, values, strict=True):
        sums.setdefault(question, []).append(value)
    totals = np.array([sum(group) for group in sums.values()])
    sizes = np.array([len(group) for group in sums.values()])
    rng = np.random.default_rng(SEED)
    parts = []
    chunk = max(1, _AT_ONCE // len(totals))  # all at once would need gigabytes for a large data set
    for start in range(0, RESAMPLES, chunk):
        drawn = rng.integers(0, len(totals), size=(min(chunk, RESAMPLES - start), len(totals)))
        count = len(totals) if len(totals) == len(values) else sizes[drawn].sum(axis=1)
        parts.append(totals[drawn].sum(axis=1) / count)
    means = np.concatenate(parts)
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(mean=float(np.mean(values)), low=float(low), high=float(high))
