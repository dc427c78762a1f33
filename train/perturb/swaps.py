"""One symbol taken for another: signs, sides of a minus, units, names, things that are counted, variables."""

from __future__ import annotations

import re
from collections.abc import Callable

from me2sdk.train.perturb.phrases import STARTERS
from me2sdk.train.perturb.text import Draft, equations

__all__ = ["swapped"]

_UNITS = (
    ("seconds", "minutes", "hours"), ("second", "minute", "hour"), ("days", "weeks", "months", "years"),
    ("day", "week", "month", "year"), ("dollars", "cents"), ("miles", "kilometers", "meters"), ("mile", "kilometer"),
    ("feet", "inches", "yards"), ("foot", "inch", "yard"), ("pounds", "ounces", "kilograms", "grams"),
    ("pound", "ounce", "kilogram", "gram"), ("gallons", "liters", "quarts", "cups"),
    ("gallon", "liter", "quart", "cup"),
    ("cm", "mm", "m", "km"), ("kg", "g"), ("perimeter", "area"), ("radius", "diameter"), ("width", "length", "height"),
    ("sum", "product", "difference"), ("numerator", "denominator"), ("odd", "even"), ("positive", "negative"),
    ("minimum", "maximum"), ("sine", "cosine"), ("row", "column"), ("rows", "columns"),
)  # fmt: skip
_OTHER_UNITS = {unit: [u for u in group if u != unit] for group in _UNITS for unit in group}
_UNIT = re.compile(rf"(?<![\w\\])(?:{'|'.join(sorted(_OTHER_UNITS, key=len, reverse=True))})(?!\w)")
_SIGN = re.compile(r"(?<=[\d)\w] )(?:[-+*/x×÷]|\\times|\\cdot|\\div)(?= \$?[\d(])|(?<=\d)[-+*/x×÷](?=\$?\d)")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{2,15}(?!\w)|(?<![\w.])[A-Z][a-z]{2,15}(?='s\b)")
_OPENING = re.compile(r"(?:^|(?<=[.?!]\s))([A-Z][a-z]{2,15}) (?=[a-z]+(?:s|ed)\b|is\b|was\b|had\b|has\b)")
_COUNTED = re.compile(r"(?<=\d )[a-z]{3,15}s(?!\w)")
_VARIABLE = re.compile(r"(?<![A-Za-z\\{])[a-zA-Z](?![A-Za-z'’])")
_OTHER_SIGN = {"+": "-*", "-": "+/", "*": "+/", "/": "*-", "x": "+/", "×": "+÷", "÷": "×-"}
_OTHER_COMMAND = {r"\times": "+", r"\cdot": "+", r"\div": r"\times"}


def swapped(draft: Draft, text: str) -> str | None:
    """``text`` with one symbol taken for another, or None where it holds none that could be."""
    ways: list[Callable[[Draft, str], str | None]] = [_sign, _sides, _unit, _name, _counted, _variable]
    draft.rng.shuffle(ways)
    for way in ways:
        made = way(draft, text)
        if made is not None and made != text:
            return made
    return None


def _sign(draft: Draft, text: str) -> str | None:
    found = equations(text)
    if not found:
        return None
    equation = draft.rng.choice(found)
    signs = list(_SIGN.finditer(equation.left))
    if not signs:
        return None
    sign = draft.rng.choice(signs)
    other: str = _OTHER_COMMAND.get(sign[0]) or draft.rng.choice(_OTHER_SIGN[sign[0]])
    left = equation.left[: sign.start()] + other + equation.left[sign.end() :]
    return text[: equation.start] + left + text[equation.start + len(equation.left) :]


def _sides(draft: Draft, text: str) -> str | None:
    """``16 - 4 = 12`` as ``4 - 16 = 12``."""
    found = []
    for equation in equations(text):
        sides = re.fullmatch(r"(\$?[\d.,]+)( ?[-/÷] ?)(\$?[\d.,]+)", equation.left)
        if sides and sides[1] != sides[3]:
            found.append((equation, sides))
    if not found:
        return None
    equation, sides = draft.rng.choice(found)
    turned = sides[3] + sides[2] + sides[1]
    return text[: equation.start] + turned + text[equation.start + len(equation.left) :]


def _unit(draft: Draft, text: str) -> str | None:
    found = list(_UNIT.finditer(text))
    if not found:
        return None
    match = draft.rng.choice(found)
    return text[: match.start()] + draft.rng.choice(_OTHER_UNITS[match[0]]) + text[match.end() :]


def _name(draft: Draft, text: str) -> str | None:
    """One person in place of another, of those that the question names."""
    asked = draft.question
    names = {*_NAME.findall(asked), *_OPENING.findall(asked)}
    names = {
        name
        for name in names
        if name.lower() not in STARTERS and not re.search(rf"\b{name.lower()}\b", asked)
    }
    here = sorted(name for name in names if re.search(rf"\b{name}\b", text))
    if not here or len(names) < 2:
        return None
    old = draft.rng.choice(here)
    new = draft.rng.choice(sorted(names - {old}))
    return re.sub(rf"\b{old}\b", new, text, count=1)


def _counted(draft: Draft, text: str) -> str | None:
    """One thing that is counted in place of another."""
    things: set[str] = set(_COUNTED.findall(draft.question))
    here = [match for match in _COUNTED.finditer(text) if match[0] in things]
    if not here or len(things) < 2:
        return None
    match = draft.rng.choice(here)
    other = draft.rng.choice(sorted(things - {match[0]}))
    return f"{text[: match.start()]}{other}{text[match.end() :]}"


def _variable(draft: Draft, text: str) -> str | None:
    """One variable in place of another, in a trace that has several."""
    if not re.search(r"[=^_\\]", text):
        return None
    known = {match[0] for match in _VARIABLE.finditer(draft.text[:20_000])} - {"a", "A", "I"}
    known = {name for name in known if re.search(rf"(?<![A-Za-z\\]){name} ?[=+^_<>]", draft.text)} - {"e"}
    here = [match for match in _VARIABLE.finditer(text) if match[0] in known]
    if not here or len(known) < 2:
        return None
    match = draft.rng.choice(here)
    return text[: match.start()] + draft.rng.choice(sorted(known - {match[0]})) + text[match.end() :]
