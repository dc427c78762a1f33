"""The bundled scorer: a linear model over features of a trace, without torch."""

from __future__ import annotations

from me2sdk.scorers.mini.arithmetic import read_units
from me2sdk.scorers.mini.question import content_stems
from me2sdk.scorers.mini.scorer import MiniScorer

__all__ = [
    "MiniScorer",
    "content_stems",
    "read_units",
]
