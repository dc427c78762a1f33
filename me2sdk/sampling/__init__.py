"""From a question to the best of several answers: sample or take them, score them, choose, and say how sure that is.

Names that are imported as themselves are for other rooms; the public ones are in ``__all__``.
"""

from __future__ import annotations

from typing import Any

from me2sdk.sampling.agreement import FEATURES as FEATURES
from me2sdk.sampling.answers import (
    AnswerGroups as AnswerGroups,
    AnswerKey as AnswerKey,
    answer_reader as answer_reader,
)
from me2sdk.sampling.candidates import read_candidate as read_candidate, sample as sample
from me2sdk.sampling.confidence import ConfidenceModel as ConfidenceModel
from me2sdk.sampling.decision import (
    Decision as Decision,
    ballot_of as ballot_of,
    decide as decide,
    evidence as evidence,
    leaders_first as leaders_first,
)
from me2sdk.sampling.drop_in import acompletion, completion
from me2sdk.sampling.escalation import (
    Escalate,
    escalation as escalation,
    open_stronger as open_stronger,
)
from me2sdk.sampling.many import (
    OnResult as OnResult,
    abest_of_n_many,
    answer_each as answer_each,
    best_of_n_many,
)
from me2sdk.sampling.outcomes import BestOfNManyResult, ManySummary, Outcome as Outcome, QuestionFailure
from me2sdk.sampling.select import SelectionConfig as SelectionConfig
from me2sdk.sampling.stopping import (
    Stop,
    Tally as Tally,
    chance_to_stay as chance_to_stay,
    next_wave as next_wave,
    split_stop as split_stop,
    tally as tally,
)
from me2sdk.sampling.verbs import abest_of_n, arerank, best_of_n, rerank
from me2sdk.schema import RerankResult

__all__ = [
    "AnswerKey",
    "BestOfNManyResult",
    "Escalate",
    "ManySummary",
    "QuestionFailure",
    "Stop",
    "abest_of_n",
    "abest_of_n_many",
    "acompletion",
    "arerank",
    "best_of_n",
    "best_of_n_many",
    "completion",
    "rerank",
]


def result_html(result: RerankResult, title: str | None = None, scorer: Any = None) -> str:
    """A result as a page, as `RerankResult.to_html` explains. What pages need is imported with the first of them."""
    from me2sdk.sampling.report import write_page

    return write_page(result, title, scorer)
