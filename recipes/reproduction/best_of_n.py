"""Best of n: accuracy against the number of candidates (the paper's Figure 4)."""

from __future__ import annotations

from typing import Any

from me2sdk._sync import run_sync
from me2sdk.scorers import open_scorer
from me2sdk.stats import best_of_n_curve
from me2sdk.train import BestOfNReport, CandidateQuestion, aevaluate_best_of_n
from me2sdk.train.data import question_key
from me2sdk.train.evaluate.estimates import estimate
from me2sdk.train.evaluate.journal import Journal
from me2sdk.train.evaluate.scorers import ScoringItem, run_scorer
from recipes.reproduction.candidates import build_config, read_built
from recipes.reproduction.stages import Place

__all__ = ["measure_best_of_n"]

OURS = "reward model"
_FREE = ("random", "shortest", "majority vote", "oracle")


def measure_best_of_n(place: Place) -> dict[str, Any]:
    """Measure on the candidates of each sampler, and draw the curves."""
    return run_sync(_measure(place))


async def _measure(place: Place) -> dict[str, Any]:
    questions = read_built(build_config(place, "best_of_n"))
    scorers = {f"{OURS} {seed}": open_scorer(place.scorer(seed)) for seed in range(place.config.seeds)}
    path = place.output / "best_of_n.jsonl"
    report = await aevaluate_best_of_n(questions, scorers, output=path, on_progress=place.on_progress)
    rewards = []
    with Journal(path) as journal:  # holds all rewards now
        items = [ScoringItem(question.question, question.candidates) for question in questions]
        for name, scorer in scorers.items():
            scored = await run_scorer(name, scorer, items, journal)
            rewards.append([item.scores for item in scored.items])
    models = [model.name for model in place.config.samplers]
    return {
        "questions": len(questions),
        "failures": len(report.failures),
        "models": {
            model: _rows(report, model if len(models) > 1 else "", model, questions, rewards)
            for model in models
        },
    }


def _rows(
    report: BestOfNReport,
    group: str,
    model: str,
    questions: list[CandidateQuestion],
    rewards: list[list[list[float | None]]],
) -> list[dict[str, Any]]:
    """A row for each method: its accuracy at each n, and what it gains over a random candidate at the last one."""
    curves = report.curves(group)
    rows = {
        method: {
            "method": method,
            "accuracy": {str(one.k): one.accuracy.model_dump() for one in curve},
            "gain": curve[-1].gain.model_dump(),
        }
        for method, curve in curves.items()
        if method in _FREE or method.startswith(OURS)
    }
    ks = [one.k for one in curves["random"]]
    rows[OURS] = {"method": f"{OURS}, mean of the seeds", **_pooled(model, ks, questions, rewards)}
    before = [name for name in _FREE if name != "oracle"]
    each = [name for name in rows if name.startswith(f"{OURS} ")]
    plain = [name for name in each if "," not in name]
    auto = [name for name in each if name.endswith(", auto")]
    return [rows[name] for name in (*before, *plain, OURS, *auto, "oracle")]


def _pooled(
    model: str, ks: list[int], questions: list[CandidateQuestion], rewards: list[list[list[float | None]]]
) -> dict[str, Any]:
    """The mean over seeds, its intervals from resampling questions."""
    keys, values = [], []
    for of_seed in rewards:
        for question, scores in zip(questions, of_seed, strict=True):
            mine = [place for place, name in enumerate(question.models) if name == model]
            known = [score for score in scores if score is not None]
            last = min(known, default=0.0) - 1  # what could not be scored is taken last
            own = [last if scores[place] is None else scores[place] for place in mine]
            right = [(question.correct or ())[place] for place in mine]
            keys.append(question_key(question.question))
            values.append(best_of_n_curve([own], [right], resamples=1).accuracy)
    return {
        "accuracy": {str(k): estimate([one[k - 1] for one in values], keys).model_dump() for k in ks},
        "gain": estimate([one[ks[-1] - 1] - one[0] for one in values], keys).model_dump(),
    }
