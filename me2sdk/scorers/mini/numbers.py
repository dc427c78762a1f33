"""Numbers, as they are written in digits and in words."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

__all__ = ["number_key", "number_words", "read_number"]

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_NUMBER_WORDS: dict[str, float] = {
    **{word: float(value) for value, word in enumerate(_SMALL.split())},
    "thirty": 30.0,
    "forty": 40.0,
    "fifty": 50.0,
    "sixty": 60.0,
    "seventy": 70.0,
    "eighty": 80.0,
    "ninety": 90.0,
    "hundred": 100.0,
    "thousand": 1000.0,
    "dozen": 12.0,
    "couple": 2.0,
    **dict.fromkeys(("twice", "double", "doubled"), 2.0),
    **dict.fromkeys(("triple", "thrice"), 3.0),
    **dict.fromkeys(("third", "thirds"), 1 / 3),
    **dict.fromkeys(("fourth", "fourths", "quarter"), 0.25),
    **dict.fromkeys(("fifth", "fifths"), 0.2),
    "half": 0.5,
}


def number_key(value: float) -> float:
    """``value`` rounded to five decimals, so that 0.1 + 0.2 and 0.3 are the same number."""
    return round(value, 5)


@lru_cache(maxsize=8192)
def read_number(written: str) -> float:
    """The value of a number as it is written, as `number_key` has it."""
    return number_key(float(written.replace(",", "")))


def number_words(words: Collection[str]) -> list[float]:
    """The values of the number words ("three", "half", "twice") among ``words``."""
    if _NUMBER_WORDS.keys().isdisjoint(words):
        return []
    return [_NUMBER_WORDS[word] for word in words if word in _NUMBER_WORDS]
