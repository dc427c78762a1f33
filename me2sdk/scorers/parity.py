"""Whether two scorers say the same: another precision, another batch size, a server instead of this machine."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from importlib import resources
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from me2sdk._sync import run_sync
from me2sdk.errors import InvalidTraceError
from me2sdk.schema import Question
from me2sdk.scorers.base import Scorer, alone_scorer, ask_scorer, scorer_name
from me2sdk.stats import rank_correlation

__all__ = ["ParityReport", "Probe", "acompare_scorers", "compare_scorers", "read_probes"]


class Probe(NamedTuple):
    """A question, and traces of it to compare scorers on."""

    question: Question | None
    traces: Sequence[str]


class ParityReport(BaseModel):
    """How two scorers compare on the same traces.

    Attributes:
        names: of the two scorers.
        tolerance: largest difference of two scores that counts as none.
        scores: what the first and the second say of each trace, in order.
        groups: for each trace, which question it belongs to, from 0.
        largest_difference: of two scores of one trace.
        mean_difference: mean of the absolute differences.
        rank_correlation: Spearman's, over all traces; None where one scorer gives all the same score.
        pairs: pairs of traces of one question that the first scorer tells apart by more than ``tolerance``.
        flipped: how many of these the second puts the other way round, or no longer tells apart.
        verdict: "same" (no difference beyond ``tolerance``), "same order" (no pair flipped, so a best-of-n
            chooses alike), or "different".
        note: what a difference looks like, where that can be told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[str, str]
    tolerance: float
    scores: tuple[tuple[float, float], ...]
    groups: tuple[int, ...]
    largest_difference: float
    mean_difference: float
    rank_correlation: float | None
    pairs: int
    flipped: int
    verdict: Literal["same", "same order", "different"]
    note: str | None = None

    def __str__(self) -> str:
        order = "" if self.rank_correlation is None else f", rank correlation {self.rank_correlation:.4f}"
        return (
            f"{self.names[0]} and {self.names[1]}: {self.verdict}. Over {len(self.scores)} traces the largest "
            f"difference is {self.largest_difference:.2g} (mean {self.mean_difference:.2g}){order}; {self.flipped} of "
            f"{self.pairs} pairs of one question changed their order."
            + (f" {self.note}" if self.note else "")
        )


def read_probes(lines: Sequence[str] | None = None) -> list[Probe]:
    """Traces to compare scorers on.

    Args:
        lines: JSON objects with ``question`` and ``traces`` (a list of texts), one a line; None takes the twenty
            traces of five questions that ship with me2sdk.

    Raises:
        InvalidTraceError: a line is not of this form; the message says which.

    Example:
        ```python
        from me2sdk.scorers.parity import read_probes

        print(read_probes()[0].question is not None)  # True
        ```
    """
    if lines is None:
        lines = resources.files("me2sdk").joinpath("data/parity.jsonl").read_text("utf-8").splitlines()
    probes = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            traces = record["traces"]
            if not isinstance(traces, list) or not traces or not all(isinstance(t, str) for t in traces):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise InvalidTraceError(
                f'Line {number} is not of the form {{"question": "…", "traces": ["…", "…"]}}.'
            ) from None
        probes.append(Probe(record.get("question"), traces))
    if not probes:
        raise InvalidTraceError("There are no traces to compare the scorers on.")
    return probes


async def acompare_scorers(
    first: Scorer, second: Scorer, probes: Sequence[Probe] | None = None, *, tolerance: float = 0.01
) -> ParityReport:
    """`compare_scorers` with ``await``.

    Example:
        ```python
        import asyncio
        from me2sdk.scorers import open_scorer
        from me2sdk.scorers.parity import acompare_scorers

        report = asyncio.run(acompare_scorers(open_scorer("mini"), open_scorer("shortest")))
        print(report.verdict)  # different
        ```
    """
    probes = read_probes() if probes is None else probes
    ours, theirs = await _scores(first, probes), await _scores(second, probes)
    groups = [number for number, probe in enumerate(probes) for _ in probe.traces]
    gaps = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    told_apart = [
        (i, j)
        for i, j in itertools.combinations(range(len(groups)), 2)
        if groups[i] == groups[j] and abs(ours[i] - ours[j]) > tolerance
    ]
    flipped = sum((ours[i] - ours[j]) * (theirs[i] - theirs[j]) <= 0 for i, j in told_apart)
    same = max(gaps) <= tolerance
    return ParityReport(
        names=(scorer_name(first), scorer_name(second)),
        tolerance=tolerance,
        scores=tuple(zip(ours, theirs, strict=True)),
        groups=tuple(groups),
        largest_difference=max(gaps),
        mean_difference=math.fsum(gaps) / len(gaps),
        rank_correlation=rank_correlation(ours, theirs),
        pairs=len(told_apart),
        flipped=flipped,
        verdict="same" if same else "different" if flipped else "same order",
        note=None if same else _note(ours, theirs, tolerance),
    )


def compare_scorers(
    first: Scorer, second: Scorer, probes: Sequence[Probe] | None = None, *, tolerance: float = 0.01
) -> ParityReport:
    """Score the same traces with two scorers and compare what they say.

    Args:
        first: the scorer to go by.
        second: the one to be judged: another precision, a server, other batches.
        probes: questions with traces, from `read_probes`; None takes the bundled ones.
        tolerance: largest difference of two scores that counts as none. In float32 1e-4 can be asked for, bfloat16
            differs by some hundredths.

    Returns:
        the report; ``str(report)`` is a sentence.

    Raises:
        ScoringError: a scorer failed, or gave something else than one finite score per trace.

    Example:
        ```python
        from me2sdk.scorers import open_scorer
        from me2sdk.scorers.parity import compare_scorers

        report = compare_scorers(open_scorer("mini"), open_scorer("mini"))
        print(report.verdict)  # same
        ```
    """
    return run_sync(acompare_scorers(first, second, probes, tolerance=tolerance))


async def _scores(scorer: Scorer, probes: Sequence[Probe]) -> list[float]:
    questions = [probe.question for probe in probes for _ in probe.traces]
    traces = [trace for probe in probes for trace in probe.traces]
    return list(await ask_scorer(alone_scorer(scorer), questions, traces))


def _note(ours: Sequence[float], theirs: Sequence[float], tolerance: float) -> str | None:
    if max(theirs) - min(theirs) <= 1e-9 < max(ours) - min(ours):
        return "The second gives every trace the same score: it may apply a softmax, or have lost its score head."
    squashed = [0.5 * (1 + math.tanh(value / 2)) for value in ours]
    if all(abs(a - b) <= tolerance for a, b in zip(squashed, theirs, strict=True)):
        return "The second's scores are the sigmoid of the first's: it applies an activation."
    return None
