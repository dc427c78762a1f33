"""Preference data: sample, verify, annotate, judge, keep what is consistent (paper §5.1, App. F)."""

from me2sdk.train.pipeline.build import abuild_preferences, build_preferences
from me2sdk.train.pipeline.config import DataConfig
from me2sdk.train.pipeline.estimate import BuildEstimate, StageEstimate, aestimate_build, estimate_build
from me2sdk.train.pipeline.report import BuildReport, PairCounts, StageReport

__all__ = [
    "BuildEstimate",
    "BuildReport",
    "DataConfig",
    "PairCounts",
    "StageEstimate",
    "StageReport",
    "abuild_preferences",
    "aestimate_build",
    "build_preferences",
    "estimate_build",
]
