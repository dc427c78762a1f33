"""What a scorer is, and how its arguments are read."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from me2sdk.errors import ConfigurationError, InvalidTraceError, ScoringError
from me2sdk.schema import Question, Scores, Trace
from me2sdk.scorers.text import trace_text

__all__ = ["Questions", "Scorer", "ask_scorer", "read_inputs", "scorer_name"]

Questions = Question | Sequence[Question | None] | None


@runtime_checkable
class Scorer(Protocol):
    """Anything that gives each trace a number.

    Where it also has a coroutine ``ascore`` of the same form, asynchronous callers await that.
    """

    def score(self, question: Questions, traces: Sequence[Trace | str]) -> list[float]:
        """Score traces.

        Args:
            question: what was asked: a string, a list of chat messages, None, or a list with one of these a
                trace.
            traces: the traces; a string is read with `Trace.from_text`.

        Returns:
            one finite number a trace, in the same order; higher is better.
        """
        ...


def scorer_name(scorer: Scorer) -> str:
    """What results call a scorer."""
    return str(getattr(scorer, "name", type(scorer).__name__))


async def ask_scorer(scorer: Scorer, question: Questions, traces: Sequence[Trace | str]) -> Scores:
    """Ask any scorer, in a thread where it has no coroutine, and check what it says.

    Raises:
        ScoringError: it gave something else than one finite number a trace.
        Exception: whatever the scorer raises.
    """
    ascore = getattr(scorer, "ascore", None)
    if ascore is not None:
        given = await ascore(question, traces)
    else:
        given = await asyncio.to_thread(scorer.score, "" if question is None else question, traces)
    values = [float(value) for value in given]
    if len(values) != len(traces) or not all(map(math.isfinite, values)):
        raise ScoringError(
            f"{scorer_name(scorer)} must return one finite number a trace, {len(traces)} in all; it gave {values[:10]}."
        )
    return Scores(values, getattr(given, "truncated", None))


def read_inputs(question: Questions, traces: Sequence[Trace | str]) -> list[tuple[Question | None, Trace]]:
    """Pair every trace with its question.

    A list of dicts is one question (chat messages); any other list holds one question a trace. Where no
    question is given, the one that the trace carries is used.

    Raises:
        ConfigurationError: ``traces`` is no list, or the number of questions is not that of the traces.
        InvalidTraceError: something in ``traces`` is no trace, or has no reasoning; the message says which.
    """
    if isinstance(traces, str | Trace):
        raise ConfigurationError("score takes a list of traces. For a single one pass [trace].")
    read = [_read_trace(trace, index) for index, trace in enumerate(traces)]
    return [
        (trace.question if asked is None else asked, trace)
        for asked, trace in zip(_read_questions(question, len(read)), read, strict=True)
    ]


def _read_questions(question: Any, count: int) -> list[Question | None]:
    if question is None or isinstance(question, str):
        return [question] * count
    if isinstance(question, Sequence):
        items = list(question)
        if items and all(isinstance(item, dict) for item in items):
            if not all("role" in item for item in items):
                raise ConfigurationError(
                    'Every chat message of a question needs a "role", as in {"role": "user", "content": "…"}.'
                )
            return [items] * count
        if all(item is None or isinstance(item, str | list) for item in items):
            if len(items) != count:
                raise ConfigurationError(
                    f"There are {len(items)} questions for {count} traces. Pass one question for all, "
                    "or a list with one a trace."
                )
            return items
    raise ConfigurationError(
        f"A question is a string, a list of chat messages, or a list with one of these a trace, "
        f"not {type(question).__name__} of other things."
    )


def _read_trace(trace: object, index: int) -> Trace:
    if isinstance(trace, str):
        trace = Trace.from_text(trace)
    if not isinstance(trace, Trace):
        raise InvalidTraceError(f"Trace {index} is a {type(trace).__name__}. Pass a Trace or its text.")
    if not trace_text(trace):
        raise InvalidTraceError(
            f"Trace {index} has no reasoning, so there is nothing to score. Leave it out."
        )
    return trace
