"""What `parse_dag` is given: the steps of one trace or of several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from me2sdk.errors import InvalidTraceError
from me2sdk.schema import Question, Step, Trace
from me2sdk.steps import split_steps
from me2sdk.traces import clean

__all__ = ["Job", "ManyTraces", "OneTrace", "holds_traces", "read_job"]

OneTrace = Trace | str | list[str] | list[Step]
ManyTraces = list[Trace] | list[list[str]] | list[list[Step]]


class Job(NamedTuple):
    """A trace to annotate."""

    place: int
    steps: list[Step]
    question: Question | None


def holds_traces(items: Sequence[Any]) -> bool:
    """Whether a list holds several traces, rather than the steps of one.

    Raises:
        InvalidTraceError: it holds both, or something else.
    """
    kinds = {
        "steps"
        if isinstance(item, (str, Step))
        else "traces"
        if isinstance(item, (Trace, list, tuple))
        else ""
        for item in items
    }
    if len(kinds) > 1 or "" in kinds:
        raise InvalidTraceError(
            "A list is either the steps of one trace (texts or Steps), or several traces (Trace objects, or lists of "
            "steps); not both, and nothing else. Make a Trace of a text with Trace.from_text."
        )
    return kinds == {"traces"}


def read_job(
    index: int, item: Any, question: Question | None, prefixes: str | Iterable[str] | Path, many: bool
) -> Job:
    """The steps of one trace.

    Args:
        index: its place among several.
        item: a trace, a text, or a list of steps.
        question: what was asked; None for the trace's own question.
        prefixes: as for `split_steps`.
        many: whether there are several traces, for the message of the error.

    Raises:
        InvalidTraceError: it is no trace, or it is empty.
    """
    if isinstance(item, str):
        item = Trace.from_text(item)
    if isinstance(item, Trace):
        steps = split_steps(item, prefixes)
        question = question if question is not None else item.question
    elif isinstance(item, (list, tuple)) and all(isinstance(part, (str, Step)) for part in item):
        last = len(item) - 1
        steps = [
            Step(clean(part.text), clean(part.separator))
            if isinstance(part, Step)
            else Step(clean(part), "" if place == last else "\n\n")
            for place, part in enumerate(item)
        ]
    else:
        raise InvalidTraceError(
            f"parse_dag takes a Trace, a text or a list of steps, not {type(item).__name__}."
        )
    if not any(step.text.strip() for step in steps):
        which = f"Trace {index}" if many else "The trace"
        raise InvalidTraceError(f"{which} is empty: it has no step that could be annotated.")
    return Job(index, steps, question)
