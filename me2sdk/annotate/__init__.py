"""Turning traces into DAGs: `parse_dag` and the annotators that say how each step is attached."""

from me2sdk.annotate._local import LocalAnnotator
from me2sdk.annotate._parse import BatchAnnotationError, aparse_dag, parse_dag
from me2sdk.annotate._types import Annotation, Annotator

__all__ = [
    "Annotation",
    "Annotator",
    "BatchAnnotationError",
    "LocalAnnotator",
    "aparse_dag",
    "parse_dag",
]

for _public in (Annotation, Annotator, BatchAnnotationError, LocalAnnotator, aparse_dag, parse_dag):
    _public.__module__ = __name__
del _public
