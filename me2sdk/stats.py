"""Statistics over many questions: exact best-of-k curves and pass@k from one set of N samples per question."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from me2sdk.errors import ConfigurationError

__all__ = ["BestOfNCurve", "best_of_n_curve", "pass_at_k"]


class BestOfNCurve(BaseModel):
    """Expected accuracy of best-of-k for k = 1 … N.

    Attributes:
        k: numbers of samples.
        accuracy: expected accuracy at each k, mean over questions, in [0, 1].
        low: lower end of the bootstrap interval over questions at each k.
        high: upper end of it.
        confidence: how much of the bootstrap distribution the interval holds.
        questions: number of questions.

    Example:
        ```python
        from me2sdk import best_of_n_curve

        curve = best_of_n_curve(scores=[[0.1, 0.9]], correct=[[False, True]])
        print(dict(zip(curve.k, curve.accuracy)))  # {1: 0.5, 2: 1.0}
        ```
    """

    model_config = ConfigDict(frozen=True)

    k: tuple[int, ...]
    accuracy: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    confidence: float
    questions: int


def best_of_n_curve(
    scores: Sequence[Sequence[float]],
    correct: Sequence[Sequence[bool]],
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> BestOfNCurve:
    """Expected accuracy of taking the best-scored of k samples, for every k up to N (paper §5.3).

    Nothing is sampled to get the curve: for each question the mean over all subsets of size k is computed
    exactly. A sample is selected by a subset if none of the subset has a higher score; samples that tie for
    the highest share the selection evenly.

    Args:
        scores: one list per question, with the reward of each sample; higher is better.
        correct: the same shape; whether each sample's answer is right.
        confidence: share of the bootstrap distribution (over questions) between ``low`` and ``high``.
        resamples: number of bootstrap resamples.
        seed: seed of the bootstrap; the curve itself does not depend on it.

    Returns:
        The curve up to the smallest N of all questions.

    Raises:
        ConfigurationError: no questions, a question without samples, shapes that differ, or a score that is
            NaN.

    Example:
        ```python
        from me2sdk import best_of_n_curve

        curve = best_of_n_curve(scores=[[0.1, 0.9], [0.8, 0.3]], correct=[[False, True], [True, False]])
        print(curve.accuracy)  # (0.5, 1.0)
        ```
    """
    if not 0 < confidence < 1 or resamples < 1:
        raise ConfigurationError("confidence must lie between 0 and 1, and resamples must be at least 1.")
    _check(correct)
    if [len(row) for row in scores] != [len(row) for row in correct]:
        raise ConfigurationError(
            "scores and correct must have the same shape: one value a sample of each question."
        )
    if any(math.isnan(score) for row in scores for score in row):
        raise ConfigurationError("A score is NaN. Leave samples that could not be scored out of both lists.")
    n = min(len(row) for row in correct)
    table = np.array([_curve(s, c, n) for s, c in zip(scores, correct, strict=True)])
    rng = np.random.default_rng(seed)
    draws = np.array([table[rng.integers(0, len(table), len(table))].mean(axis=0) for _ in range(resamples)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return BestOfNCurve(
        k=tuple(range(1, n + 1)),
        accuracy=tuple(table.mean(axis=0).tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        confidence=confidence,
        questions=len(table),
    )


def _curve(scores: Sequence[float], correct: Sequence[bool], up_to: int) -> npt.NDArray[np.float64]:
    n = len(scores)
    k = np.arange(1, up_to + 1)
    ranked = sorted(zip(scores, correct, strict=True), key=lambda pair: -pair[0])
    curve = np.zeros(up_to)
    missed = np.ones(
        up_to
    )  # share of the subsets of size k that hold nothing seen so far: C(n - seen, k) / C(n, k)
    seen = 0
    for _, group in groupby(ranked, key=lambda pair: pair[0]):
        rights = [bool(right) for _, right in group]
        before = missed
        for _ in rights:
            missed = missed * np.maximum(n - seen - k, 0) / (n - seen)
            seen += 1
        curve += (before - missed) * (sum(rights) / len(rights))
    return curve


def pass_at_k(correct: Sequence[Sequence[bool]], k: int) -> float:
    """Expected share of questions that at least one of k samples gets right (the unbiased estimator).

    Args:
        correct: one list per question; whether each sample's answer is right.
        k: number of samples, at most the number that each question has.

    Returns:
        The mean over questions of ``1 - C(n - c, k) / C(n, k)``, in [0, 1].

    Raises:
        ConfigurationError: no questions, or k is not between 1 and the smallest number of samples.

    Example:
        ```python
        from me2sdk import pass_at_k

        print(pass_at_k([[True, False, False, False]], k=2))  # 0.5
        ```
    """
    _check(correct)
    n = min(len(row) for row in correct)
    if not 1 <= k <= n:
        raise ConfigurationError(
            f"k must be between 1 and {n}, the fewest samples that a question has; it is {k}."
        )
    rates = [1 - math.comb(len(row) - sum(map(bool, row)), k) / math.comb(len(row), k) for row in correct]
    return sum(rates) / len(rates)


def sigmoid(logit: float) -> float:
    """``1 / (1 + exp(-logit))``, which is in [0, 1] and overflows for no number."""
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's rank correlation; equal values share their rank.

    Args:
        a: some numbers.
        b: as many.

    Returns:
        a number in [-1, 1], or None where all of one side are equal.
    """
    of_a, of_b = _ranks(a), _ranks(b)
    if np.ptp(of_a) == 0 or np.ptp(of_b) == 0:
        return None
    return float(np.corrcoef(of_a, of_b)[0, 1])


def _ranks(values: Sequence[float]) -> npt.NDArray[np.float64]:
    _, place, counts = np.unique(np.asarray(values, dtype=float), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _check(correct: Sequence[Sequence[bool]]) -> None:
    if len(correct) == 0 or any(len(row) == 0 for row in correct):
        raise ConfigurationError(
            "There must be at least one question, and each must have at least one sample."
        )


def standardised(values: Sequence[float | None]) -> list[float]:
    """Values with mean 0 and deviation 1; one that is missing is average, and so are all where none differ."""
    known = [value for value in values if value is not None]
    spread = statistics.pstdev(known) if len(known) > 1 else 0.0
    mean = statistics.fmean(known) if known else 0.0
    return [0.0 if value is None or not spread else (value - mean) / spread for value in values]
