"""Training and evaluation: preference data, reward models, GRPO with gated rewards, benchmarks of scorers.

Names load when they are first used; what trains needs ``pip install "me2sdk[train]"``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from me2sdk.train.evaluate.bon import BonReport, aevaluate_bon, evaluate_bon
    from me2sdk.train.evaluate.dag import DagAnnotator, DagReport, aevaluate_dag, evaluate_dag
    from me2sdk.train.evaluate.gold import read_gold
    from me2sdk.train.evaluate.judges import PairJudge
    from me2sdk.train.evaluate.pairs import PairsReport, aevaluate_pairs, evaluate_pairs
    from me2sdk.train.evaluate.plot import plot_bon
    from me2sdk.train.evaluate.questions import CandidateQuestion, read_candidates
    from me2sdk.train.evaluate.scorers import open_scorer
    from me2sdk.train.grpo import train_grpo
    from me2sdk.train.grpo_config import GRPOReport, GRPOSettings
    from me2sdk.train.perturb import perturb_trace, perturb_traces
    from me2sdk.train.pipeline import (
        BuildEstimate,
        BuildReport,
        DataConfig,
        abuild_preferences,
        aestimate_build,
        build_preferences,
        estimate_build,
    )
    from me2sdk.train.preferences import Preference, read_preferences, split_by_question, write_preferences
    from me2sdk.train.quantize import quantize_checkpoint
    from me2sdk.train.reward_function import GatedReward, Rewarded
    from me2sdk.train.reward_model import train_reward_model
    from me2sdk.train.rewards import gated_reward
    from me2sdk.train.rm_config import LoraSettings, RewardModelConfig, RewardModelReport
    from me2sdk.train.thinking_reward import ThinkingReward
    from me2sdk.train.word_problems import WordProblem, make_word_problems

_HOMES = {
    "evaluate.bon": ("BonReport", "aevaluate_bon", "evaluate_bon"),
    "evaluate.dag": ("DagAnnotator", "DagReport", "aevaluate_dag", "evaluate_dag"),
    "evaluate.gold": ("read_gold",),
    "evaluate.judges": ("PairJudge",),
    "evaluate.pairs": ("PairsReport", "aevaluate_pairs", "evaluate_pairs"),
    "evaluate.plot": ("plot_bon",),
    "evaluate.questions": ("CandidateQuestion", "read_candidates"),
    "evaluate.scorers": ("open_scorer",),
    "grpo": ("train_grpo",),
    "grpo_config": ("GRPOReport", "GRPOSettings"),
    "pipeline": (
        "BuildEstimate",
        "BuildReport",
        "DataConfig",
        "abuild_preferences",
        "aestimate_build",
        "build_preferences",
        "estimate_build",
    ),
    "perturb": ("perturb_trace", "perturb_traces"),
    "quantize": ("quantize_checkpoint",),
    "reward_model": ("train_reward_model",),
    "reward_function": ("GatedReward", "Rewarded"),
    "rewards": ("gated_reward",),
    "thinking_reward": ("ThinkingReward",),
    "word_problems": ("WordProblem", "make_word_problems"),
    "rm_config": ("LoraSettings", "RewardModelConfig", "RewardModelReport"),
    "preferences": ("Preference", "read_preferences", "split_by_question", "write_preferences"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BonReport",
    "BuildEstimate",
    "BuildReport",
    "CandidateQuestion",
    "DagAnnotator",
    "DagReport",
    "DataConfig",
    "GRPOReport",
    "GRPOSettings",
    "GatedReward",
    "LoraSettings",
    "PairJudge",
    "PairsReport",
    "Preference",
    "RewardModelConfig",
    "RewardModelReport",
    "Rewarded",
    "ThinkingReward",
    "WordProblem",
    "abuild_preferences",
    "aestimate_build",
    "aevaluate_bon",
    "aevaluate_dag",
    "aevaluate_pairs",
    "build_preferences",
    "estimate_build",
    "evaluate_bon",
    "evaluate_dag",
    "evaluate_pairs",
    "gated_reward",
    "make_word_problems",
    "open_scorer",
    "perturb_trace",
    "perturb_traces",
    "plot_bon",
    "quantize_checkpoint",
    "read_candidates",
    "read_gold",
    "read_preferences",
    "split_by_question",
    "train_grpo",
    "train_reward_model",
    "write_preferences",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"me2sdk.train.{_HOME[name]}"), name)
    raise AttributeError(f"module 'me2sdk.train' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
