"""The features of a trace beside the other traces of its question.

What several traces share (a number, a result, a turn of words) is more often right than what one of them has alone: the
idea of a majority vote, and of minimum Bayes risk decoding, for traces whose answers cannot be compared. The similarity
is ``2 |A ∩ B| / (|A| + |B|)`` with the other traces' means, so a trace gains nothing by being longer than the others,
nor by being shorter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from typing import Any

from me2sdk.scorers.mini.question import Asked
from me2sdk.scorers.mini.reading import Reading

__all__ = ["RELATIVE", "compare"]

RELATIVE: dict[str, str] = {
    "shared_numbers": "how similar its numbers, those of the question apart, are to the other traces'",
    "shared_results": "how similar the numbers after its equals signs are to theirs",
    "shared_wording": "how similar its pairs of neighbouring words are to theirs",
    "lonely_numbers": "share of its numbers, those of the question apart, that no other trace has",
}
"""The relative features by name, with what each says."""


def compare(readings: Sequence[Reading], asked: Asked) -> list[dict[str, float]]:
    """Compute the relative features of all traces of a question.

    Args:
        readings: the traces, two or more.
        asked: the question.

    Returns:
        For each trace a value for every name of `RELATIVE`. The cost is linear in the traces' length in all.
    """
    numbers = [reading.numbers - asked.written for reading in readings]
    how_many = _count(numbers)
    columns = {
        "shared_numbers": _similarity(numbers),
        "shared_results": _similarity([reading.results for reading in readings]),
        "shared_wording": _similarity([reading.pairs for reading in readings]),
        "lonely_numbers": [
            sum(how_many[number] == 1 for number in own) / len(own) if own else 0.0 for own in numbers
        ],
    }
    return [{name: columns[name][index] for name in RELATIVE} for index in range(len(readings))]


def _similarity(sets: Sequence[Set[Any]]) -> list[float]:
    others = len(sets) - 1
    how_many = _count(sets)
    total = sum(map(len, sets))
    found = []
    for own in sets:
        shared = (sum(map(how_many.__getitem__, own)) - len(own)) / others
        size = len(own) + (total - len(own)) / others
        found.append(2.0 * shared / size if size else 0.0)
    return found


def _count(sets: Sequence[Set[Any]]) -> Counter[Any]:
    """How many of the sets hold each item."""
    how_many: Counter[Any] = Counter()
    for own in sets:
        how_many.update(own)
    return how_many
