"""Numerals: digits in all the ways they are written, and numbers in words."""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["number_in_words", "read_number", "read_scaled"]

_PLAIN_NUMBER = re.compile(
    r"[+-]?\s?(?:\d{1,3}(?:,\d{3}){1,12}|\d{1,400})(?:\.\d{0,400})?|[+-]?\s?\.\d{1,400}"
)
_SCIENTIFIC = re.compile(
    r"([+-]?\d{1,40}(?:\.\d{1,40})?)(?:[eE]([+-]?\d{1,3})"
    r"|\s?(?:\\times|\\cdot|\*|x)\s?10\s?(?:\^|\*\*)\s?(?:\{\s?([+-]?\d{1,3})\s?\}|\(([+-]?\d{1,3})\)|([+-]?\d{1,3})))"
)
_RATIO = re.compile(
    r"([+-]?)\s?(?:(\d{1,40})\s)?([+-]?\d{1,40}(?:\.\d{1,40})?)\s?/\s?([+-]?\d{1,40}(?:\.\d{1,40})?)"
)
_FRACTION = re.compile(
    r"([+-]?)\s?(?:(\d{1,40})\s?)?\\frac\{\s?([+-]?\d{1,40})\s?\}\{\s?([+-]?\d{1,40})\s?\}"
)
_REPEATING = re.compile(r"([+-]?)(\d{0,40})\.(\d{0,40})\\overline\s?\{(\d{1,40})\}")
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORDS = {word: value for value, word in enumerate(_UNITS)} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}


def read_number(text: str) -> Fraction | None:
    """The value of a numeral in plain notation, or None: 1,000, 1.5e3, 3/4, 1 1/2; without a unit."""
    if _PLAIN_NUMBER.fullmatch(text):
        return Fraction(text.replace(",", "").replace(" ", "").rstrip("."))
    if match := _SCIENTIFIC.fullmatch(text):
        exponent = int(match[2] or match[3] or match[4] or match[5])
        return Fraction(match[1]) * Fraction(10) ** exponent
    if match := _REPEATING.fullmatch(text):  # 0.1666…
        whole, start, cycle = match[2] or "0", match[3], match[4]
        value = Fraction(f"{whole}.{start or 0}") + Fraction(
            int(cycle), (10 ** len(cycle) - 1) * 10 ** len(start)
        )
        return -value if match[1] == "-" else value
    match = _RATIO.fullmatch(text) or _FRACTION.fullmatch(text)
    if match is None:
        return None
    sign, whole, top, bottom = match[1], match[2], Fraction(match[3]), Fraction(match[4])
    if bottom == 0 or (sign and match[3][0] in "+-"):
        return None
    if whole is not None and not (0 < top < bottom and top.denominator == bottom.denominator == 1):
        return None  # 1 5/2 are two numbers
    value = (int(whole) if whole else 0) + top / bottom
    return -value if sign == "-" else value


def read_scaled(text: str) -> Fraction | None:
    """The value of a numeral that may have a word of scale behind it: 5 million."""
    number, _, scale = text.rpartition(" ")
    power = _SCALES.get(scale.lower())
    if not number or power is None:
        return read_number(text)
    value = read_number(number)
    return None if value is None else value * 10**power


def number_in_words(text: str) -> Fraction | None:
    """The value of an English number in words, or None: twelve, forty-two, three hundred and five."""
    words = text.lower().replace("-", " ").split()
    if not 1 <= len(words) <= 12 or (words[0] not in _WORDS and words[0] != "minus"):
        return None
    total = part = 0
    room = 100  # the next word must be smaller: forty two, but not two forty
    for word in words[words[0] == "minus" :]:
        if word in _WORDS:
            value = _WORDS[word]
            if value >= room:
                return None
            part, room = part + value, 10 if value >= 20 else 0
        elif word == "hundred" and 0 < part < 10:
            part, room = part * 100, 100
        elif word in _SCALES and part:
            total, part, room = total + part * 10 ** _SCALES[word], 0, 100
        elif word != "and" or room < 100:
            return None
    value = total + part
    return Fraction(-value if words[0] == "minus" else value)
