"""The baselines that a scorer has to beat: shortest, longest and random."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from me2sdk.schema import Trace
from me2sdk.scorers.base import Questions, read_inputs
from me2sdk.scorers.text import prompt_text, trace_text

__all__ = ["BASELINES", "LengthScorer", "RandomScorer"]

BASELINES = ("shortest", "longest", "random")


class LengthScorer:
    """Prefers short traces, or long ones: the baseline "shortest" or "longest". Lengths are counted in characters."""

    def __init__(self, name: Literal["shortest", "longest"]) -> None:
        self.name = name

    def score(self, question: Questions, traces: Sequence[Trace | str]) -> list[float]:
        """The length of each trace, negative for "shortest"."""
        sign = -1.0 if self.name == "shortest" else 1.0
        return [sign * len(trace_text(trace)) for _, trace in read_inputs(question, traces)]


class RandomScorer:
    """Scores by a hash of question and trace: the baseline "random". The same trace always gets the same score.

    Args:
        seed: another seed, other scores.
    """

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def score(self, question: Questions, traces: Sequence[Trace | str]) -> list[float]:
        """A number in [0, 1) for each trace."""
        return [
            int.from_bytes(
                hashlib.sha256(f"{self.seed}\0{prompt_text(q)}\0{trace_text(t)}".encode()).digest()[:6]
            )
            / 2**48
            for q, t in read_inputs(question, traces)
        ]
