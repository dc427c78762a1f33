"""Scoring many traces in batches that survive a failure."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from me2sdk._jsonl import fingerprint
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Question, Trace, Value
from me2sdk.scorers import (
    FailureLimit,
    ScoredTrace,
    Scorer,
    is_joint,
    load_scorer,
    open_scorer,
    score_each,
)
from me2sdk.train.evaluate.journal import Journal
from me2sdk.train.progress import OnProgress, Progress

__all__ = [
    "EvaluationFailure",
    "ScoredItem",
    "ScoringItem",
    "run_scorer",
    "scorer_settings",
]

FAILURES_IN_A_ROW = 16
"""So many traces that cannot be scored, one after another, and a scorer is given up: its server is down."""
BATCH = 64
"""Most traces in one call of a scorer; an item with more of them gets its own call."""

_SETTINGS = (
    *("name", "version", "model", "base", "quantization", "dtype", "max_tokens", "revision"),
    *("trust_remote_code", "form", "reduction", "seed"),
)


class EvaluationFailure(Value):
    """Something that could not be measured. It counts neither as right nor as wrong.

    Attributes:
        by: the scorer, judge or annotator that failed.
        item: place of the record in the input, from 0.
        trace: which of its traces, or None where all are concerned.
        error: name of the exception class.
        message: what it said.
    """

    by: str
    item: int
    trace: int | None = None
    error: str
    message: str


def scorer_settings(scorer: Scorer) -> dict[str, Any]:
    """What a scorer's results depend on, as far as it says."""
    settings: dict[str, Any] = {"scorer": type(scorer).__name__}
    for name in _SETTINGS:
        value = getattr(scorer, name, None)
        if isinstance(value, str | int | float):
            settings[name] = value
    return settings


class ScoringItem(NamedTuple):
    """Traces of one question that belong together: a pair, or all candidates."""

    question: Question | None
    traces: Sequence[Trace]

    @property
    def key(self) -> str:
        """A fingerprint of question and traces."""
        texts = [[trace.reasoning, trace.response] for trace in self.traces]
        return fingerprint(json.dumps([self.question, texts], ensure_ascii=False))


class ScoredItem(NamedTuple):
    """The scores of an item's traces; None for those that could not be scored."""

    scores: list[float | None]
    truncated: list[int]


class ScorerRun(NamedTuple):
    """What `run_scorer` brings back: an entry for each item, failures, and the seconds that it took."""

    items: list[ScoredItem]
    failures: list[EvaluationFailure]
    seconds: float


async def run_scorer(
    name: str,
    scorer: str | Scorer,
    items: Sequence[ScoringItem],
    journal: Journal,
    on_progress: OnProgress | None = None,
) -> ScorerRun:
    """Score items in batches, leaving out those that the journal holds.

    A batch that fails is tried item by item and then trace by trace, so that one bad trace costs no other. After
    `FAILURES_IN_A_ROW` failures the rest is not tried any more and counts as failed.

    Args:
        name: the scorer's name in the journal and in failures.
        scorer: anything with ``score(question, traces)``, or a name as `open_scorer` takes it.
        items: what to score.
        journal: where finished items are kept.
        on_progress: called with a `Progress` after each batch.

    Raises:
        ConfigurationError: the scorer cannot work at all, or the journal was written with other settings.
    """
    started = time.perf_counter()
    scorer = open_scorer(scorer)
    found = journal.begin(name, scorer_settings(scorer))
    keys = [item.key for item in items]
    todo = {key: item for key, item in zip(keys, items, strict=True) if key not in found}
    if todo:
        await load_scorer(scorer)
    limit = FailureLimit(FAILURES_IN_A_ROW)
    fresh: dict[str, list[ScoredTrace]] = {}
    # A joint scorer would compare an item with others of the same question.
    for batch in _batches(todo, 1 if is_joint(scorer) else BATCH):
        done = await _score_batch(scorer, batch, limit)
        whole = {key: one for key, one in done.items() if all(trace.error is None for trace in one)}
        journal.put(name, {key: _item(one)._asdict() for key, one in whole.items()})
        fresh.update(done)
        if on_progress:
            on_progress(Progress(name, len(items) - len(todo) + len(fresh), len(items)))
    failures = [
        EvaluationFailure(
            by=name, item=place, trace=trace, error=type(error).__name__, message=str(error)[:2000]
        )
        for place, key in enumerate(keys)
        if key in fresh
        for trace, one in enumerate(fresh[key])
        if (error := one.error) is not None
    ]
    errors = [trace.error for one in fresh.values() for trace in one if trace.error is not None]
    if errors and len(errors) == sum(len(item.traces) for item in items):
        wrong = next((error for error in errors if isinstance(error, ConfigurationError)), None)
        if wrong is not None:  # nothing at all was scored, and nothing ever will be
            raise wrong
    scored = [_item(fresh[key]) if key in fresh else ScoredItem(**found[key]) for key in keys]
    return ScorerRun(scored, failures, time.perf_counter() - started)


def _batches(items: Mapping[str, ScoringItem], most: int) -> Iterator[dict[str, ScoringItem]]:
    batch: dict[str, ScoringItem] = {}
    size = 0
    for key, item in items.items():
        if batch and size + len(item.traces) > most:
            yield batch
            batch, size = {}, 0
        batch[key] = item
        size += len(item.traces)
    if batch:
        yield batch


async def _score_batch(
    scorer: Scorer, items: Mapping[str, ScoringItem], limit: FailureLimit
) -> dict[str, list[ScoredTrace]]:
    """The scored traces of each item."""
    scored = iter(
        await score_each(
            scorer,
            [item.question for item in items.values() for _ in item.traces],
            [trace for item in items.values() for trace in item.traces],
            groups=[len(item.traces) for item in items.values()],
            limit=limit,
        )
    )
    return {key: list(islice(scored, len(item.traces))) for key, item in items.items()}


def _item(scored: Sequence[ScoredTrace]) -> ScoredItem:
    return ScoredItem([one.score for one in scored], [one.truncated for one in scored])
