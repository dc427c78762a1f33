"""Judging: which of two traces is reasoned better, which of several is the best, and a judge as scorer."""

from __future__ import annotations

from me2sdk.judge.pair import ajudge_pair, judge_pair
from me2sdk.judge.prompts import prompt_versions as prompt_versions
from me2sdk.judge.ranking import arank_traces, rank_traces
from me2sdk.judge.report import compare_html
from me2sdk.judge.scorer import JudgeScorer
from me2sdk.judge.tournament import expected_comparisons as expected_comparisons
from me2sdk.judge.verdicts import Comparison, DimensionVerdict, PairFailure, PairVerdict, Preference, Ranking

__all__ = [
    "Comparison",
    "DimensionVerdict",
    "JudgeScorer",
    "PairFailure",
    "PairVerdict",
    "Preference",
    "Ranking",
    "ajudge_pair",
    "arank_traces",
    "compare_html",
    "judge_pair",
    "rank_traces",
]
