"""Choosing among candidates: the settings of a choice, and the order that they put candidates in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import get_args

from me2sdk.errors import ConfigurationError, ScoringError
from me2sdk.schema import Candidate, Failure, RerankResult, Select
from me2sdk.scorers import Scorer
from me2sdk.stats import sigmoid
from me2sdk.verify import agroup_answers

__all__ = ["OnCandidate", "SelectionConfig", "order", "rank"]

OnCandidate = Callable[[Candidate], Awaitable[None] | None]


@dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """How many candidates there are to be, and how the best of them is chosen.

    Attributes:
        n: number of candidates.
        scorer: a scorer, or a name as `open_scorer` takes it.
        select: "best", "vote" or "weighted_vote", as in `order`.
        min_candidates: fewer than this is an error.
        on_candidate: called with each `Candidate` once it is scored; may be async. What it raises is logged.

    Raises:
        ConfigurationError: a setting cannot work.
    """

    n: int = 8
    scorer: str | Scorer = "mini"
    select: Select = "best"
    min_candidates: int = 1
    on_candidate: OnCandidate | None = None

    def __post_init__(self) -> None:
        if self.n < 1 or not 1 <= self.min_candidates <= self.n:
            raise ConfigurationError(
                f"n must be at least 1 and min_candidates between 1 and n; got n={self.n}, "
                f"min_candidates={self.min_candidates}."
            )
        if self.select not in get_args(Select):
            raise ConfigurationError(
                f"select must be one of {', '.join(get_args(Select))}; it is {self.select!r}."
            )


async def rank(
    candidates: Sequence[Candidate], selection: SelectionConfig, failures: Sequence[Failure]
) -> tuple[Candidate, ...]:
    """Candidates in order, best first; answers are compared where they vote.

    Args:
        candidates: the candidates, scored as far as they could be.
        selection: how to choose.
        failures: what failed so far.

    Returns:
        The same candidates in order.

    Raises:
        ScoringError: the order needs rewards, and no candidate has one.
    """
    select = selection.select
    scorable = [candidate for candidate in candidates if candidate.refusal is None]
    if scorable and select != "vote" and all(candidate.score is None for candidate in scorable):
        first = next(failure for failure in failures if failure.stage == "score")
        raise ScoringError(
            f"None of the {len(scorable)} candidates could be scored. {first.error}: {first.message} "
            "The candidates are in .partial.",
            partial=RerankResult(candidates=tuple(candidates), failures=tuple(failures), select=select),
        )
    groups = await agroup_answers([candidate.answer for candidate in candidates]) if select != "best" else []
    return tuple(order(candidates, select, groups))


def order(candidates: Sequence[Candidate], select: Select, groups: Sequence[int | None]) -> list[Candidate]:
    """Candidates in order, best first.

    Whatever ``select`` is, a candidate that was cut off stands behind every finished one, a refusal behind
    both, one without a score behind those with one, and ties go to the earlier candidate.

    Args:
        candidates: the candidates.
        select: "best" orders by reward; "vote" by how many candidates give the same answer; "weighted_vote"
            by the sum of sigmoid(reward) over the candidates that give it. Within one answer, candidates
            are ordered by reward. Unfinished candidates, refusals and those without an answer have no vote; if
            none has one, the order is that of "best".
        groups: for each candidate the number of its answer, equal where answers are equal; None where it
            has none. Ignored by "best".

    Returns:
        The same candidates in order.
    """
    if select == "best":
        groups = [None] * len(candidates)
    weights: dict[int, float] = {}
    first: dict[int, int] = {}
    for candidate, group in zip(candidates, groups, strict=True):
        if group is not None and not candidate.trace.truncated and candidate.refusal is None:
            weights[group] = weights.get(group, 0.0) + _weight(candidate, select)
            first[group] = min(first.get(group, candidate.index), candidate.index)

    def key(pair: tuple[Candidate, int | None]) -> tuple[float, ...]:
        candidate, group = pair
        weight, leader = (weights[group], first[group]) if group in weights else (-1.0, 0)
        score = candidate.score
        unscored = score is None
        refused = candidate.refusal is not None
        return (
            refused,
            candidate.trace.truncated,
            -weight,
            leader,
            unscored,
            -(score or 0.0),
            candidate.index,
        )

    return [candidate for candidate, _ in sorted(zip(candidates, groups, strict=True), key=key)]


def _weight(candidate: Candidate, select: Select) -> float:
    """What a candidate's vote counts."""
    if select == "vote":
        return 1.0
    return 0.0 if candidate.score is None else sigmoid(candidate.score)
