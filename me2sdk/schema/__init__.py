"""The values that go into and come out of me2sdk's verbs: frozen pydantic models.

All of them serialise with ``model_dump_json()`` and load back equal with ``model_validate_json()``.
"""

from __future__ import annotations

from me2sdk._choices import ChosenBy, Select
from me2sdk.schema.certainty import Certainty
from me2sdk.schema.judgements import Verification, Vote
from me2sdk.schema.question import (
    CleanText as CleanText,
    Message,
    Question,
    Value as Value,
    question_parts as question_parts,
    question_text as question_text,
)
from me2sdk.schema.results import Answer, BestOfNResult, Candidate, Failure, RerankResult, Scores
from me2sdk.schema.trace import Step, Trace
from me2sdk.schema.usage import Usage

__all__ = [
    "Answer",
    "BestOfNResult",
    "Candidate",
    "Certainty",
    "ChosenBy",
    "Failure",
    "Message",
    "Question",
    "RerankResult",
    "Scores",
    "Select",
    "Step",
    "Trace",
    "Usage",
    "Verification",
    "Vote",
]
