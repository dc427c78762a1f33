"""me2sdk: sample several answers of an LLM, return the one that was reasoned best.

Names load when they are first used, so that ``import me2sdk`` is quick and loads neither torch nor litellm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from me2sdk._lazy import lazy

if TYPE_CHECKING:
    from me2sdk._choices import Dimension as Dimension
    from me2sdk.annotate import (
        Annotation as Annotation,
        Annotator as Annotator,
        LocalAnnotator as LocalAnnotator,
        aparse_dag as aparse_dag,
        parse_dag as parse_dag,
    )
    from me2sdk.cost import CostEstimate as CostEstimate, estimate_cost as estimate_cost
    from me2sdk.dag import ReasoningDAG as ReasoningDAG
    from me2sdk.errors import (
        BatchAnnotationError as BatchAnnotationError,
        BudgetExceeded as BudgetExceeded,
        ConfigurationError as ConfigurationError,
        GenerationError as GenerationError,
        InvalidTraceError as InvalidTraceError,
        JudgeError as JudgeError,
        ME2Error as ME2Error,
        ScoringError as ScoringError,
    )
    from me2sdk.judge import (
        JudgeScorer as JudgeScorer,
        PairVerdict as PairVerdict,
        Ranking as Ranking,
        ajudge_pair as ajudge_pair,
        arank_traces as arank_traces,
        compare_html as compare_html,
        judge_pair as judge_pair,
        rank_traces as rank_traces,
    )
    from me2sdk.llm import LLM as LLM, Budget as Budget
    from me2sdk.sampling import (
        BestOfNManyResult as BestOfNManyResult,
        Escalate as Escalate,
        abest_of_n as abest_of_n,
        abest_of_n_many as abest_of_n_many,
        acompletion as acompletion,
        arerank as arerank,
        best_of_n as best_of_n,
        best_of_n_many as best_of_n_many,
        completion as completion,
        rerank as rerank,
    )
    from me2sdk.schema import (
        Answer as Answer,
        BestOfNResult as BestOfNResult,
        Candidate as Candidate,
        Failure as Failure,
        RerankResult as RerankResult,
        Step as Step,
        Trace as Trace,
        Usage as Usage,
        Verification as Verification,
    )
    from me2sdk.scorers import RemoteTRMScorer as RemoteTRMScorer, Scorer as Scorer, TRMScorer as TRMScorer
    from me2sdk.stats import (
        BestOfNCurve as BestOfNCurve,
        best_of_n_curve as best_of_n_curve,
        pass_at_k as pass_at_k,
    )
    from me2sdk.steps import (
        PrefixCounts as PrefixCounts,
        count_prefixes as count_prefixes,
        split_steps as split_steps,
    )
    from me2sdk.verify import averify_answer as averify_answer, verify_answer as verify_answer

_HOMES = {
    "annotate": (
        "Annotation",
        "Annotator",
        "LocalAnnotator",
        "aparse_dag",
        "parse_dag",
    ),
    "_choices": ("Dimension",),
    "cost": (
        "CostEstimate",
        "estimate_cost",
    ),
    "dag": ("ReasoningDAG",),
    "errors": (
        "BatchAnnotationError",
        "BudgetExceeded",
        "ConfigurationError",
        "GenerationError",
        "InvalidTraceError",
        "JudgeError",
        "ME2Error",
        "ScoringError",
    ),
    "judge": (
        "JudgeScorer",
        "PairVerdict",
        "Ranking",
        "ajudge_pair",
        "arank_traces",
        "compare_html",
        "judge_pair",
        "rank_traces",
    ),
    "llm": (
        "LLM",
        "Budget",
    ),
    "sampling": (
        "BestOfNManyResult",
        "Escalate",
        "abest_of_n",
        "abest_of_n_many",
        "acompletion",
        "arerank",
        "best_of_n",
        "best_of_n_many",
        "completion",
        "rerank",
    ),
    "schema": (
        "Answer",
        "BestOfNResult",
        "Candidate",
        "Failure",
        "RerankResult",
        "Step",
        "Trace",
        "Usage",
        "Verification",
    ),
    "scorers": (
        "RemoteTRMScorer",
        "Scorer",
        "TRMScorer",
    ),
    "stats": (
        "BestOfNCurve",
        "best_of_n_curve",
        "pass_at_k",
    ),
    "steps": (
        "PrefixCounts",
        "count_prefixes",
        "split_steps",
    ),
    "verify": (
        "averify_answer",
        "verify_answer",
    ),
}

_load, __dir__, __all__ = lazy(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("me2sdk")
    return _load(name)
