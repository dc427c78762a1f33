"""A model that annotates by a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from me2sdk.annotate import Annotate, Annotation, write_annotations
from me2sdk.dag import AttachmentPool, DAGNode
from me2sdk.prompts import read_filled
from me2sdk.schema import Step
from me2sdk.testing import FakeModel

Script = Mapping[int, str | list[str]]


def asked(prompt: str) -> list[int]:
    """The steps that a prompt asks about."""
    filled = read_filled(prompt)
    assert filled is not None, prompt
    return list(filled.new_steps)


def _annotation(decision: str) -> Annotation:
    action, _, parents = decision.partition(" ")
    return Annotation(action, [int(one) for one in parents.split(",") if one], "Because.")


def said(decision: str) -> str:
    """``"backtrack 0"`` in the wire format."""
    return write_annotations({0: _annotation(decision)})


def by_script(script: Script) -> Annotate:
    """For each step what the script holds, in turn where that is a list; else continue."""

    def annotate(step: Step, pool: AttachmentPool, nodes: Sequence[DAGNode]) -> Annotation:
        planned = script.get(len(nodes), "continue")
        if isinstance(planned, list):
            planned = planned.pop(0) if len(planned) > 1 else planned[0]
        return _annotation(planned)

    return annotate


def scripted(script: Script | None = None) -> FakeModel:
    """A model that annotates by a script."""
    return FakeModel(annotate=by_script(script or {}))
