"""Are two answers the same? By their canonical forms, by mathematics, and where that fails by asking a model."""

from __future__ import annotations

from me2sdk.verify.grouping import agroup_answers, group_answers
from me2sdk.verify.model_verifier import (
    LENGTH_FACTOR as LENGTH_FACTOR,
    LENGTH_SLACK as LENGTH_SLACK,
    averify_answer,
    read_yes_or_no as read_yes_or_no,
    verify_answer,
)
from me2sdk.verify.normalize import normalize_answer as normalize_answer

__all__ = [
    "agroup_answers",
    "averify_answer",
    "group_answers",
    "verify_answer",
]
