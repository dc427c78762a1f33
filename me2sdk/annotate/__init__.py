"""Turning traces into DAGs: `parse_dag` and the annotators that say how each step is attached."""

from __future__ import annotations

from me2sdk.annotate.local import LocalAnnotator
from me2sdk.annotate.parse import aparse_dag, parse_dag
from me2sdk.annotate.prompt import prompt_name as prompt_name
from me2sdk.annotate.simulate import (
    Annotate as Annotate,
    annotate_shown as annotate_shown,
    write_annotations as write_annotations,
)
from me2sdk.annotate.types import Annotation, Annotator

__all__ = [
    "Annotation",
    "Annotator",
    "LocalAnnotator",
    "aparse_dag",
    "parse_dag",
]

for _public in (Annotation, Annotator, LocalAnnotator, aparse_dag, parse_dag):
    _public.__module__ = __name__
del _public
