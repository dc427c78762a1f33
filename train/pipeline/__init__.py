"""Preference data: sample, verify, annotate, judge, keep what is consistent (paper §5.1, App. F)."""

from me2sdk.train.pipeline.build import abuild_preferences, build_preferences
from me2sdk.train.pipeline.config import (
    AnnotatorConfig,
    Assumptions,
    BudgetConfig,
    DataConfig,
    JudgeConfig,
    ModelConfig,
    PromptConfig,
    RayConfig,
    SamplerConfig,
    SamplingConfig,
)
from me2sdk.train.pipeline.estimate import BuildEstimate, StageEstimate, aestimate_build, estimate_build
from me2sdk.train.pipeline.report import BuildReport, PairCounts, StageReport

__all__ = [
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
]
