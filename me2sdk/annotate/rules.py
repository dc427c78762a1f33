"""Checking an annotation against the rules of the attachment pool (App. E)."""

from __future__ import annotations

from me2sdk.annotate.types import Annotation
from me2sdk.dag import AttachmentPool, DAGBuilder

__all__ = ["problem", "usable"]


def usable(annotation: Annotation | None, builder: DAGBuilder, pool: AttachmentPool) -> Annotation | None:
    """The annotation with the parents that the next step gets, or None if it is not valid.

    Of a backtrack that names several steps, the latest valid one is kept.
    """
    if annotation is None:
        return None
    parents = annotation.parents
    if annotation.action == "backtrack":
        parents = sorted(number for number in parents if number in pool.main_path[:-1])[-1:]
    valid = builder.valid(annotation.action, parents, pool)
    return None if valid is None else annotation._replace(parents=valid)


def problem(annotation: Annotation, pool: AttachmentPool) -> str:
    """Why an annotation is not valid, in words that help a model to correct it."""
    named = ", ".join(map(str, annotation.parents)) or "no id"
    if annotation.action == "backtrack":
        choice = ", ".join(map(str, pool.main_path[:-1])) or "there is none, so backtrack is impossible"
        return f"backtrack needs one step of the main path before its last one ({choice}); it named {named}"
    if annotation.action == "merge":
        leaves = ", ".join(map(str, pool.leaves)) or "there is none, so merge is impossible"
        path = ", ".join(map(str, pool.main_path))
        return (
            f"merge needs two or more steps: at least one branch end ({leaves}) and at most one step of the main "
            f"path ({path}); it named {named}"
        )
    return f"{annotation.action[:40]!r} is no action: say continue, backtrack or merge"
