"""me2sdk: sample several answers of an LLM, return the one that was reasoned best.

Names load when they are first used, so that ``import me2sdk`` is quick and loads neither torch nor litellm.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from me2sdk._completion import acompletion, completion
    from me2sdk._estimate import CostEstimate, estimate_cost
    from me2sdk._html import compare_html
    from me2sdk._judge import ajudge_pair, judge_pair
    from me2sdk._ranking import arank_traces, rank_traces
    from me2sdk._rerank import abest_of_n, arerank, best_of_n, rerank
    from me2sdk.annotate import Annotation, Annotator, LocalAnnotator, aparse_dag, parse_dag
    from me2sdk.dag import ReasoningDAG
    from me2sdk.errors import (
        BudgetExceeded,
        ConfigurationError,
        GenerationError,
        InvalidTraceError,
        JudgeError,
        ME2Error,
        ScoringError,
    )
    from me2sdk.llm import LLM, Budget
    from me2sdk.schema import (
        BestOfNResult,
        Candidate,
        Failure,
        RerankResult,
        Step,
        Trace,
        Usage,
        Verification,
    )
    from me2sdk.scorers import RemoteTRMScorer, Scorer, TRMScorer
    from me2sdk.stats import BestOfNCurve, best_of_n_curve, pass_at_k
    from me2sdk.steps import PrefixCounts, count_prefixes, split_steps
    from me2sdk.verdicts import Dimension, PairVerdict, Ranking
    from me2sdk.verify import averify_answer, verify_answer

_HOMES = {
    "annotate": ("Annotation", "Annotator", "LocalAnnotator", "aparse_dag", "parse_dag"),
    "dag": ("ReasoningDAG",),
    "errors": (
        "BudgetExceeded",
        "ConfigurationError",
        "GenerationError",
        "InvalidTraceError",
        "JudgeError",
        "ME2Error",
        "ScoringError",
    ),
    "llm": ("LLM", "Budget"),
    "_completion": ("acompletion", "completion"),
    "_estimate": ("CostEstimate", "estimate_cost"),
    "_html": ("compare_html",),
    "_judge": ("ajudge_pair", "judge_pair"),
    "_ranking": ("arank_traces", "rank_traces"),
    "_rerank": ("abest_of_n", "arerank", "best_of_n", "rerank"),
    "schema": (
        "BestOfNResult",
        "Candidate",
        "Failure",
        "RerankResult",
        "Step",
        "Trace",
        "Usage",
        "Verification",
    ),
    "scorers": ("RemoteTRMScorer", "Scorer", "TRMScorer"),
    "stats": ("BestOfNCurve", "best_of_n_curve", "pass_at_k"),
    "steps": ("PrefixCounts", "count_prefixes", "split_steps"),
    "verdicts": ("Dimension", "PairVerdict", "Ranking"),
    "verify": ("averify_answer", "verify_answer"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "LLM",
    "Annotation",
    "Annotator",
    "BestOfNCurve",
    "BestOfNResult",
    "Budget",
    "BudgetExceeded",
    "Candidate",
    "ConfigurationError",
    "CostEstimate",
    "Dimension",
    "Failure",
    "GenerationError",
    "InvalidTraceError",
    "JudgeError",
    "LocalAnnotator",
    "ME2Error",
    "PairVerdict",
    "PrefixCounts",
    "Ranking",
    "ReasoningDAG",
    "RemoteTRMScorer",
    "RerankResult",
    "Scorer",
    "ScoringError",
    "Step",
    "TRMScorer",
    "Trace",
    "Usage",
    "Verification",
    "abest_of_n",
    "acompletion",
    "ajudge_pair",
    "aparse_dag",
    "arank_traces",
    "arerank",
    "averify_answer",
    "best_of_n",
    "best_of_n_curve",
    "compare_html",
    "completion",
    "count_prefixes",
    "estimate_cost",
    "judge_pair",
    "parse_dag",
    "pass_at_k",
    "rank_traces",
    "rerank",
    "split_steps",
    "verify_answer",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"me2sdk.{_HOME[name]}"), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("me2sdk")
    raise AttributeError(f"module 'me2sdk' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
