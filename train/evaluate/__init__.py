"""Measuring scorers, judges and annotators: on preference pairs, on candidates (best-of-N), on annotated traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from me2sdk._lazy import lazy

if TYPE_CHECKING:
    from me2sdk.train.evaluate.bon import (
        WITHIN as WITHIN,
        BonReport as BonReport,
        aevaluate_bon as aevaluate_bon,
        evaluate_bon as evaluate_bon,
    )
    from me2sdk.train.evaluate.dag import (
        DagAnnotator as DagAnnotator,
        DagReport as DagReport,
        aevaluate_dag as aevaluate_dag,
        evaluate_dag as evaluate_dag,
    )
    from me2sdk.train.evaluate.gold import read_gold as read_gold
    from me2sdk.train.evaluate.judges import PairJudge as PairJudge
    from me2sdk.train.evaluate.pairs import (
        PairsReport as PairsReport,
        aevaluate_pairs as aevaluate_pairs,
        evaluate_pairs as evaluate_pairs,
    )
    from me2sdk.train.evaluate.plot import plot_bon as plot_bon
    from me2sdk.train.evaluate.questions import (
        CandidateQuestion as CandidateQuestion,
        read_candidates as read_candidates,
    )
    from me2sdk.train.evaluate.scorers import EvaluationFailure as EvaluationFailure, Progress as Progress

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "bon": (
            "BonReport",
            "WITHIN",
            "aevaluate_bon",
            "evaluate_bon",
        ),
        "dag": (
            "DagAnnotator",
            "DagReport",
            "aevaluate_dag",
            "evaluate_dag",
        ),
        "gold": ("read_gold",),
        "judges": ("PairJudge",),
        "pairs": (
            "PairsReport",
            "aevaluate_pairs",
            "evaluate_pairs",
        ),
        "plot": ("plot_bon",),
        "questions": (
            "CandidateQuestion",
            "read_candidates",
        ),
        "scorers": (
            "EvaluationFailure",
            "Progress",
        ),
    },
)
