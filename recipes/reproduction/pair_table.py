"""Who prefers the better trace of a pair: judges, our reward models, length (the paper's Table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from me2sdk._sync import run_sync
from me2sdk.errors import ConfigurationError
from me2sdk.llm import LLM
from me2sdk.scorers import open_scorer
from me2sdk.train import PairJudge, Preference, aevaluate_pairs, read_preferences
from me2sdk.train.data import question_key
from me2sdk.train.evaluate.estimates import estimate
from me2sdk.train.evaluate.journal import Journal
from me2sdk.train.evaluate.pairs import PairsReport
from me2sdk.train.evaluate.scorers import ScoringItem, run_scorer
from recipes.reproduction.stages import Place

__all__ = ["measure_pairs"]

OURS = "our reward model"
PLAIN, STRUCTURED = "prompt-only judge", "structured judge"
_NO_CALL = ("GenerationError", "BudgetExceeded")


def measure_pairs(place: Place) -> dict[str, Any]:
    """Measure all ways on the same test pairs; verdicts and rewards that are there already are not asked for again.

    Raises:
        ConfigurationError: a call of a judge failed; the next run goes on.
    """
    return run_sync(_measure(place))


async def _measure(place: Place) -> dict[str, Any]:
    pairs = list(read_preferences(place.pairs("test")))
    seeds = range(place.config.seeds)
    scorers = {f"{OURS}, seed {seed}": open_scorer(place.scorer(seed)) for seed in seeds}
    path = place.output / "pair_table.jsonl"
    report = await aevaluate_pairs(
        pairs,
        {**scorers, "shorter wins": "shortest", "longer wins": "longest"},
        judges=_judges(place),
        output=path,
        on_progress=place.on_progress,
    )
    if failed := sum(one.error in _NO_CALL for one in report.failures):
        raise ConfigurationError(
            f"{failed} pairs could not be judged: {report.failures[0].message} Run again."
        )
    rights = []
    with Journal(path) as journal:  # holds all rewards now
        items = [ScoringItem(pair.question, (pair.chosen, pair.rejected)) for pair in pairs]
        for name, scorer in scorers.items():
            scored = await run_scorer(name, scorer, items, journal)
            rights.append([_right(item.scores) for item in scored.items])
    rows = [_row(report, name, len(pairs)) for name in (PLAIN, STRUCTURED)]
    rows.append(
        {"way": OURS, **_pooled(rights, pairs), "seeds": [_row(report, name, len(pairs)) for name in scorers]}
    )
    rows += [_row(report, name, len(pairs)) for name in ("shorter wins", "longer wins")]
    return {"pairs": len(pairs), "questions": report.questions, "rows": rows}


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


def _right(scores: Sequence[float | None]) -> bool:
    chosen, rejected = scores
    return chosen is not None and rejected is not None and chosen > rejected


def _row(report: PairsReport, name: str, pairs: int) -> dict[str, Any]:
    """A way's counts and accuracy. A pair that could not be judged is not right, as a tie is not."""
    row = next(row for row in report.rows if (row.scorer, row.by) == (name, "all"))
    counts = {"right": row.right, "tie": row.tie, "wrong": row.wrong, "failed": row.failed}
    summary = report.judges.get(name)
    bias = {} if summary is None else {"consistent": summary.consistent, "first": summary.first}
    return {"way": name, **counts, "accuracy": row.accuracy and row.accuracy.model_dump(), **bias}


def _pooled(rights: list[list[bool]], pairs: list[Preference]) -> dict[str, Any]:
    """Accuracy over all seeds, its interval from resampling questions with the pairs and seeds of each."""
    keys = [question_key(pair.question) for pair in pairs]
    values = [float(right) for one in rights for right in one]
    return {"accuracy": estimate(values, keys * len(rights)).model_dump()}
