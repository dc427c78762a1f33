"""How often a vote among k of N candidates is right."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["DRAWS", "Ballot", "vote_curve"]

DRAWS = 2000
"""Subsets that are looked at: all of them where there are no more, else as many drawn at random."""

_Floats = npt.NDArray[np.float64]


class Ballot(NamedTuple):
    """One question's candidates.

    Attributes:
        groups: for each candidate the number of its answer, or None for no vote.
        standing: what decides between answers with equal votes, between candidates that give one answer, and where no
            candidate of a subset has a vote: the highest.
        correct: whether each one is right.
        rewards: what weighs the votes, as ``select="weighted_vote"`` does: from 1 for the lowest reward of a subset to
            nearly 1.5 for the highest; None for a candidate without one. Empty where all votes count the same.
    """

    groups: Sequence[int | None]
    standing: Sequence[float]
    correct: Sequence[bool]
    rewards: Sequence[float | None] = ()


def vote_curve(ballot: Ballot, ks: Sequence[int]) -> tuple[list[float], list[bool]]:
    """Expected accuracy of the answer with the heaviest votes among k candidates.

    Where votes and standing are equal, chances are.

    Returns:
        For each k the accuracy, and whether it is exact; else it is the mean over `DRAWS` subsets, the same at every
        call.
    """
    count = len(ballot.correct)
    orders = np.array([], dtype=np.intp)
    accuracy, exact = [], []
    for k in ks:
        exact.append(math.comb(count, k) <= DRAWS)
        if exact[-1]:
            subsets = np.array(list(itertools.combinations(range(count), k)), dtype=np.intp)
        else:
            if not orders.size:
                orders = np.random.default_rng(0).permuted(np.tile(np.arange(count), (DRAWS, 1)), axis=1)
            subsets = orders[:, :k]
        accuracy.append(float(_outcomes(ballot, subsets).mean()))
    return accuracy, exact


def _outcomes(ballot: Ballot, subsets: npt.NDArray[np.intp]) -> _Floats:
    """For each subset how likely its elected candidate is right."""
    inside = np.zeros((len(subsets), len(ballot.correct)), bool)
    np.put_along_axis(inside, subsets, True, axis=1)
    silent = 1 + max((one for one in ballot.groups if one is not None), default=0)  # those without a vote
    group = np.array([silent if one is None else one for one in ballot.groups])
    member = np.equal.outer(group, np.arange(silent + 1)).astype(float)
    standing = np.array(ballot.standing, float)
    votes = _weights(ballot.rewards, inside) @ member
    votes[:, silent] = 0.0
    best = np.stack(
        [np.where(inside & (group == one), standing, -np.inf).max(axis=1) for one in range(silent + 1)],
        axis=1,
    )
    elected = (votes > 0) & (votes >= votes.max(axis=1, keepdims=True) - 1e-9)
    elected[:, silent] = ~elected.any(axis=1)
    elected &= best >= np.where(elected, best, -np.inf).max(axis=1, keepdims=True)
    taken = inside & elected[:, group] & (standing >= best[:, group])
    chance = taken / np.maximum(1.0, taken @ member)[:, group]
    outcome: _Floats = chance @ np.array(ballot.correct, float) / elected.sum(axis=1)
    return outcome


def _weights(rewards: Sequence[float | None], inside: npt.NDArray[np.bool_]) -> _Floats:
    """What each vote counts: 1, and half the share of the subset's scored candidates with a lower reward."""
    if not rewards:
        return inside.astype(float)
    known = np.array([reward is not None for reward in rewards])
    values = np.array([0.0 if reward is None else reward for reward in rewards])
    scored = (inside & known).astype(float)
    lower = scored @ np.less.outer(values, values)
    weights: _Floats = inside + scored * lower / np.maximum(1.0, scored.sum(axis=1, keepdims=True)) / 2
    return weights
