"""Training and evaluation: preference data, reward models, GRPO with gated rewards, benchmarks of scorers.

Names load when they are first used; what trains needs ``pip install "me2sdk[train]"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from me2sdk._lazy import lazy

if TYPE_CHECKING:
    from me2sdk.train.config import LoraConfig as LoraConfig
    from me2sdk.train.data import (
        Preference as Preference,
        read_preferences as read_preferences,
        split_by_question as split_by_question,
        write_preferences as write_preferences,
    )
    from me2sdk.train.evaluate import (
        ActionScore as ActionScore,
        BestOfNReport as BestOfNReport,
        BestOfNRow as BestOfNRow,
        Calibration as Calibration,
        CandidateQuestion as CandidateQuestion,
        ConfidenceBin as ConfidenceBin,
        DagAnnotator as DagAnnotator,
        DagReport as DagReport,
        DagRow as DagRow,
        Estimate as Estimate,
        EvaluationFailure as EvaluationFailure,
        GoldTrace as GoldTrace,
        JudgeSummary as JudgeSummary,
        PairJudge as PairJudge,
        PairsReport as PairsReport,
        PairsRow as PairsRow,
        StoppingRow as StoppingRow,
        aevaluate_best_of_n as aevaluate_best_of_n,
        aevaluate_dag as aevaluate_dag,
        aevaluate_pairs as aevaluate_pairs,
        evaluate_best_of_n as evaluate_best_of_n,
        evaluate_dag as evaluate_dag,
        evaluate_pairs as evaluate_pairs,
        plot_best_of_n as plot_best_of_n,
        read_candidates as read_candidates,
        read_gold as read_gold,
    )
    from me2sdk.train.grpo import (
        GRPOConfig as GRPOConfig,
        GRPOReport as GRPOReport,
        HeldOut as HeldOut,
        HeldOutAnswer as HeldOutAnswer,
        HeldOutConfig as HeldOutConfig,
        ProblemConfig as ProblemConfig,
        RewardConfig as RewardConfig,
        WordProblem as WordProblem,
        make_word_problems as make_word_problems,
        train_grpo as train_grpo,
    )
    from me2sdk.train.perturb import perturb_trace as perturb_trace, perturb_traces as perturb_traces
    from me2sdk.train.pipeline import (
        AnnotatorConfig as AnnotatorConfig,
        Assumptions as Assumptions,
        BudgetConfig as BudgetConfig,
        BuildEstimate as BuildEstimate,
        BuildReport as BuildReport,
        DataConfig as DataConfig,
        JudgeConfig as JudgeConfig,
        ModelConfig as ModelConfig,
        PairCounts as PairCounts,
        PromptConfig as PromptConfig,
        RayConfig as RayConfig,
        SamplerConfig as SamplerConfig,
        SamplingConfig as SamplingConfig,
        StageEstimate as StageEstimate,
        StageReport as StageReport,
        abuild_preferences as abuild_preferences,
        aestimate_build as aestimate_build,
        build_preferences as build_preferences,
        estimate_build as estimate_build,
    )
    from me2sdk.train.progress import Progress as Progress
    from me2sdk.train.reward_model import (
        Curve as Curve,
        PairAccuracy as PairAccuracy,
        QuantizationReport as QuantizationReport,
        RewardModelConfig as RewardModelConfig,
        RewardModelReport as RewardModelReport,
        quantize_checkpoint as quantize_checkpoint,
        train_reward_model as train_reward_model,
    )
    from me2sdk.train.rewards import (
        GatedReward as GatedReward,
        Rewarded as Rewarded,
        ThinkingReward as ThinkingReward,
        gated_reward as gated_reward,
    )

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "config": ("LoraConfig",),
        "data": (
            "Preference",
            "read_preferences",
            "split_by_question",
            "write_preferences",
        ),
        "evaluate": (
            "ActionScore",
            "BestOfNReport",
            "BestOfNRow",
            "Calibration",
            "CandidateQuestion",
            "ConfidenceBin",
            "DagAnnotator",
            "DagReport",
            "DagRow",
            "Estimate",
            "EvaluationFailure",
            "GoldTrace",
            "JudgeSummary",
            "PairJudge",
            "PairsReport",
            "PairsRow",
            "StoppingRow",
            "aevaluate_best_of_n",
            "aevaluate_dag",
            "aevaluate_pairs",
            "evaluate_best_of_n",
            "evaluate_dag",
            "evaluate_pairs",
            "plot_best_of_n",
            "read_candidates",
            "read_gold",
        ),
        "grpo": (
            "GRPOConfig",
            "GRPOReport",
            "HeldOut",
            "HeldOutAnswer",
            "HeldOutConfig",
            "ProblemConfig",
            "RewardConfig",
            "WordProblem",
            "make_word_problems",
            "train_grpo",
        ),
        "perturb": (
            "perturb_trace",
            "perturb_traces",
        ),
        "pipeline": (
            "AnnotatorConfig",
            "Assumptions",
            "BudgetConfig",
            "BuildEstimate",
            "BuildReport",
            "DataConfig",
            "JudgeConfig",
            "ModelConfig",
            "PairCounts",
            "PromptConfig",
            "RayConfig",
            "SamplerConfig",
            "SamplingConfig",
            "StageEstimate",
            "StageReport",
            "abuild_preferences",
            "aestimate_build",
            "build_preferences",
            "estimate_build",
        ),
        "progress": ("Progress",),
        "reward_model": (
            "Curve",
            "PairAccuracy",
            "QuantizationReport",
            "RewardModelConfig",
            "RewardModelReport",
            "quantize_checkpoint",
            "train_reward_model",
        ),
        "rewards": (
            "GatedReward",
            "Rewarded",
            "ThinkingReward",
            "gated_reward",
        ),
    },
)
