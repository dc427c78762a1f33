"""A linear Bradley-Terry model (paper §5.1) whose weights have the sign that their feature calls for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from me2sdk.errors import ConfigurationError
from me2sdk.scorers.mini.features import FEATURES
from me2sdk.scorers.mini.relative import RELATIVE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["MERITS", "solve"]

MERITS = frozenset({"equations", "asked_for_last", "question_words", "answer_stated"})
MERITS |= {name for name in RELATIVE if name.startswith("shared")}
"""The features of which more is better. All others count faults and may only lower the reward."""


def solve(
    differences: Floats,
    weights: Floats,
    penalty: float,
    names: Sequence[str] = tuple(FEATURES),
    given: Floats | float = 0.0,
) -> Floats:
    """The ridge Bradley-Terry weights under the sign constraints, for differences (better minus worse) of the features
    ``names``, on top of the differences of rewards that are given."""
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise ConfigurationError("Fitting needs scipy. Run: pip install scipy") from None

    share = weights / weights.sum()

    def loss(theta: Floats) -> tuple[float, Floats]:
        margins = differences @ theta + given
        value = share @ np.logaddexp(0.0, -margins) + penalty * theta @ theta
        slope = -(share / (1.0 + np.exp(margins))) @ differences + 2.0 * penalty * theta
        return float(value), slope

    bounds = [(0.0, None) if name in MERITS else (None, 0.0) for name in names]
    start = np.zeros(len(names))
    solution: Floats = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return solution
