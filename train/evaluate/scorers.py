"""Scoring many traces in batches that survive a failure."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from me2sdk._jsonl import fingerprint
from me2sdk.errors import ConfigurationError, InvalidTraceError, ScoringError
from me2sdk.schema import Question, Trace
from me2sdk.scorers import Scorer, ask_scorer
from me2sdk.train.evaluate.journal import Journal

__all__ = [
    "EvaluationFailure",
    "ScoredItem",
    "ScoringItem",
    "run_scorer",
    "scorer_settings",
]

PATIENCE = 16
"""Failures in a row after which a scorer is given up: its server is down, or it does not work at all."""
BATCH = 64
"""Most traces in one call of a scorer; an item with more of them gets a call of its own."""

Progress = Callable[[str, int, int], None]
"""Called with a scorer's or judge's name, how many items it has done, and how many there are."""

_SETTINGS = (
    *("name", "version", "model", "base", "quantization", "dtype", "max_tokens", "revision"),
    *("trust_remote_code", "form", "reduction", "seed"),
)


class EvaluationFailure(BaseModel):
    """Something that could not be measured. It counts neither as right nor as wrong.

    Attributes:
        by: the scorer, judge or annotator that failed.
        item: place of the record in the input, from 0.
        trace: which of its traces, or None where all are concerned.
        error: name of the exception class.
        message: what it said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    item: int
    trace: int | None = None
    error: str
    message: str


def scorer_settings(scorer: Scorer) -> dict[str, Any]:
    """What a scorer's results depend on, as far as it tells."""
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
    scorer: Scorer,
    items: Sequence[ScoringItem],
    journal: Journal,
    tell: Progress | None = None,
) -> ScorerRun:
    """Score items in batches, leaving out those that the journal holds.

    A batch that fails is tried item by item and then trace by trace, so that one bad trace costs no other. After
    `PATIENCE` failures in a row the rest is not tried any more and counts as failed.

    Args:
        name: the scorer's name in the journal and in failures.
        scorer: anything with ``score(question, traces)``.
        items: what to score.
        journal: where finished items are kept.
        tell: told about progress.

    Raises:
        ConfigurationError: the scorer cannot work at all, or the journal was written with other settings.
    """
    started = time.perf_counter()
    found = journal.begin(name, scorer_settings(scorer))
    keys = [item.key for item in items]
    todo = {key: item for key, item in zip(keys, items, strict=True) if key not in found}
    if todo and callable(load := getattr(scorer, "load", None)):
        await asyncio.to_thread(load)
    runner = _Runner(scorer)
    fresh: dict[str, _Attempt] = {}
    for batch in _batches(todo):
        done = dict(zip(batch, await runner.attempt([todo[key] for key in batch]), strict=True))
        whole = {key: one.item for key, one in done.items() if not one.errors}
        journal.put(name, {key: one._asdict() for key, one in whole.items()})
        fresh.update(done)
        if tell:
            tell(name, len(items) - len(todo) + len(fresh), len(items))
    failures = [
        EvaluationFailure(
            by=name, item=place, trace=trace, error=type(error).__name__, message=str(error)[:2000]
        )
        for place, key in enumerate(keys)
        if key in fresh
        for trace, error in fresh[key].errors.items()
    ]
    errors = [error for one in fresh.values() for error in one.errors.values()]
    if errors and len(errors) == sum(len(item.traces) for item in items):
        wrong = next((error for error in errors if isinstance(error, ConfigurationError)), None)
        if wrong is not None:  # nothing at all was scored, and nothing ever will be
            raise wrong
    scored = [fresh[key].item if key in fresh else ScoredItem(**found[key]) for key in keys]
    return ScorerRun(scored, failures, time.perf_counter() - started)


class _Attempt(NamedTuple):
    item: ScoredItem
    errors: dict[int, Exception]  # by trace


def _batches(items: Mapping[str, ScoringItem]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for key, item in items.items():
        if batch and size + len(item.traces) > BATCH:
            yield batch
            batch, size = [], 0
        batch.append(key)
        size += len(item.traces)
    if batch:
        yield batch


class _Runner:
    """A scorer at work, until it has failed too often in a row."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._in_a_row = 0

    async def attempt(self, items: Sequence[ScoringItem]) -> list[_Attempt]:
        """Score items together, or where that fails in ever smaller parts."""
        traces = [trace for item in items for trace in item.traces]
        try:
            if self._in_a_row >= PATIENCE:
                raise ScoringError(f"Not tried, since the scorer had failed {PATIENCE} times in a row.")
            scores = await ask_scorer(
                self._scorer, [item.question for item in items for _ in item.traces], traces
            )
        except Exception as error:
            if len(items) > 1:
                return [one for item in items for one in await self.attempt([item])]
            if len(traces) == 1:
                # What is wrong with a trace says nothing about the scorer.
                self._in_a_row += not isinstance(error, InvalidTraceError)
                return [_Attempt(ScoredItem([None], [0]), {0: error})]
            alone = [(await self.attempt([items[0]._replace(traces=[trace])]))[0] for trace in traces]
            together = ScoredItem(
                [one.item.scores[0] for one in alone], [one.item.truncated[0] for one in alone]
            )
            errors = {place: one.errors[0] for place, one in enumerate(alone) if one.errors}
            return [_Attempt(together, errors)]
        self._in_a_row = 0
        values, cuts = iter(scores), iter(scores.truncated)
        return [
            _Attempt(ScoredItem([next(values) for _ in item.traces], [next(cuts) for _ in item.traces]), {})
            for item in items
        ]
