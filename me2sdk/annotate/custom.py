"""Annotating a trace with an `Annotator`: the local one, or the caller's own."""

from __future__ import annotations

import asyncio
import inspect
import operator
from collections.abc import Sequence
from typing import Any

from me2sdk.annotate.local import LocalAnnotator
from me2sdk.annotate.rules import problem, usable
from me2sdk.annotate.types import Annotation, Annotator, Limits, OnNode
from me2sdk.dag import AnnotationError, AttachmentPool, DAGBuilder, DAGNode, ReasoningDAG
from me2sdk.errors import ConfigurationError, ME2Error
from me2sdk.schema import Question, Step
from me2sdk.traces import clean

__all__ = ["annotate_with"]

_YIELD_EVERY = (
    64  # steps of the local annotator (about 5 ms) after which other tasks of the event loop may run
)


async def annotate_with(
    annotator: Annotator, steps: Sequence[Step], *, question: Question | None, limits: Limits, on_node: OnNode
) -> ReasoningDAG:
    """Attach every step as ``annotator`` says.

    An annotation that breaks the rules, and an error of this package that the annotator raises, are recorded; the
    step then continues the main path.

    Args:
        annotator: the annotator.
        steps: the steps of the trace.
        question: what was asked; kept with the DAG.
        limits: which nodes the annotator is offered.
        on_node: called with each node as it is attached.

    Raises:
        ConfigurationError: the annotator cannot work.
    """
    builder = DAGBuilder()
    errors: list[AnnotationError] = []
    for number, step in enumerate(steps):
        chosen: Annotation | None = Annotation("continue")
        if number > 1:  # the second step can be attached to the first alone
            pool = builder.pool(limits.max_main, limits.max_leaves)
            try:
                answer = await _call(annotator, step, pool, builder.nodes)
                annotation = _read(answer)
                chosen = usable(annotation, builder, pool)
                message = (
                    problem(annotation, pool)
                    if annotation
                    else f"{type(answer).__name__} is not an Annotation"
                )
            except ConfigurationError:
                raise
            except ME2Error as error:
                chosen, message = None, str(error)
            if chosen is None:
                errors.append(AnnotationError(step=number, message=clean(message)[:1000]))
        action, parents, explanation = chosen or Annotation("continue")
        await on_node(builder.add(step, action, parents, explanation))
    name = str(getattr(annotator, "name", type(annotator).__name__))
    return builder.build(question=question, annotator=name, errors=errors)


async def _call(annotator: Annotator, step: Step, pool: AttachmentPool, nodes: Sequence[DAGNode]) -> Any:
    if isinstance(annotator, LocalAnnotator):  # faster than handing it to a thread
        if len(nodes) % _YIELD_EVERY == 0:
            await asyncio.sleep(0)
        return annotator.annotate(step, pool, nodes)
    if inspect.iscoroutinefunction(annotator.annotate):
        return await annotator.annotate(step, pool, nodes)
    answer = await asyncio.to_thread(annotator.annotate, step, pool, nodes)
    return await answer if inspect.isawaitable(answer) else answer


def _read(answer: Any) -> Annotation | None:
    """What an annotator returned, as an `Annotation` of the right types; None if it cannot be read as one."""
    if not isinstance(answer, (tuple, list)) or not 1 <= len(answer) <= 3 or not isinstance(answer[0], str):
        return None
    rest = list(answer)[1:] + [None, None]
    parents, explanation = rest[:2]
    try:
        ids = tuple(operator.index(number) for number in parents or ())
    except TypeError:
        return None
    return Annotation(answer[0], ids, clean(explanation) if isinstance(explanation, str) else None)
