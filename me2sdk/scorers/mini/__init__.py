"""The bundled scorer: a linear model over features of a trace, without torch."""

from __future__ import annotations

from me2sdk.scorers.mini.arithmetic import read_equations
from me2sdk.scorers.mini.reading import content_words
from me2sdk.scorers.mini.scorer import MiniScorer

__all__ = [
    "MiniScorer",
    "content_words",
    "read_equations",
]
