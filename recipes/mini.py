"""Fit and measure the bundled scorer.

::

    python -m recipes.mini fit --data DIR --out me2sdk/data/mini.json
    python -m recipes.mini evaluate --data DIR --champ WHEEL

``DIR`` holds the data folders of `recipes.sources`, and ``modern/`` of `recipes.modern`. The fit is a Bradley-Terry
model (paper §5.1) on differences of features, with the sign of a weight held where it is known beforehand: a fault must
never be rewarded. The weights for a trace alone come from pairs whose better side is known (here), with a ridge penalty
chosen by cross-validation over questions; those for traces side by side from answers of current models
(`recipes.mini_among`). It takes two minutes on one core and gives the same weights each time.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from me2sdk.scorers.mini import MiniScorer
from me2sdk.scorers.mini.features import FEATURES, extract
from me2sdk.scorers.mini.scorer import FeatureWeight, MiniWeights
from me2sdk.train.data import question_key
from recipes import damage, mini_report
from recipes.bradley_terry import solve
from recipes.mini_among import SHARE, SOURCES, Sampled, fit_among, read_sampled
from recipes.sources import (
    Pair,
    held_out,
    read_bigbench,
    read_gsm8k,
    read_gsm8k_candidates,
    read_prmbench,
    read_simplerl,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["app", "fit_weights", "log_loss", "pair_weights", "training_pairs"]

VERSION = "2"
SEED = 7
SOURCE_WEIGHTS = {"gsm8k": 1.0, "bigbench_mistake": 0.3, "prmbench": 0.6}
"""How much each source counts. PRMBench's damage was written by one model, whose style would be learnt
instead of the faults if it counted for more."""
PENALTIES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
FOLDS = 5
DAMAGES_A_SOLUTION = 3
MAX_TILT = 6.0
"""By how much pairs with the better side longer (or shorter) may be weighted up against the others."""
MIN_SCALE = 0.02


def training_pairs(data: Path, seed: int = SEED) -> list[Pair]:
    """Make the pairs of all three sources, held-out questions included.

    Args:
        data: the folder that holds the data.
        seed: where all chance comes from.

    Returns:
        Pairs of sources "gsm8k" (damaged by rule), "bigbench_mistake" (damaged by rule, and cut around the
        human-marked first mistake) and "prmbench" (its training half). Questions of the sets that are only
        measured on are left out.
    """
    rng = random.Random(seed)
    measured = {question_key(s.question) for s in [*read_gsm8k_candidates(data), *read_simplerl(data)]}
    measured |= {question_key(pair.question) for pair in read_prmbench(data, "dev")}
    pairs: list[Pair | None] = []
    solutions = read_gsm8k(data)
    for solution in solutions:
        for kind in rng.sample(list(damage.KINDS), DAMAGES_A_SOLUTION):
            pairs.append(damage.damage_solution(solution, kind, rng, rng.choice(solutions)))
    marked = read_bigbench(data)
    for trace in marked:
        pairs.append(damage.mistake_pair(trace, rng))
        others = [o for o in marked if o.task == trace.task and o.mistake is None and o is not trace]
        for kind in damage.TRACE_KINDS if trace.mistake is None else ():
            pairs.append(damage.damage_trace(trace, kind, rng, rng.choice(others)))
    pairs += read_prmbench(data, "train")
    return [pair for pair in pairs if pair and question_key(pair.question) not in measured]


@dataclass
class _Design:
    """Pairs as numbers."""

    differences: Floats  # better minus worse, standardised; one row per pair
    weights: Floats
    folds: NDArray[np.int64]
    mean: Floats
    scale: Floats


def _design(pairs: Sequence[Pair]) -> _Design:
    better, worse = (
        np.array([list(extract(p.question, getattr(p, side)).values()) for p in pairs])
        for side in ("better", "worse")
    )
    both = np.concatenate([better, worse])
    scale = np.maximum(both.std(axis=0), MIN_SCALE)
    fold_of: dict[str, int] = {}
    folds = np.array([fold_of.setdefault(question_key(p.question), len(fold_of) % FOLDS) for p in pairs])
    return _Design((better - worse) / scale, pair_weights(pairs), folds, both.mean(axis=0), scale)


def pair_weights(pairs: Sequence[Pair], sources: Mapping[str, float] = SOURCE_WEIGHTS) -> Floats:
    """Weigh pairs so that each source counts as ``sources`` says, kinds of damage alike, and length as little
    as may be.

    Within each kind, pairs of which the better side is the longer one weigh as much as those of which it is
    the shorter one, unless they are so few that each would weigh more than `MAX_TILT` times as much.

    Returns:
        One weight per pair; they add up to 1.
    """
    sides = [(pair.source, pair.kind, np.sign(len(pair.better) - len(pair.worse))) for pair in pairs]
    counts = Counter(sides)
    weights = np.ones(len(pairs))
    for index, (source, kind, side) in enumerate(sides):
        opposite = counts[source, kind, -side]
        if side and opposite:
            weights[index] = min(max(opposite / counts[source, kind, side], 1 / MAX_TILT), MAX_TILT) ** 0.5
    totals: dict[tuple[str, str], float] = {}
    for (source, kind, _), weight in zip(sides, weights, strict=True):
        totals[source, kind] = totals.get((source, kind), 0.0) + float(weight)
    kinds = Counter(source for source, _ in totals)
    shares = [sources[source] / kinds[source] / totals[source, kind] for source, kind, _ in sides]
    shared: Floats = weights * np.array(shares)
    shared /= shared.sum()
    return shared


def log_loss(differences: Floats, weights: Floats, theta: Floats) -> float:
    """Weighted mean negative log likelihood of the differences."""
    return float(weights @ np.logaddexp(0.0, -(differences @ theta)) / weights.sum())


def fit_weights(pairs: Sequence[Pair], sampled: Mapping[str, Sequence[Sampled]]) -> MiniWeights:
    """Fit the scorer.

    Args:
        pairs: the pairs to fit the weights for a trace alone on. Those of held-out questions are left out here.
        sampled: the questions of each set to fit the weights for traces side by side on, the same way.

    Returns:
        The weights, with the penalty and the number of pairs of each source in their provenance.
    """
    seen = [pair for pair in pairs if not held_out(pair.question)]
    design = _design(seen)
    losses: dict[float, float] = {}
    for penalty in PENALTIES:
        folds = []
        for fold in range(FOLDS):
            inside = design.folds != fold
            theta = solve(design.differences[inside], design.weights[inside], penalty)
            folds.append(log_loss(design.differences[~inside], design.weights[~inside], theta))
        losses[penalty] = float(np.mean(folds))
    best = min(losses, key=losses.__getitem__)
    theta = solve(design.differences, design.weights, best)
    alone = tuple(
        FeatureWeight(name=name, weight=round(float(w), 5), mean=round(float(m), 5), scale=round(float(s), 5))
        for name, w, m, s in zip(FEATURES, theta, design.mean, design.scale, strict=True)
        if abs(w) > 1e-4
    )
    among, counts = fit_among(sampled, alone)
    return MiniWeights(
        name="mini",
        version=VERSION,
        alone=alone,
        among=among,
        share=SHARE,
        provenance={
            "method": "Bradley-Terry on feature differences, ridge penalty, signs held",
            "penalty": best,
            "cross_validated_log_loss": {f"{penalty:g}": round(loss, 4) for penalty, loss in losses.items()},
            "pairs": dict(sorted(Counter(pair.source for pair in seen).items())),
            "pairs_of_current_models": counts,
            "source_weights": SOURCE_WEIGHTS,
            "seed": SEED,
            "data": {
                "gsm8k": "GSM8K training solutions damaged by rule (openai/grade-school-math, MIT)",
                "bigbench_mistake": "BIG-Bench-Mistake (WHGTyen/BIG-Bench-Mistake, Apache-2.0)",
                "prmbench": "PRMBench, training half (ssmisya/PRMBench, Apache-2.0)",
            }
            | SOURCES,
        },
    )


app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True)
DataOption = Annotated[Path, typer.Option(help="Folder that holds the data.", exists=True, file_okay=False)]


@app.command()
def fit(
    data: DataOption,
    out: Annotated[Path, typer.Option(help="File to write the weights to.")] = Path("me2sdk/data/mini.json"),
) -> None:
    """Fit the scorer and write its weights."""
    weights = fit_weights(training_pairs(data), read_sampled(data))
    out.write_text(weights.model_dump_json(indent=1) + "\n", encoding="utf-8")
    summary: dict[str, Any] = {"out": out.name, **weights.provenance}
    typer.echo(json.dumps(summary, indent=1))


@app.command()
def evaluate(
    data: DataOption,
    champ: Annotated[
        Path | None,
        typer.Option(help="Wheel of champ-dataset 1.0.0, or a folder that it was unpacked to.", exists=True),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights to measure instead of the bundled ones.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON alone.")] = False,
) -> None:
    """Measure the scorer beside chance, "shorter wins" and majority vote."""
    scorer = MiniScorer.load()
    if weights is not None:
        scorer = MiniScorer(MiniWeights.model_validate_json(weights.read_text(encoding="utf-8-sig")))
    unseen = [pair for pair in training_pairs(data) if held_out(pair.question)]
    report = mini_report.measure(scorer, unseen, data, champ)
    if not as_json:
        typer.echo(mini_report.table(report) + "\n")
    typer.echo(report.model_dump_json(indent=1))


if __name__ == "__main__":
    app()
