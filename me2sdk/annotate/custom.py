"""Annotating a trace with an `Annotator`: the local one, or one that the caller brings."""

from __future__ import annotations

import asyncio
import inspect
import operator
from collections.abc import Sequence
from typing import Any

from me2sdk.annotate.local import LocalAnnotator
from me2sdk.annotate.rules import problem, usable
from me2sdk.annotate.types import Annotation, Annotator, Limits, Told
from me2sdk.dag import AnnotationError, AttachmentPool, DAGBuilder, DAGNode, ReasoningDAG
from me2sdk.errors import ConfigurationError, ME2Error
from me2sdk.schema import Question, Step
from me2sdk.traces import clean

__all__ = ["annotate_with"]

_BREATH = 64  # steps of the local annotator (some 5 ms) between two chances for others on the event loop


async def annotate_with(
    annotator: Annotator, steps: Sequence[Step], *, question: Question | None, limits: Limits, told: Told
) -> ReasoningDAG:
    """Attach every step as ``annotator`` says.

    What it says against the rules, and what it raises of this package's errors, is recorded, and the step continues
    the main path.

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
                answer = await _ask(annotator, step, pool, builder.nodes)
                said = _read(answer)
                chosen = usable(said, builder, pool)
                message = problem(said, pool) if said else f"{type(answer).__name__} is no Annotation"
            except ConfigurationError:
                raise
            except ME2Error as error:
                chosen, message = None, str(error)
            if chosen is None:
                errors.append(AnnotationError(step=number, message=clean(message)[:1000]))
        action, parents, explanation = chosen or Annotation("continue")
        await told(builder.add(step, action, parents, explanation))
    name = str(getattr(annotator, "name", type(annotator).__name__))
    return builder.build(question=question, annotator=name, errors=errors)


async def _ask(annotator: Annotator, step: Step, pool: AttachmentPool, nodes: Sequence[DAGNode]) -> Any:
    if isinstance(annotator, LocalAnnotator):  # too quick for a thread to pay
        if len(nodes) % _BREATH == 0:
            await asyncio.sleep(0)
        return annotator.annotate(step, pool, nodes)
    if inspect.iscoroutinefunction(annotator.annotate):
        return await annotator.annotate(step, pool, nodes)
    said = await asyncio.to_thread(annotator.annotate, step, pool, nodes)
    return await said if inspect.isawaitable(said) else said


def _read(said: Any) -> Annotation | None:
    """What an annotator returned, as an `Annotation` of the right types; None if it cannot be read as one."""
    if not isinstance(said, (tuple, list)) or not 1 <= len(said) <= 3 or not isinstance(said[0], str):
        return None
    rest = list(said)[1:] + [None, None]
    parents, explanation = rest[:2]
    try:
        ids = tuple(operator.index(number) for number in parents or ())
    except TypeError:
        return None
    return Annotation(said[0], ids, clean(explanation) if isinstance(explanation, str) else None)
