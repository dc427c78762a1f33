"""What a question offers to a solution: its numbers, its words, and what it asks for.

Also the few text helpers that questions and traces share, so that both are cut into words in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from me2sdk.scorers.mini.arithmetic import Unit, number_key, read_units, word_number

__all__ = ["Asked", "Phrase", "content_stems", "phrases", "read_question", "restates"]

Phrase = tuple[str, str, str, str]

_RESTATES = 0.6  # share of a unit's phrases in the question from which it only restates that
_STOP = frozenset(
    "the and for are was were has have had that this with from she her his him they them their its will would can "
    "could should each all there then than what which who how many much more less into out per get gets got does did "
    "you your our not but when where also need needs let lets since because only one "
    "therefore thus hence finally answer boxed right".split()
)
_EXPECTED: tuple[tuple[frozenset[str], str], ...] = (
    (
        frozenset("each every per times twice double triple half quarter percent dozen third apiece".split()),
        "*/",
    ),
    (
        frozenset(
            "left remain remaining rest fewer less difference spent save saved lost remains change".split()
        ),
        "-",
    ),
    (frozenset("total altogether combined sum together both".split()), "+"),
)


@dataclass(slots=True, frozen=True)
class Asked:
    """A question as the features need it.

    Attributes:
        quantities: for each of its numbers, the numbers that it may turn up as in a solution (20%: 20, 0.2,
            0.8, …).
        known: all of these.
        whole: whether all of its numbers are whole.
        largest: the largest of its numbers, or 0.
        stems: its content words.
        phrases: its runs of four tokens.
        asked_for: the content words of its last sentence.
        operations: the operations that its wording calls for, one or two signs each.
        places: where each of its words stands first.
        labels: the content words around each number.
    """

    quantities: tuple[frozenset[float], ...]
    known: frozenset[float]
    whole: bool
    largest: float
    stems: frozenset[str]
    phrases: frozenset[Phrase]
    asked_for: frozenset[str]
    operations: tuple[str, ...]
    places: dict[str, int]
    labels: dict[float, frozenset[str]]


@lru_cache(maxsize=32768)
def _content_stem(word: str) -> str:
    """A crude stem, so that "egg" and "eggs" are the same word; "" for a word without content."""
    if len(word) < 3 or word in _STOP:
        return ""
    return word[:-1] if len(word) > 3 and word[-1] == "s" else word[:7]


def content_stems(words: list[str]) -> list[str]:
    """The stems of the content words among ``words``, in order."""
    return [stem for word in words if (stem := _content_stem(word))]


def phrases(unit: Unit) -> list[Phrase]:
    """Every run of four tokens of ``unit``."""
    raws = [token[1] for token in unit.tokens]
    return list(zip(raws, raws[1:], raws[2:], raws[3:], strict=False))


def restates(runs: list[Phrase], asked: Asked) -> bool:
    """Whether a unit with the phrases ``runs`` says no more than the question does."""
    return bool(runs) and sum(run in asked.phrases for run in runs) >= _RESTATES * len(runs)


@lru_cache(maxsize=64)
def read_question(text: str) -> Asked:
    """Read a question. The last ones are remembered, since candidates are scored against the same one."""
    values: list[tuple[float, bool]] = []
    said: set[str] = set()
    stems: set[str] = set()
    runs: set[Phrase] = set()
    asked_for: frozenset[str] = frozenset()
    places: dict[str, int] = {}
    labels: dict[float, set[str]] = {}
    for unit in read_units(text):
        content = content_stems(unit.words)
        asked_for = frozenset(content) or asked_for
        said.update(unit.words)
        stems.update(content)
        runs.update(phrases(unit))
        for stem in content:
            places.setdefault(stem, len(places))
        tokens = unit.tokens
        for index, (kind, raw, _, _) in enumerate(tokens):
            if kind == "n":
                value: float | None = float(raw.replace(",", ""))
            else:
                value = word_number(raw) if kind == "w" else None
            if value is None:
                continue
            percent = index + 1 < len(tokens) and tokens[index + 1][1] in ("%", "percent")
            values.append((value, percent))
            around = [token[1] for token in tokens[max(0, index - 3) : index + 6] if token[0] == "w"]
            labels.setdefault(number_key(value), set()).update(content_stems(around))
    quantities = [_readings(value, percent) for value, percent in values]
    return Asked(
        # A one is hardly ever computed with, so it is not missed.
        quantities=tuple(readings for readings in dict.fromkeys(quantities) if 1.0 not in readings),
        known=frozenset().union(*quantities),
        whole=all(value % 1 == 0 and not percent for value, percent in values),
        largest=max((value for value, _ in values), default=0.0),
        stems=frozenset(stems),
        phrases=frozenset(runs),
        asked_for=asked_for,
        operations=tuple(signs for cues, signs in _EXPECTED if not cues.isdisjoint(said)),
        places=places,
        labels={value: frozenset(around) for value, around in labels.items()},
    )


def _readings(value: float, percent: bool) -> frozenset[float]:
    """The numbers that a quantity of the question may turn up as."""
    readings = {value}
    if percent:
        readings |= {value / 100, 100 - value, 1 - value / 100, 100 + value, 1 + value / 100}
    elif 0 < value < 1:
        readings |= {1 - value, 1 / value, 1 + value}
    return frozenset(map(number_key, readings))
