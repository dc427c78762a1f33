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


class Ballot(NamedTuple):
    """One question's candidates.

    Attributes:
        groups: for each candidate the number of its answer, or None for no vote.
        weights: what each one's vote counts; positive.
        scores: what decides where no candidate of a subset has a vote: the highest.
        correct: whether each one is right.
    """

    groups: Sequence[int | None]
    weights: Sequence[float]
    scores: Sequence[float]
    correct: Sequence[bool]


def vote_curve(ballot: Ballot, ks: Sequence[int]) -> tuple[list[float], list[bool]]:
    """Expected accuracy of the answer with the heaviest votes among k candidates.

    Equally heavy answers have equal chances, and so have the candidates that give one answer.

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


def _outcomes(ballot: Ballot, subsets: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """For each subset how likely its elected candidate is right."""
    size = 1 + max((group for group in ballot.groups if group is not None), default=0)
    group = np.array([size if one is None else one for one in ballot.groups])  # the last column has no vote
    weight, right = np.array(ballot.weights, float), np.array(ballot.correct, float)
    lines = np.arange(len(subsets))
    votes = np.zeros((len(subsets), size + 1))
    members, rights = votes.copy(), votes.copy()
    for column in subsets.T:
        np.add.at(votes, (lines, group[column]), weight[column])
        np.add.at(members, (lines, group[column]), 1)
        np.add.at(rights, (lines, group[column]), right[column])
    votes, members, rights = votes[:, :size], members[:, :size], rights[:, :size]
    present = members > 0
    heaviest = np.where(present, votes, -np.inf).max(axis=1, keepdims=True)
    elected = present & (votes >= heaviest - 1e-12)
    share = np.divide(rights, members, out=np.zeros_like(rights), where=present)
    outcome: npt.NDArray[np.float64] = (share * elected).sum(axis=1) / np.maximum(1, elected.sum(axis=1))
    silent = ~present.any(axis=1)
    if silent.any():
        scores = np.array(ballot.scores, float)[subsets[silent]]
        best = scores >= scores.max(axis=1, keepdims=True)
        outcome[silent] = (right[subsets[silent]] * best).sum(axis=1) / best.sum(axis=1)
    return outcome
