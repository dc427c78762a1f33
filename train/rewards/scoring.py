"""Scores of traces while a policy is trained: one that fails costs one trace, a scorer that is gone ends the run."""

from __future__ import annotations

import logging

from me2sdk.errors import ConfigurationError, InvalidTraceError, ScoringError
from me2sdk.sampling import ready
from me2sdk.schema import Message, Question, Scores, Trace
from me2sdk.scorers import Scorer, ask_scorer, open_scorer
from me2sdk.traces import refusal_of
from me2sdk.train.data import last_said

__all__ = ["FAILURES_IN_A_ROW", "TraceScores", "read_trace"]

FAILURES_IN_A_ROW = 50
"""So many scores failing one after another stop the training: the scorer is gone, not one trace odd."""

_log = logging.getLogger(__name__)


class TraceScores:
    """Scores traces in one call; what fails is tried once more, alone.

    Args:
        scorer: a `Scorer`, a name as `open_scorer` takes it, or None, which scores nothing.
        otherwise: what becomes of a trace that could not be scored, for the log.

    Attributes:
        failures: scores that failed twice, so far.
    """

    def __init__(self, scorer: str | Scorer | None, otherwise: str) -> None:
        self.failures = 0
        self._scorer = open_scorer(scorer) if isinstance(scorer, str) else scorer
        self._otherwise = otherwise
        self._in_a_row = 0

    async def of(self, traces: dict[int, Trace]) -> dict[int, float | None]:
        """Scores by index; None where scoring failed alone as well.

        Raises:
            ConfigurationError: a setting of the scorer cannot work.
            ScoringError: scoring has failed `FAILURES_IN_A_ROW` times without a success.
        """
        if self._scorer is None or not traces:
            return {}
        scorer = await ready(self._scorer, "best")
        try:
            scores = await _ask(scorer, list(traces.values()))
        except ConfigurationError:  # it fails for every trace alike
            raise
        except Exception as error:
            if len(traces) > 1:
                alone = [await self.of({i: trace}) for i, trace in traces.items()]
                return {i: score for part in alone for i, score in part.items()}
            return {next(iter(traces)): await self._again(scorer, next(iter(traces.values())), error)}
        self._in_a_row = 0
        return dict(zip(traces, scores, strict=True))

    async def _again(self, scorer: Scorer, trace: Trace, error: Exception) -> float | None:
        try:
            score = (await _ask(scorer, [trace]))[0]
        except Exception:
            self.failures += 1
            self._in_a_row += 1
            _log.warning(
                "A trace could not be scored and %s: %s: %s", self._otherwise, type(error).__name__, error
            )
            if self._in_a_row >= FAILURES_IN_A_ROW:
                raise ScoringError(
                    f"The last {self._in_a_row} scores failed, so the scorer is not there: {error} Mend it and go on "
                    "from the last checkpoint."
                ) from error
            return None
        self._in_a_row = 0
        return score


def read_trace(item: str | Trace | Message | list[Message], question: Question | None) -> Trace | None:
    """A completion as a trace, or None where it is empty or a refusal."""
    item = last_said(item)
    if not isinstance(item, str | Trace) and refusal_of(item) is not None:
        return None
    try:
        if not isinstance(item, Trace):
            item = Trace.from_text(item) if isinstance(item, str) else Trace.from_message(item)
    except InvalidTraceError:
        return None
    return item.model_copy(update={"question": question}) if item.reasoning.strip() else None


async def _ask(scorer: Scorer, traces: list[Trace]) -> Scores:
    return await ask_scorer(scorer, [trace.question or "" for trace in traces], traces)
