"""Are two answers the same? By their canonical forms, by mathematics, and where that fails by asking a model."""

from __future__ import annotations

from me2sdk.verify.grouping import agroup_answers, group_answers
from me2sdk.verify.model_verifier import (
    LENGTH_FACTOR,
    LENGTH_SLACK,
    averify_answer,
    read_yes_or_no,
    verify_answer,
)
from me2sdk.verify.normalize import normalize_answer

__all__ = [
    "LENGTH_FACTOR",
    "LENGTH_SLACK",
    "agroup_answers",
    "averify_answer",
    "group_answers",
    "normalize_answer",
    "read_yes_or_no",
    "verify_answer",
]
