"""Who prefers the better trace of a pair: judges, our reward models, length (the paper's Table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from me2sdk._sync import run_sync
from me2sdk.errors import ConfigurationError
from me2sdk.llm import LLM
from me2sdk.train import PairJudge, read_preferences
from me2sdk.train.data import question_key
from me2sdk.train.evaluate.estimates import estimate
from me2sdk.train.evaluate.journal import Journal
from me2sdk.train.evaluate.judges import run_judge
from me2sdk.train.evaluate.scorers import EvaluationFailure, ScoringItem, run_scorer
from recipes.reproduction.stages import Place

__all__ = ["OURS", "measure_pairs"]

OURS = "our reward model"
PLAIN, STRUCTURED = "prompt-only judge", "structured judge"
LENGTH = {"shorter wins": "shortest", "longer wins": "longest"}
_NO_CALL = ("GenerationError", "BudgetExceeded")
_TIE = 1e-9
_Margins = Sequence[float | None]  # how far the better trace is ahead; None where that could not be found out


def measure_pairs(place: Place) -> dict[str, Any]:
    """Measure all ways on the same test pairs; verdicts and rewards that are there already are not asked for again.

    Raises:
        ConfigurationError: a call of a judge failed; the next run goes on.
    """
    return run_sync(_measure(place))


async def _measure(place: Place) -> dict[str, Any]:
    pairs = list(read_preferences(place.pairs("test")))
    shown = pairs[: place.config.judge_pairs]
    keys = [question_key(pair.question) for pair in pairs]
    ours = {f"{OURS}, seed {seed}": place.scorer(seed) for seed in range(place.config.seeds)}
    margins: dict[str, _Margins] = {}
    bias: dict[str, dict[str, float | None]] = {}
    failures: list[EvaluationFailure] = []
    with Journal(place.output / "pair_table.jsonl") as journal:
        items = [ScoringItem(pair.question, (pair.chosen, pair.rejected)) for pair in pairs]
        for name, scorer in {**ours, **LENGTH}.items():
            run = await run_scorer(name, scorer, items, journal, place.on_progress)
            margins[name] = [_margin(item.scores) for item in run.items]
        for name, judge in _judges(place).items():
            verdicts, failed = await run_judge(name, judge, shown, journal, place.on_progress)
            margins[name] = [None if one is None else one.margin for one in verdicts]
            places = [first for one in verdicts if one is not None for first in one.first]
            bias[name] = {"first": sum(places) / len(places) if places else None}
            failures += failed
    if lost := [one for one in failures if one.error in _NO_CALL]:
        raise ConfigurationError(
            f"{len(lost)} pairs could not be judged ({lost[0].message}). Run the same command again."
        )
    single = {
        name: {"way": name, **_measured([one], keys), **bias.get(name, {})} for name, one in margins.items()
    }
    together = {"way": OURS, **_measured([margins[name] for name in ours], keys)}
    others = (PLAIN, STRUCTURED, *LENGTH)
    return {
        "pairs": len(pairs),
        "judged": len(shown),
        "questions": len(set(keys)),
        "rows": [
            *(single[name] for name in (PLAIN, STRUCTURED)),
            {**together, "seeds": [single[name] for name in ours]},
            *(single[name] for name in LENGTH),
        ],
        "ahead": {name: _ahead([margins[seed] for seed in ours], margins[name], keys) for name in others},
    }


def _judges(place: Place) -> dict[str, PairJudge]:
    config = place.config
    params = {**config.params, **({"api_base": config.judge.api_base} if config.judge.api_base else {})}
    llm = LLM(
        config.judge.model,
        max_concurrency=config.max_concurrency,
        timeout=config.timeout,
        total_timeout=3 * config.timeout,
        **{**params, **config.judge.params},
    )
    settings = {"repeats": config.judge.repeats, "early_stop": config.judge.early_stop}
    return {
        PLAIN: PairJudge(llm, structure=False, **settings),
        STRUCTURED: PairJudge(llm, annotator="local", **settings),
    }


def _margin(scores: Sequence[float | None]) -> float | None:
    chosen, rejected = scores
    return None if chosen is None or rejected is None else chosen - rejected


def _right(margins: _Margins) -> list[float]:
    """1.0 for each pair that is right; one that could not be judged is not, as a tie is not."""
    return [float(margin is not None and margin > _TIE) for margin in margins]


def _measured(runs: Sequence[_Margins], keys: list[str]) -> dict[str, Any]:
    """Counts and accuracy over some runs; the interval is from resampling questions with their pairs and runs.

    Runs may be of the first pairs alone.
    """
    keys = keys[: len(runs[0])]
    known = [margin for run in runs for margin in run if margin is not None]
    right, wrong = sum(margin > _TIE for margin in known), sum(margin < -_TIE for margin in known)
    return {
        "right": right,
        "tie": len(known) - right - wrong,
        "wrong": wrong,
        "failed": len(keys) * len(runs) - len(known),
        "accuracy": estimate([one for run in runs for one in _right(run)], keys * len(runs)).model_dump(),
    }


def _ahead(runs: Sequence[_Margins], other: _Margins, keys: list[str]) -> dict[str, float]:
    """How much more often some runs are right than another way, pair by pair of those that it was shown."""
    count = len(other)
    differences = [
        mine - its for run in runs for mine, its in zip(_right(run[:count]), _right(other), strict=True)
    ]
    return estimate(differences, keys[:count] * len(runs)).model_dump()
