"""What a scorer is, and how its arguments are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.schema import Question, Trace
from me2sdk.scorers._text import trace_text

__all__ = ["Questions", "Scorer", "read_inputs"]

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
