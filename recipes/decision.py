"""Fits the model that says how sure a choice is, ``me2sdk/data/decision.json``, and writes its card.

    python -m recipes.decision --data DIR [--cache DIR]

DIR holds ``modern/``. One example is one question with some of its candidates: the features of its leading answer, and
whether the candidate that ``select="auto"`` takes is right. Rewards are those of "mini", for each set with weights that
were fitted on the other sets. Every set counts the same, and in a set every number of candidates. In every second
example rewards are left out, since they may be. ``benchmarks/decision.py`` measures it on sets that it was not fitted
on.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from scipy.optimize import minimize, minimize_scalar

from me2sdk.sampling import (
    FEATURES,
    ConfidenceModel,
    ballot_of,
    decide,
    evidence,
    leaders_first,
)
from me2sdk.scorers.mini.scorer import bundled_weights
from me2sdk.stats import standardised
from recipes.mini_among import without_each
from recipes.modern import SETS, SampledQuestion, read_set, subsets

__all__ = ["Example", "examples", "fit"]

SIZES = (2, 3, 4, 6, 8, 12, 16)
PENALTY = 0.02
"""Weight of the squared weights of standardised features, beside a mean loss."""

BOUNDS = {
    "votes": (0, None),
    "margin": (0, None),
    "independent": (0, None),
    "unanswered": (None, 0),
} | dict.fromkeys(("numbers", "reward"), (0, None))
"""More agreement and better rewards must not lower the confidence, candidates without an answer not raise it."""

DATA = Path(__file__).parent.parent / "me2sdk" / "data" / "decision.json"


@dataclass(frozen=True)
class Example:
    """One choice.

    Attributes:
        size: number of candidates.
        features: of the leading answer, in the order of `FEATURES`.
        right: whether the candidate that is taken is right.
        others: for each other answer its votes and whether its best candidate is right.
    """

    size: int
    features: tuple[float, ...]
    right: bool
    others: tuple[tuple[float, bool], ...]


def examples(questions: Sequence[SampledQuestion], *, repeats: int, seed: int = 0) -> list[Example]:
    """The choices among all candidates of each question, and among ``repeats`` draws of each of `SIZES`."""
    draw = random.Random(seed)
    found = (
        example(size, part, rewarded=draw.random() < 0.5)
        for question in questions
        for size, part in subsets(question, SIZES, repeats, seed)
    )
    return [one for one in found if one is not None]


def example(size: int, question: SampledQuestion, *, rewarded: bool) -> Example | None:
    """One choice; None where no candidate has an answer."""
    candidates = question.candidates
    ballot = ballot_of(candidates, question.groups)
    order = leaders_first(ballot, candidates)
    if not order:
        return None
    rewards = standardised([one.score for one in candidates]) if rewarded else [0.0] * len(candidates)
    right = dict(zip((one.index for one in candidates), question.correct, strict=True))
    answers = decide(candidates, question.groups).answers
    return Example(
        size=size,
        features=tuple(evidence(ballot, order[0], candidates, rewards)),
        right=right[answers[0].best] >= 0.5,
        others=tuple((answer.weight, right[answer.best] >= 0.5) for answer in answers[1:]),
    )


def fit(sets: Mapping[str, Sequence[Example]]) -> ConfidenceModel:
    """The logistic model of "the leading answer is right", and what "none of these" counts for."""
    rows = [(one, weight) for chosen in sets.values() for one, weight in _weighted(chosen)]
    features = np.array([one.features for one, _ in rows])
    right = np.array([one.right for one, _ in rows])
    weights = np.array([weight for _, weight in rows])
    weights /= weights.sum()
    center, spread = features.mean(0), features.std(0) + 1e-9
    scaled = np.column_stack([np.ones(len(rows)), (features - center) / spread])

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        logits = scaled @ values
        penalty = np.concatenate([[0.0], values[1:]])
        value = weights @ (np.logaddexp(0, logits) - right * logits) + PENALTY / 2 * penalty @ values
        return float(value), scaled.T @ (weights * (1 / (1 + np.exp(-logits)) - right)) + PENALTY * penalty

    bounds = [(None, None), *(BOUNDS.get(name, (None, None)) for name in FEATURES)]
    values = minimize(loss, np.zeros(scaled.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds).x
    slopes = values[1:] / spread
    return ConfidenceModel(
        intercept=float(values[0] - slopes @ center), weights=tuple(map(float, slopes)), none=_none(rows)
    )


def _weighted(chosen: Sequence[Example]) -> list[tuple[Example, float]]:
    counts = Counter(one.size for one in chosen)
    return [(one, 1 / counts[one.size] / len(counts)) for one in chosen]


def _none(rows: Sequence[tuple[Example, float]]) -> float:
    """Votes of "none of these": where the leader is wrong, the likeliest split of the rest."""
    wrong = [(one.others, weight) for one, weight in rows if not one.right and one.others]

    def loss(log_none: float) -> float:
        total = 0.0
        for others, weight in wrong:
            rest = sum(votes for votes, _ in others) + np.exp(log_none)
            good = sum(votes for votes, right in others if right)
            total -= weight * np.log((good or np.exp(log_none)) / rest)
        return float(total)

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 5), method="bounded").x))


def main(
    data: Annotated[Path, typer.Option(help="Folder that holds modern/.")],
    cache: Annotated[Path | None, typer.Option(help="Keeps groups and rewards.")] = None,
) -> None:
    """Fit the model on all sets and write it."""
    scorers = without_each(data, bundled_weights(), cache)
    sets = {}
    for name in SETS:
        sets[name] = examples(read_set(data, name, scorers[name], most=900, cache=cache), repeats=2)
        print(f"{name}: {len(sets[name])} choices")
    model = fit(sets)
    written = {
        "intercept": round(model.intercept, 4),
        "weights": {name: round(weight, 4) for name, weight in zip(FEATURES, model.weights, strict=True)},
        "none": round(model.none, 4),
    }
    DATA.write_text(json.dumps(written, indent=2) + "\n", "utf-8")
    print(json.dumps(written, indent=2))


if __name__ == "__main__":
    typer.run(main)
