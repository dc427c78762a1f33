"""The weights of the bundled scorer for traces side by side, from answers of current models.

A pair is a right and a wrong answer to one question. Every set counts as `SET_WEIGHTS` says, whatever its size; those
of a single model count most, since in a set of several models the features also tell which one wrote a trace. Each
question is taken with all its candidates and with eight of them, so that the weights hold for few candidates too.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from me2sdk.schema import Trace
from me2sdk.scorers.mini.features import FEATURES, extract, read_trace
from me2sdk.scorers.mini.question import read_question
from me2sdk.scorers.mini.relative import RELATIVE, compare
from me2sdk.scorers.mini.scorer import FEWEST, FeatureWeight, MiniScorer, MiniWeights
from me2sdk.scorers.text import answer_text
from recipes.bradley_terry import solve
from recipes.modern import FREE_TEXT, SETS, read_rows
from recipes.sources import held_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["AMONG", "SET_WEIGHTS", "SHARE", "SOURCES", "Sampled", "fit_among", "read_sampled", "without_each"]

AMONG = (
    *RELATIVE,
    "breaks_off",
    "untidy_answer",
)
"""The features that carried over to sets that the fit had not seen; of the others most only told models apart."""

SET_WEIGHTS = {
    "MATH-500 x32": 2.0,
    "GSM8K x32": 1.5,
    "MATH level 5": 1.0,
    "GSM8K and MATH, long": 1.0,
    "reasoning-gym": 1.0,
    "MMLU-Pro": 0.7,
    "trick questions": 0.3,
    "missing premise": 0.3,
}
SOURCES = {
    "MATH-500 x32, GSM8K x32": "32 samples of a 7B model (staged-benchmark-2026/StrictPRMBench, CC-BY-4.0)",
    "MATH level 5": "31 models of 2024 (WildEval/ZeroEval, Apache-2.0)",
    "GSM8K and MATH, long; missing premise": "15 models (tianyi-lab/MiP-Overthinking, MIT)",
    "reasoning-gym": "9 models (open-thought/reasoning-gym-eval, Apache-2.0)",
    "MMLU-Pro": "14 models (TIGER-AI-Lab/MMLU-Pro, Apache-2.0)",
    "trick questions": "18 models (cpldcpu/MisguidedAttention, CC0)",
}
PENALTY = 2e-3
SHARE = 0.1
"""How much of the reward that a trace has alone is part of its reward among others. With more of it, faults of
arithmetic count more (Game of 24, older models), and what traces share counts less (MATH level 5, long traces)."""

MIN_SCALE = 0.02
MOST_PAIRS = 12
"""Pairs of one question that are drawn."""

FEW = 8
BETTER_BY = 0.4
"""By how much one grade is above another where the two make a pair."""


@dataclass(frozen=True)
class Sampled:
    """One question with the features of its candidates, a row each.

    Attributes:
        question: what was asked.
        features: in the order of `AMONG`; twice, of all candidates and of some of them.
        own: all features of these that do not depend on the others, in the order of `FEATURES`.
        grades: the grades of these, 1 right and 0 wrong.
    """

    question: str
    features: tuple[Floats, ...]
    own: tuple[Floats, ...]
    grades: tuple[tuple[float, ...], ...]


def read_sampled(data: Path) -> dict[str, list[Sampled]]:
    """Read the questions of all sets, with three candidates or more, right and wrong ones.

    Args:
        data: the folder that holds ``modern/``.
    """
    found: dict[str, list[Sampled]] = {}
    for name in {**SETS, **FREE_TEXT}:
        rows = (_sampled(row["question"], row["candidates"]) for row in read_rows(data, name))
        found[name] = [one for one in rows if one is not None]
    return found


def _sampled(question: str, candidates: Sequence[Mapping[str, object]]) -> Sampled | None:
    texts = [answer_text(Trace.from_text(str(one["text"])), "both") for one in candidates]
    grades = [float(one["correct"]) for one in candidates]  # type: ignore[arg-type]
    places = [place for place, text in enumerate(texts) if text]
    if len(places) < FEWEST or max(grades) - min(grades) < BETTER_BY:
        return None
    readings = {place: read_trace(texts[place]) for place in places}
    own = {place: extract(question, reading) for place, reading in readings.items()}
    few = sorted(random.Random(question).sample(places, min(FEW, len(places))))
    features, alone, chosen = [], [], []
    for part in (places, few):
        beside = compare([readings[place] for place in part], read_question(question))
        values = [{**own[place], **shared} for place, shared in zip(part, beside, strict=True)]
        features.append(np.array([[one[name] for name in AMONG] for one in values]))
        alone.append(np.array([[own[place][name] for name in FEATURES] for place in part]))
        chosen.append(tuple(grades[place] for place in part))
    return Sampled(question, tuple(features), tuple(alone), tuple(chosen))


def fit_among(
    sampled: Mapping[str, Sequence[Sampled]], alone: Sequence[FeatureWeight]
) -> tuple[tuple[FeatureWeight, ...], dict[str, int]]:
    """Fit the weights; held-out questions are left out here.

    Args:
        sampled: the questions of each set.
        alone: the weights for a trace alone, `SHARE` of whose reward is part of the reward.

    Returns:
        The weights, and the number of pairs of each set.
    """
    seen = {name: [one for one in sets if not held_out(one.question)] for name, sets in sampled.items()}
    rows = np.concatenate([part for sets in seen.values() for one in sets for part in one.features])
    mean, scale = rows.mean(axis=0), np.maximum(rows.std(axis=0), MIN_SCALE)
    by_name = {one.name: one.weight / one.scale for one in alone}
    own = SHARE * np.array([by_name.get(name, 0.0) for name in FEATURES])
    pairs = {name: _differences(sets, own) for name, sets in seen.items()}
    counts = {name: len(given) for name, (_, given) in pairs.items() if len(given)}
    weights = np.concatenate([np.full(count, SET_WEIGHTS[name] / count) for name, count in counts.items()])
    differences, given = (np.concatenate([pairs[name][which] for name in counts]) for which in (0, 1))
    theta = solve(differences / scale, weights, PENALTY, AMONG, given)
    return tuple(
        FeatureWeight(name=name, weight=round(float(w), 5), mean=round(float(m), 5), scale=round(float(s), 5))
        for name, w, m, s in zip(AMONG, theta, mean, scale, strict=True)
    ), counts


def _differences(sets: Sequence[Sampled], own: Floats) -> tuple[Floats, Floats]:
    """Right less wrong, for pairs of each question: the features, and what the rewards alone already give."""
    rows, given = [], []
    for one in sets:
        for features, alone, grades in zip(one.features, one.own, one.grades, strict=True):
            pairs = [(a, b) for a, x in enumerate(grades) for b, y in enumerate(grades) if x - y > BETTER_BY]
            draw = random.Random(one.question)
            for a, b in draw.sample(pairs, min(MOST_PAIRS, len(pairs))):
                rows.append(features[a] - features[b])
                given.append(own @ (alone[a] - alone[b]))
    return np.array(rows).reshape(-1, len(AMONG)), np.array(given)


def without_each(data: Path, weights: MiniWeights, cache: Path | None = None) -> dict[str, MiniScorer]:
    """For each set a scorer whose weights for traces side by side were fitted on the other sets alone.

    What is fitted or measured with it has rewards of a scorer that knows nothing of the set.

    Args:
        data: the folder that holds ``modern/``.
        weights: the bundled ones; the weights for a trace alone are theirs.
        cache: keep the weights in this folder.
    """
    names = list({**SETS, **FREE_TEXT})
    file = None if cache is None else cache / f"mini-{weights.version}-without-each.jsonl"
    if file is not None and file.exists():
        kept = [MiniWeights.model_validate_json(line) for line in file.read_text("utf-8").splitlines()]
        return dict(zip(names, map(MiniScorer, kept), strict=True))
    sampled = read_sampled(data)
    fitted = [
        weights.model_copy(
            update={
                "version": f"{weights.version} without {name}",
                "among": fit_among(
                    {other: sets for other, sets in sampled.items() if other != name}, weights.alone
                )[0],
            }
        )
        for name in names
    ]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(one.model_dump_json() + "\n" for one in fitted), "utf-8")
    return dict(zip(names, map(MiniScorer, fitted), strict=True))
