"""What candidates have in common, as far as it tells which answer is right.

Votes say how often an answer was given. How far the words of its candidates overlap says how independent those are: ten
copies of one text are one vote. How far the numbers of all candidates overlap says whether they went the same way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, islice

from me2sdk.schema import Question, question_text

__all__ = ["FEATURES", "Ballot", "Overlap", "leader_features", "word_overlap"]

_WORD = re.compile(r"[^\W\d_]{3,}")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_MOST = 4000  # different words, or numbers, that are looked at in one trace

FEATURES = ("votes", "margin", "independent", "independent_all", "unanswered", "numbers", "reward")
"""What the confidence in the leading answer is told from; `leader_features` says what each is."""


@dataclass(frozen=True)
class Ballot:
    """Who gives which answer.

    Attributes:
        members: for each answer, by its number, the places of the candidates that give it and may vote.
        weights: for each answer what its votes count together.
        candidates: number of all candidates.
        without: how many finished candidates give no answer. A text that breaks off is not finished.
    """

    members: dict[int, list[int]]
    weights: dict[int, float]
    candidates: int
    without: int = 0

    @property
    def voters(self) -> int:
        """How many candidates vote."""
        return sum(map(len, self.members.values()))

    @property
    def decides(self) -> bool:
        """Whether answers are what candidates have in common: at least as many give one as do not."""
        return bool(self.members) and self.voters >= self.without


class Overlap:
    """How far the words, and the numbers, of traces overlap: shared ones over all of both (Jaccard), for each pair.

    Args:
        texts: the traces as text.
        question: what was asked; a number that stands in it is not counted.
    """

    def __init__(self, texts: Sequence[str], question: Question | None = None) -> None:
        asked = _numbers(question_text(question))
        self.words = word_overlap(texts)
        self.numbers = _jaccard([_numbers(text) - asked for text in texts])

    def independent(self, places: Sequence[int]) -> float:
        """How many independent candidates some are worth: 1 where all write the same, at most their number."""
        return sum(1 / sum(self.words[one][other] ** 2 for other in places) for one in places)

    def shared_numbers(self, places: Sequence[int]) -> float:
        """Mean overlap of the numbers of two of some candidates; 0 for a single one."""
        pairs = [self.numbers[one][other] for one, other in combinations(places, 2)]
        return sum(pairs) / len(pairs) if pairs else 0.0


def leader_features(ballot: Ballot, leader: int, overlap: Overlap, rewards: Sequence[float]) -> list[float]:
    """What tells whether the leading answer is right, in the order of `FEATURES`.

    Args:
        ballot: who gives which answer.
        leader: number of the leading answer.
        overlap: how far the traces overlap.
        rewards: rewards of all candidates, standardised; 0 where there is none.

    Returns:
        Log-odds of its share of the weight (half a vote added on both sides); its lead over the next answer as a share
        of the weight; the logarithms of how many independent candidates give it, and vote at all; share of the
        candidates that have no vote; mean overlap of the numbers of those that vote; and its best reward less the best
        of the other answers.
    """
    total, weight = sum(ballot.weights.values()), ballot.weights[leader]
    second = max((w for answer, w in ballot.weights.items() if answer != leader), default=0.0)
    voters = [place for members in ballot.members.values() for place in members]
    best = {answer: max(rewards[i] for i in members) for answer, members in ballot.members.items()}
    others = [reward for answer, reward in best.items() if answer != leader]
    return [
        math.log((weight + 0.5) / (total - weight + 0.5)),
        (weight - second) / total,
        math.log(overlap.independent(ballot.members[leader])),
        math.log(overlap.independent(voters)),
        1 - len(voters) / ballot.candidates,
        overlap.shared_numbers(voters),
        best[leader] - max(others) if others else 0.0,
    ]


def word_overlap(texts: Sequence[str]) -> list[list[float]]:
    """For each pair of texts the words that both have over the words that either has, in [0, 1]."""
    return _jaccard([_distinct(_WORD, text.lower()) for text in texts])


def _numbers(text: str) -> set[str]:
    return _distinct(_NUMBER, text.replace(",", ""))


def _distinct(pattern: re.Pattern[str], text: str) -> set[str]:
    found: dict[str, None] = {}
    for match in islice(pattern.finditer(text), 50 * _MOST):
        found[match[0]] = None
        if len(found) == _MOST:
            break
    return set(found)


def _jaccard(sets: Sequence[set[str]]) -> list[list[float]]:
    table = [[1.0] * len(sets) for _ in sets]
    for (i, one), (j, other) in combinations(enumerate(sets), 2):
        shared = len(one & other)
        union = len(one) + len(other) - shared
        table[i][j] = table[j][i] = shared / union if union else 0.0
    return table
