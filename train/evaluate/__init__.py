"""Measuring scorers, judges and annotators: on preference pairs, on candidates (best-of-N), on annotated traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from me2sdk._lazy import lazy

if TYPE_CHECKING:
    from me2sdk.train.evaluate.best_of_n import (
        WITHIN as WITHIN,
        BestOfNReport as BestOfNReport,
        BestOfNRow as BestOfNRow,
        aevaluate_best_of_n as aevaluate_best_of_n,
        evaluate_best_of_n as evaluate_best_of_n,
    )
    from me2sdk.train.evaluate.calibration import Calibration as Calibration, ConfidenceBin as ConfidenceBin
    from me2sdk.train.evaluate.dag import (
        ActionScore as ActionScore,
        DagAnnotator as DagAnnotator,
        DagReport as DagReport,
        DagRow as DagRow,
        aevaluate_dag as aevaluate_dag,
        evaluate_dag as evaluate_dag,
    )
    from me2sdk.train.evaluate.estimates import Estimate as Estimate
    from me2sdk.train.evaluate.gold import read_gold as read_gold
    from me2sdk.train.evaluate.judges import PairJudge as PairJudge
    from me2sdk.train.evaluate.pairs import (
        JudgeSummary as JudgeSummary,
        PairsReport as PairsReport,
        PairsRow as PairsRow,
        aevaluate_pairs as aevaluate_pairs,
        evaluate_pairs as evaluate_pairs,
    )
    from me2sdk.train.evaluate.plot import plot_best_of_n as plot_best_of_n
    from me2sdk.train.evaluate.questions import (
        CandidateQuestion as CandidateQuestion,
        read_candidates as read_candidates,
    )
    from me2sdk.train.evaluate.reasoningflow import GoldTrace as GoldTrace
    from me2sdk.train.evaluate.scorers import EvaluationFailure as EvaluationFailure
    from me2sdk.train.evaluate.stopping import StoppingRow as StoppingRow

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "reasoningflow": ("GoldTrace",),
        "estimates": ("Estimate",),
        "best_of_n": (
            "BestOfNReport",
            "BestOfNRow",
            "WITHIN",
            "aevaluate_best_of_n",
            "evaluate_best_of_n",
        ),
        "calibration": (
            "Calibration",
            "ConfidenceBin",
        ),
        "dag": (
            "ActionScore",
            "DagAnnotator",
            "DagReport",
            "DagRow",
            "aevaluate_dag",
            "evaluate_dag",
        ),
        "gold": ("read_gold",),
        "judges": ("PairJudge",),
        "pairs": (
            "JudgeSummary",
            "PairsReport",
            "PairsRow",
            "aevaluate_pairs",
            "evaluate_pairs",
        ),
        "plot": ("plot_best_of_n",),
        "questions": (
            "CandidateQuestion",
            "read_candidates",
        ),
        "scorers": ("EvaluationFailure",),
        "stopping": ("StoppingRow",),
    },
)
