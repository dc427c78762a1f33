"""Judging preference pairs with an LLM: the paper's judge, or its prompt-only baseline."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from me2sdk._sync import all_or_none
from me2sdk.errors import ConfigurationError, ME2Error
from me2sdk.judge import PairVerdict, ajudge_pair
from me2sdk.llm import LLM
from me2sdk.schema import Usage, Value
from me2sdk.train.data import Preference
from me2sdk.train.evaluate.journal import Journal
from me2sdk.train.evaluate.scorers import EvaluationFailure, ScoringItem
from me2sdk.train.progress import OnProgress, Progress

__all__ = ["JudgedPair", "PairJudge", "run_judge"]

# Pairs under judgement, with and without structure: enough to keep an LLM busy (it limits the calls itself), and not
# so many that a budget which runs out leaves them all unfinished.
_AT_ONCE = {True: 16, False: 4}


@dataclass(frozen=True)
class PairJudge:
    """A judge and how it is to judge; the arguments are those of `judge_pair`.

    Attributes:
        model: the judge. Limits and budget are best given to an `LLM`, which then holds for all pairs.
        structure: False shows it raw traces: the paper's prompt-only baseline.
        repeats: judgements in each of the two orders.
        early_stop: stop asking once the votes can no longer agree.
        annotator: what builds the DAGs: None for the same model, or "local".
        params: sent with every call.
    """

    model: Any
    structure: bool = True
    repeats: int = 3
    early_stop: bool = False
    annotator: Literal["local"] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


class JudgedPair(Value):
    """A verdict on a pair, without its DAGs.

    Attributes:
        preference: "a" for the chosen trace, "b" for the rejected one, or "tie".
        rationale: why.
        dimensions: the preference on each dimension.
        votes: the aggregate judgements: order ("ab" where the chosen trace was shown first), repeat, decision.
        usage: what it cost.
    """

    preference: Literal["a", "b", "tie"]
    rationale: str
    dimensions: dict[str, str]
    votes: tuple[tuple[str, int, str], ...]
    usage: Usage

    @classmethod
    def of(cls, verdict: PairVerdict) -> JudgedPair:
        """What is kept of a verdict."""
        return cls(
            preference=verdict.preference,
            rationale=verdict.rationale,
            dimensions={str(name): one.preference for name, one in verdict.dimensions.items()},
            votes=tuple((vote.order, vote.repeat, vote.decision) for vote in verdict.aggregate),
            usage=verdict.usage,
        )

    @property
    def margin(self) -> float:
        """1.0 where the chosen trace is preferred, -1.0 where the rejected one is, else 0.0."""
        return {"a": 1.0, "b": -1.0, "tie": 0.0}[self.preference]

    @property
    def agreements(self) -> list[bool]:
        """For each repeat that was judged in both orders, whether they agree."""
        by_repeat: dict[int, list[str]] = {}
        for _, repeat, decision in self.votes:
            if decision != "failed":
                by_repeat.setdefault(repeat, []).append(decision)
        return [len(set(pair)) == 1 for pair in by_repeat.values() if len(pair) == 2]

    @property
    def first(self) -> list[bool]:
        """For each judgement that prefers a trace, whether it is the one shown first."""
        return [order[0] == decision for order, _, decision in self.votes if decision in ("a", "b")]


async def run_judge(
    name: str,
    judge: PairJudge,
    pairs: Sequence[Preference],
    journal: Journal,
    on_progress: OnProgress | None = None,
) -> tuple[list[JudgedPair | None], list[EvaluationFailure]]:
    """Judge pairs side by side, leaving out those that the journal holds.

    Returns:
        A verdict for each pair, None where there is none, and why there is none.

    Raises:
        ConfigurationError: the judge cannot work at all, or the journal was written with other settings.
    """
    llm = judge.model if isinstance(judge.model, LLM) else LLM(judge.model)
    settings = {
        "models": list(llm.models),
        "structure": judge.structure,
        "repeats": judge.repeats,
        "early_stop": judge.early_stop,
        "annotator": judge.annotator,
        "params": dict(judge.params),
    }
    found = journal.begin(name, settings)
    keys = [ScoringItem(pair.question, (pair.chosen, pair.rejected)).key for pair in pairs]
    todo = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in found}
    errors: dict[str, ME2Error] = {}
    finished = itertools.count(1)
    slots = asyncio.Semaphore(_AT_ONCE[judge.structure])

    async def one(key: str, pair: Preference) -> None:
        async with slots:
            try:
                verdict = await ajudge_pair(
                    pair.question,
                    pair.chosen,
                    pair.rejected,
                    model=llm,
                    repeats=judge.repeats,
                    structure=judge.structure,
                    early_stop=judge.early_stop,
                    annotator=judge.annotator,
                    **judge.params,
                )
            except ConfigurationError:
                raise
            except ME2Error as error:
                errors[key] = error
            else:
                journal.put(name, {key: JudgedPair.of(verdict).model_dump(mode="json")})
            if on_progress:
                on_progress(Progress(name, len(keys) - len(todo) + next(finished), len(keys)))

    await all_or_none(*(one(key, pair) for key, pair in todo.items()))
    verdicts = [JudgedPair.model_validate(found[key]) if key in found else None for key in keys]
    failures = [
        EvaluationFailure(by=name, item=place, error=type(error).__name__, message=str(error)[:2000])
        for place, key in enumerate(keys)
        if (error := errors.get(key)) is not None
    ]
    return verdicts, failures
