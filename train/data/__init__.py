"""Preference pairs and their files."""

from __future__ import annotations

from me2sdk.train.data.completions import as_reference, last_said
from me2sdk.train.data.preferences import (
    Preference,
    question_key,
    read_preferences,
    split_by_question,
    write_preferences,
)
from me2sdk.train.data.records import read_records

__all__ = [
    "Preference",
    "as_reference",
    "last_said",
    "question_key",
    "read_preferences",
    "read_records",
    "split_by_question",
    "write_preferences",
]
