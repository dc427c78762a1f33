"""Scores of traces while a policy is trained: one that fails costs one trace, a scorer that is gone ends the run."""

from __future__ import annotations

import logging

from me2sdk.errors import ConfigurationError, InvalidTraceError, ScoringError
from me2sdk.schema import Message, Question, Trace
from me2sdk.scorers import FailureLimit, Scorer, alone_scorer, load_scorer, open_scorer, score_each
from me2sdk.traces import refusal_of
from me2sdk.train.data import last_said

__all__ = ["FAILURES_IN_A_ROW", "TraceScores", "read_trace"]

FAILURES_IN_A_ROW = 50
"""So many traces that cannot be scored, one after another, stop the training: the scorer is gone."""

_log = logging.getLogger(__name__)


class TraceScores:
    """Scores traces in one call; what fails is tried once more, alone.

    A reward must not depend on what else the policy wrote, or the policy is paid for writing the same again and again:
    a scorer that compares traces is asked for the rewards that they have alone, where it can give these.

    Args:
        scorer: a `Scorer`, a name as `open_scorer` takes it, or None, which scores nothing.
        otherwise: what becomes of a trace that could not be scored, for the log.

    Attributes:
        failures: traces that could not be scored, so far.

    Raises:
        ConfigurationError: there is no such scorer.
    """

    def __init__(self, scorer: str | Scorer | None, otherwise: str) -> None:
        self.failures = 0
        self._scorer = None if scorer is None else alone_scorer(open_scorer(scorer))
        self._otherwise = otherwise
        self._limit = FailureLimit(FAILURES_IN_A_ROW)

    async def of(self, traces: dict[int, Trace]) -> dict[int, float | None]:
        """Scores by index; None where scoring failed alone as well.

        Raises:
            ConfigurationError: a setting of the scorer cannot work.
            ScoringError: `FAILURES_IN_A_ROW` traces could not be scored, one after another.
        """
        if self._scorer is None or not traces:
            return {}
        # After the limit was reached, one more failure reaches it again, and a success goes on.
        self._limit.in_a_row = min(self._limit.in_a_row, FAILURES_IN_A_ROW - 1)
        scored = await score_each(
            await load_scorer(self._scorer),
            [trace.question or "" for trace in traces.values()],
            list(traces.values()),
            tries=2,
            limit=self._limit,
            fatal=(ConfigurationError,),
        )
        errors = [one.error for one in scored if one.error is not None]
        self.failures += len(errors)
        for error in errors:
            _log.warning(
                "A trace could not be scored and %s: %s: %s", self._otherwise, type(error).__name__, error
            )
        if self._limit.reached:
            raise ScoringError(
                f"The last {self._limit.in_a_row} traces could not be scored, so the scorer is not there: {errors[0]} "
                "Repair it and go on from the last checkpoint."
            ) from errors[0]
        return dict(zip(traces, (one.score for one in scored), strict=True))


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
