"""Putting scored candidates in order."""

from __future__ import annotations

import math
from collections.abc import Sequence

from me2sdk.schema import Candidate, Select

__all__ = ["order"]


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
            weights[group] = weights.get(group, 0.0) + (
                1.0 if select == "vote" else _sigmoid(candidate.score)
            )
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


def _sigmoid(score: float | None) -> float:
    if score is None:
        return 0.0
    return 1 / (1 + math.exp(-score)) if score >= 0 else math.exp(score) / (1 + math.exp(score))
