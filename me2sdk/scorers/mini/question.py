"""What a question offers to a solution: its numbers, its words, and what it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from me2sdk.scorers.mini.numbers import number_key, number_words
from me2sdk.scorers.mini.reading import Reading, content_words

__all__ = ["Asked", "Phrase", "phrases", "read_question"]

Phrase = tuple[str, str, str, str]


@dataclass(slots=True, frozen=True)
class Asked:
    """A question as the features need it.

    Attributes:
        quantities: for each of its numbers, the numbers that it may turn up as in a solution (20%: 20, 0.2,
            0.8, …).
        known: all of these.
        written: its numbers as they are written.
        whole: whether all of its numbers are whole.
        words: its words.
        content: its content words.
        phrases: its runs of four tokens.
        asked_for: the content words of its last sentence.
    """

    quantities: tuple[frozenset[float], ...]
    known: frozenset[float]
    written: frozenset[str]
    whole: bool
    words: frozenset[str]
    content: frozenset[str]
    phrases: frozenset[Phrase]
    asked_for: frozenset[str]


def phrases(tokens: list[str]) -> list[Phrase]:
    """Every run of four tokens."""
    return list(zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False))


@lru_cache(maxsize=64)
def read_question(text: str) -> Asked:
    """Read a question. The last ones are remembered, since candidates are scored against the same one."""
    reading = Reading.of(text)
    values: list[tuple[float, bool]] = []
    runs: set[Phrase] = set()
    for sentence, tokens in zip(reading.sentences, reading.tokens, strict=True):
        runs.update(phrases(tokens))
        for token in tokens:
            found = [float(token.replace(",", ""))] if token[0].isdecimal() else number_words([token])
            percent = f"{token}%" in sentence or f"{token} percent" in sentence
            values += [(value, percent) for value in found]
    quantities = [_readings(value, percent) for value, percent in values]
    content = [words for tokens in reading.tokens if (words := content_words(tokens))]
    return Asked(
        # A one is hardly ever computed with, so it is not missed.
        quantities=tuple(readings for readings in dict.fromkeys(quantities) if 1.0 not in readings),
        known=frozenset().union(*quantities),
        written=frozenset(reading.numbers),
        whole=all(value % 1 == 0 and not percent for value, percent in values),
        words=frozenset(reading.words),
        content=frozenset().union(*content),
        phrases=frozenset(runs),
        asked_for=frozenset(content[-1]) if content else frozenset(),
    )


def _readings(value: float, percent: bool) -> frozenset[float]:
    """The numbers that a quantity of the question may turn up as."""
    readings = {value}
    if percent:
        readings |= {value / 100, 100 - value, 1 - value / 100, 100 + value, 1 + value / 100}
    elif 0 < value < 1:
        readings |= {1 - value, 1 / value, 1 + value}
    return frozenset(map(number_key, readings))
