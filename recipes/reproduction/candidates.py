"""Candidates of the samplers, verified, as graphs, and judged where the pairs are."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from me2sdk.errors import ConfigurationError
from me2sdk.schema import Trace
from me2sdk.train import CandidateQuestion, build_preferences
from me2sdk.train.pipeline.config import DataConfig
from me2sdk.train.pipeline.questions import read_prompts
from recipes.reproduction.questions import read_rows
from recipes.reproduction.stages import Place

__all__ = ["build", "build_config", "read_built"]

Kind = Literal["preferences", "best_of_n"]


def build_config(place: Place, kind: Kind) -> DataConfig:
    """Settings of the build for the pairs, or of that for best of n."""
    return place.config.build(place.output / kind, place.questions(kind), kind)


def build(place: Place, kind: Kind) -> dict[str, Any]:
    """Sample, verify, annotate, and judge where the settings say so.

    Raises:
        ConfigurationError: something failed; what is finished is kept, and the next run goes on.
    """
    config = build_config(place, kind)
    report = build_preferences(config, on_progress=place.on_progress)
    if not report.complete:
        failed = sum(stage.failed + stage.left for stage in report.stages)
        raise ConfigurationError(
            f"{failed} calls for {kind} failed ({config.output / 'stages' / 'failures.jsonl'} says why). Run the same "
            "command again."
        )
    asked = read_built(config)
    models = {
        name: {
            "candidates": sum(counts.values()),
            "right": counts[True],
        }
        for name, counts in _by_model(asked).items()
    }
    dags = _records(config, "dags").values()
    return {
        "questions": len(asked),
        "models": models,
        "dags": len(dags),
        "steps": sum(len(record["dag"]["nodes"]) for record in dags),
        "pairs": report.pairs.model_dump(mode="json") if config.judge else None,
    }


def _by_model(asked: list[CandidateQuestion]) -> dict[str, Counter[bool]]:
    counts: dict[str, Counter[bool]] = {}
    for question in asked:
        for model, right in zip(question.models, question.correct or (), strict=True):
            counts.setdefault(model, Counter())[right] += 1
    return counts


def read_built(config: DataConfig) -> list[CandidateQuestion]:
    """The candidates of a finished build with what the verifier said; one that was cut off is not right."""
    candidates, checks = _records(config, "candidates"), _records(config, "verify")
    questions = []
    for prompt in read_prompts(config.prompts).prompts:
        keys = [
            (f"{prompt.key}/{model.name}/{sample}", model.name)
            for model in config.models
            for sample in range(config.sampling.samples)
        ]
        found = [(candidates[key], checks.get(key), model) for key, model in keys if key in candidates]
        questions.append(
            CandidateQuestion(
                question=prompt.question,
                candidates=[
                    Trace(reasoning=one["reasoning"], response=one["response"], truncated=one["truncated"])
                    for one, _, _ in found
                ],
                correct=[check is not None and check["outcome"] == "right" for _, check, _ in found],
                models=[model for _, _, model in found],
            )
        )
    return questions


def _records(config: DataConfig, stage: str) -> dict[str, dict[str, Any]]:
    """The last record of each key; the first line holds the settings."""
    _, *records = read_rows(config.output / "stages" / f"{stage}.jsonl")
    return {record["key"]: record for record in records}
