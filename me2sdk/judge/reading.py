"""Reading a judge's grade of a trace, or the order in which it puts several."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from me2sdk.judge.forms import HIGHEST
from me2sdk.prompts import read_object

__all__ = ["expected_grade", "read_grade", "read_order"]

_MARKER = r"<?[|｜]\s{0,4}decision\s{0,4}[|｜]>?"
# The same in words, only where a line or a sentence starts with it; "> Grade: 9" is a quotation.
_LABEL = (
    r"(?:^[*_#` \t]{0,8}|(?<=[.!?] ))(?:(?:so|thus|therefore|my|the|final|overall),?[ \t]{1,4}){0,4}"
    r"(?:decision|grade|score|rating|order|ranking)"
    r"[*_` \t]{0,4}(?::|=|\bis\b)"
)
_LEAD = re.compile(rf"(?P<marker>{_MARKER})|{_LABEL}", re.IGNORECASE | re.MULTILINE)
# Nothing follows a decision: it would be a reason, or a quotation.
_START, _END = r"[*_`:$\s]{0,8}(?:\\boxed\{)?", r"\}?[*_`$.\s]{0,20}\Z"
_NUMBER = r"(?P<value>\d{1,2}(?:\.\d{1,3})?)(?:[ \t]{0,2}(?:/|out of)[ \t]{0,2}10)?"
_ITEM = r"(?:trace[ \t]{0,2})?\d{1,2}"
_GRADE = re.compile(rf"{_START}{_NUMBER}{_END}", re.IGNORECASE)
# The last field of an object. Within a string of JSON its quotation marks would be escaped.
_GRADE_FIELD = re.compile(
    r'"grade"\s{0,8}:\s{0,8}"?(?P<value>\d{1,2}(?:\.\d{1,3})?)"?\s{0,20}\}\s{0,20}(?:`{3}\s{0,8})?\Z'
)
_ORDER = re.compile(
    rf"{_START}(?P<value>{_ITEM}(?:[ \t]{{0,4}}[>=,][ \t]{{0,4}}{_ITEM}){{0,20}}){_END}", re.IGNORECASE
)
# What some servers send as the last token.
_STOP = re.compile(r"(?:<[|｜/][^<>]{1,40}>)?")


def read_grade(said: str) -> float | None:
    """The grade at the end of a judge's answer, from 0 to 10, or None where it has none.

    It stands behind the last ``<|decision|>``; without one, behind "Grade:" or the like where a line or a sentence
    starts with it, or in the last field of a JSON object. Nothing follows it. A number alone counts where it is the
    whole answer.
    """
    found = _find_grade(said)
    grade = float(found["value"]) if found else math.inf
    return grade if grade <= HIGHEST else None


def _find_grade(said: str) -> re.Match[str] | None:
    if "grade" in (read_object(said) or {}):
        return _GRADE_FIELD.search(said)
    return _last_word(said, _GRADE) or _GRADE.fullmatch(said)


def read_order(said: str, count: int) -> list[list[int]] | None:
    """The order at the end of a judge's answer, or None where it does not hold each of the traces once.

    Args:
        said: what the judge said after its thinking.
        count: how many traces there are; they are numbered from 1.

    Returns:
        Places in the list of traces, from 0, best first; those that are equally good stand together.
    """
    stated = (read_object(said) or {}).get("order")
    found = None if isinstance(stated, list) else _last_word(said, _ORDER)
    if isinstance(stated, list):
        listed = [",".join(map(str, tier)) if isinstance(tier, list) else str(tier) for tier in stated]
    elif found:
        listed = re.split("[>,]", found["value"])
    else:
        return None
    tiers = [[int(number) - 1 for number in re.findall(r"\d{1,4}", tier)] for tier in listed]
    return tiers if sorted(place for tier in tiers for place in tier) == list(range(count)) else None


def _last_word(said: str, pattern: re.Pattern[str]) -> re.Match[str] | None:
    """The decision that ends an answer. Several in words alone may be quotations, so none of them counts.

    Neither do several markers on one line, which list choices: "<|decision|>1 > 2 or <|decision|>2 > 1".
    """
    leads = list(_LEAD.finditer(said))
    marked = [lead for lead in leads if lead["marker"]]
    if not marked and len(leads) != 1:
        return None
    if len(marked) > 1 and "\n" not in said[marked[-2].end() : marked[-1].start()]:
        return None
    return pattern.match(said, (marked or leads)[-1].end())


def expected_grade(response: Any, grade: float) -> float | None:
    """The mean of all grades, weighted by how probable the judge found each where it wrote its own.

    Args:
        response: what the provider sent, with log-probabilities of tokens in OpenAI's form.
        grade: the grade that was read.

    Returns:
        The mean, or None where there are no probabilities, or the grade is not found among the tokens.
    """
    choices = _field(response, "choices") or ()
    tokens = list(_field(_field(choices[0], "logprobs"), "content") or ()) if choices else []
    while tokens and _STOP.fullmatch(str(_field(tokens[-1], "token"))):
        tokens.pop()
    texts = [str(_field(token, "token")) for token in tokens]
    found = _find_grade("".join(texts))
    if found is None or float(found["value"]) != grade:
        return None
    start, place = found.start("value"), 0
    while start >= len(texts[place]):
        start -= len(texts[place])
        place += 1
    before, own = texts[place][:start].strip(), texts[place][start:].strip()
    chances: dict[int, float] = {}
    for text, chance in _alternatives(tokens[place]).items():
        value = text.removeprefix(before).strip()
        if re.fullmatch(r"\d|10", value):
            chances[int(value)] = chances.get(int(value), 0.0) + chance
    if own not in map(str, chances) or (int(own) != grade and (own, grade) != ("1", HIGHEST)):
        return None
    if own == "1":  # the next token says how much of it is the start of "10"
        ten = _alternatives(tokens[place + 1]).get("0", 0.0) if place + 1 < len(tokens) else 0.0
        chances[HIGHEST] = chances.get(HIGHEST, 0.0) + chances[1] * ten
        chances[1] *= 1 - ten
    elif HIGHEST not in chances:
        chances.pop(1, None)  # 1, or the start of 10
    total = sum(chances.values())
    return sum(value * chance for value, chance in chances.items()) / total if total else None


def _alternatives(token: Any) -> dict[str, float]:
    """The texts that could stand in the place of a token, itself among them, with their probabilities."""
    found: dict[str, float] = {}
    listed = (token, *(_field(token, "top_logprobs") or ()))
    chances = {str(_field(one, "token")): _field(one, "logprob") for one in listed}
    for text, logprob in chances.items():
        if isinstance(logprob, int | float):
            found[text.strip()] = found.get(text.strip(), 0.0) + math.exp(min(0.0, logprob))
    return found


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
