r"""What an answer is: a number with its unit, a choice, a time of day, a collection, a formula or words.

`read_value` reads text into a `Value`, in one form for what is equal without doubt. What remains to be compared
is the work of `me2sdk.verify.equality`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from me2sdk.traces import single_number
from me2sdk.verify.arithmetic import Evaluation, evaluate
from me2sdk.verify.notation import FUNCTIONS, LONGEST, WORD, plain
from me2sdk.verify.numerals import number_in_words, read_number, read_scaled
from me2sdk.verify.units import Unit, read_unit
from me2sdk.verify.value import Kind, Value

__all__ = ["read_value"]

_MONEY = re.compile(r"([+-]?)\s?([$€£¥])\s?(.{1,60})")
_NUMBER_FIRST = re.compile(
    r"([+-]?\s?(?:\d{1,3}(?:,\d{3}){1,12}|\d{1,400})?(?:\.\d{1,400})?"
    r"(?:[eE][+-]?\d{1,3}|\s?(?:\\times|\\cdot)\s?10\^\{?[+-]?\d{1,3}\}?)?(?:\s?\d{1,40}\s?/\s?\d{1,40}|/\d{1,40}|\s?\\frac\{\d{1,40}\}\{\d{1,40}\})?)"
    r"\s?-?\s?([^\W\d_].{0,80}|\([^\W\d_][^()]{0,60}\)|[°$€£¥¢].{0,20})"
)
_BASE = re.compile(r"([0-9a-fA-F]{1,200})\s?_\s?\{?\s?(\d{1,2})\s?\}?")
_CHOICE = re.compile(
    r"(?:(?:option|choice|answer|statement):?\s)?(?:\(([A-Ja-j])\)|\[([A-Ja-j])\]|([A-Ja-j])(?=[.):]|$))[.):]?(?:\s(.{1,400})|)",
    re.IGNORECASE,
)
_TIME = re.compile(r"(\d{1,2})(?::([0-5]\d))?(?::([0-5]\d))?\s?(?:([ap])\.?\s?m\b\.?)?", re.IGNORECASE)
_APPROXIMATE = re.compile(
    r"(?:\\approx|~|(?:about|approximately|approx\.?|around|roughly|nearly|almost|circa)\s)\s?(.{1,400})",
    re.I,
)
_OPAQUE = re.compile(
    r"\\(?:neq|not|(?:left|Right|Left|leftright|Leftright|up|down|long\w{0,20}|hookright|x\w{0,10})?arrow|to|mapsto|equiv"
    r"|cong|pmod|mod|bmod|mp|ll|gg|propto|neg|nmid|mid|perp|parallel)(?![a-zA-Z])|->|<-|=>|!=|\?"
)
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}/\d{1,2}/\d{4}")
_SPOKEN = {
    "infinity": "\\infty",
    "no solution": "\\emptyset",
    "no solutions": "\\emptyset",
    "empty set": "\\emptyset",
    "the empty set": "\\emptyset",
    "\\{\\}": "\\emptyset",
    "\\mathbb {r}": "(-\\infty,\\infty)",
    "\\mathbb{r}": "(-\\infty,\\infty)",
    "all real numbers": "(-\\infty,\\infty)",
}
_RELATION = re.compile(r"(<=|>=|\\le(?![a-z])|\\ge(?![a-z])|<|>|==?|\\in(?![a-z]))")
_NAME = re.compile(
    r"(?:\\[a-zA-Z]{2,12}|[a-zA-Z])\s?(?:_\s?(?:\{\w{1,12}\}|\w))?'{0,2}(?:\s?\([a-zA-Z](?:,\s?[a-zA-Z]){0,3}\))?"
)
_WORDY_NAME = re.compile(r"[a-zA-Z][a-zA-Z ]{1,40}")
_COMMANDS = frozenset("pi infty sqrt frac emptyset".split())


@lru_cache(maxsize=4096)
def read_value(answer: str) -> Value:
    """Read an answer; whatever it is, it comes out as some `Value`."""
    if len(answer) > LONGEST:
        return Value("opaque", " ".join(answer.split()).casefold(), answer[:LONGEST], certain=False)
    text = plain(answer)
    return _read(text, 0)


def _read(text: str, depth: int) -> Value:
    text = _SPOKEN.get(text.casefold(), text)
    if not text or depth > 8:
        return _opaque(text)
    if _DATE.fullmatch(text):  # no subtraction
        return _opaque(text)
    for reader in (_choice, _number, _money, _time, _quantity, _with_base):
        if value := reader(text):
            return value
    if match := _APPROXIMATE.fullmatch(text):
        inner = _read(match[1], depth + 1)
        return Value("opaque", ("approx", inner.core, inner.unit), text, certain=False)
    if _OPAQUE.search(text):
        return _opaque(text)
    if text.count("\\pm") == 1:
        both = tuple(
            _read(" ".join(text.replace("\\pm", sign).split()).removeprefix("+").strip(), depth + 1)
            for sign in "+-"
        )
        return _collection("list", both, text)
    return _related(text, depth) or _collected(text, depth) or _formula_or_words(text)


def _opaque(text: str, *, certain: bool = True) -> Value:
    return Value("opaque", "".join(text.split()), text, certain=certain)


def _number(text: str) -> Value | None:
    value = read_scaled(text)
    if value is None:
        value = number_in_words(text)
    if value is not None:
        return Value("number", value, text)
    if text.endswith("%") or text.lower().endswith((" percent", " per cent")):
        body = re.sub(r"\s?(?:%|per\s?cent)$", "", text, flags=re.I)
        value = read_number(body)
        if value is not None:
            return Value("number", value, body, unit=Unit("%", "ratio", Fraction(1, 100)))
    return None


def _money(text: str) -> Value | None:
    match = _MONEY.fullmatch(text)
    value = read_scaled(match[3].strip()) if match else None
    if match is None or value is None:
        return None
    return Value("number", -value if match[1] == "-" else value, match[3], unit=read_unit(match[2]))


def _quantity(text: str) -> Value | None:
    match = _NUMBER_FIRST.fullmatch(text)
    if match is None or not match[1].strip():
        return None
    number, words = match[1].strip(), match[2].strip()
    value, unit = read_number(number), read_unit(words.strip("()"))
    first, _, rest = words.partition(" ")
    if (scaled := read_scaled(f"{number} {first}")) is not None:  # 5 million dollars
        value, unit = scaled, read_unit(rest)
    if value is None or unit is None:
        return None
    return Value("number", value, number, unit=unit)


def _with_base(text: str) -> Value | None:
    match = _BASE.fullmatch(text)
    if match is None:
        return None
    try:
        return Value("number", Fraction(int(match[1], int(match[2]))), text)
    except ValueError:  # 1019_2, or a variable
        return None


def _choice(text: str) -> Value | None:
    match = _CHOICE.fullmatch(text)
    if match is None:
        return None
    letter = match[1] or match[2] or match[3]
    if text == letter and letter in "efghij":  # a bare e or i is a number or a variable
        return None
    return Value("choice", letter.upper(), text, said=(match[4] or "").strip())


def _time(text: str) -> Value | None:
    match = _TIME.fullmatch(text)
    if match is None or not (match[2] or match[4]):
        return None
    hour, minute, second, half = (
        int(match[1]),
        int(match[2] or 0),
        int(match[3] or 0),
        (match[4] or "").lower(),
    )
    if hour > 24 or (half and not 1 <= hour <= 12):
        return None
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    # 5:30 may be either; 17:30 and 0:30 may not.
    known = half or ("p" if hour > 12 else "a" if hour == 0 else "")
    clock = hour % 12 * 3600 + minute * 60 + second
    return Value("time", clock, text, unit=Unit(f"{known}m", "half of the day") if known else None)


def _related(text: str, depth: int) -> Value | None:
    parts = [part.strip() for part in _RELATION.split(text)]
    if len(parts) == 1:
        return None
    signs = ["=" if sign == "==" else {"\\le": "<=", "\\ge": ">="}.get(sign, sign) for sign in parts[1::2]]
    sides = parts[0::2]
    if any(_splits(side, ",") or " or " in f" {side} " or " and " in f" {side} " for side in sides):
        return None  # x = 1, x = 2
    if not all(sides):
        return _opaque(text)
    if all(sign == "=" for sign in signs):
        return _equation(sides, text, depth)
    if signs == ["\\in"] and _is_name(sides[0]):
        return _named(_read(sides[1], depth + 1), sides[0])
    return _inequality(sides, signs, text, depth) or Value("equation", _squeezed(text), text)


def _equation(sides: list[str], text: str, depth: int) -> Value:
    """``x = 5`` is 5 said of x, ``6 * 7 = 42`` is 42, ``41 = 42`` is nothing but itself."""
    last = _read(sides[-1], depth + 1)
    if _is_name(sides[0]) or (_WORDY_NAME.fullmatch(sides[0]) and sides[0] not in FUNCTIONS):
        if len(sides) == 2 or _agree(sides[1:]):
            return _named(last, sides[0])
    elif _is_name(sides[-1]) and len(sides) == 2:
        return _named(_read(sides[0], depth + 1), sides[-1])
    elif _agree(sides):
        return last
    elif not any(evaluate(side).variables for side in sides) and evaluate(sides[0]).differs(
        evaluate(sides[-1])
    ):
        return _opaque(text)  # 41 = 42
    return Value("equation", _squeezed(text), text)


def _agree(sides: list[str]) -> bool:
    """Whether all sides are constants or formulas with the same value."""
    values = [
        Evaluation((n,)) if (n := _read(side, 7).number) is not None else evaluate(side) for side in sides
    ]
    return all(values[0].differs(value) is False for value in values[1:])


def _named(value: Value, name: str) -> Value:
    return Value(
        value.kind, value.key, value.text, _squeezed(name), value.unit, value.items, value.said, value.certain
    )


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None and text.removeprefix("\\").strip() not in _COMMANDS


def _inequality(sides: list[str], signs: list[str], text: str, depth: int) -> Value | None:
    """A range of one variable as the interval it is: ``x < 3`` as all below 3."""
    if len(sides) == 2 and _is_name(sides[1]) and not _is_name(sides[0]):
        sides, signs = sides[::-1], [sign.translate(str.maketrans("<>", "><")) for sign in signs]
    if len(sides) == 2 and _is_name(sides[0]) and signs[0] in ("<", "<=", ">", ">="):
        bound = _read(sides[1], depth + 1)
        closed = signs[0].endswith("=")
        if signs[0][0] == "<":
            return _interval("(", _INFINITY[0], bound, "]" if closed else ")", sides[0], text)
        return _interval("[" if closed else "(", bound, _INFINITY[1], ")", sides[0], text)
    if len(sides) == 3 and _is_name(sides[1]) and signs[0][0] == signs[1][0] in "<>":
        low, high = _read(sides[0], depth + 1), _read(sides[2], depth + 1)
        if signs[0][0] == ">":
            low, high, signs = high, low, signs[::-1]
        opening, closing = ("[" if len(signs[0]) == 2 else "("), ("]" if len(signs[1]) == 2 else ")")
        return _interval(opening, low, high, closing, sides[1], text)
    return None


_INFINITY = (
    Value("formula", ("text", "-\\infty"), "-\\infty"),
    Value("formula", ("text", "\\infty"), "\\infty"),
)


def _interval(opening: str, low: Value, high: Value, closing: str, name: str, text: str) -> Value:
    if (opening, closing) == ("(", ")"):  # (1, 2): a point or an interval, by the question
        return Value("tuple", ("()", low.core, high.core), text, _squeezed(name), items=(low, high))
    return Value(
        "interval", (opening + closing, low.core, high.core), text, _squeezed(name), items=(low, high)
    )


def _collected(text: str, depth: int) -> Value | None:
    """Tuples, sets, intervals, unions, and plain enumerations."""
    parts = _splits(text, "\\cup")
    if parts:
        return _collection("union", tuple(_read(part, depth + 1) for part in parts), text)
    opening, closing = text[:1], text[-1:]
    if text.startswith("{") and text.endswith("}") and _closes_at_end(text) and _splits(text[1:-1], ","):
        text = f"\\{text[:-1]}\\}}"
    if text.startswith("\\{") and text.endswith("\\}") and (inner := text[2:-2].strip()):
        items = _splits(inner, ",") or [inner]
        if not any(sign in inner for sign in ("|", ":", "\\mid")):
            return _collection("list", tuple(_read(item, depth + 1) for item in items), text)
        return None
    if opening in "([" and closing in ")]" and _closes_at_end(text):
        items = _splits(text[1:-1], ",")
        values = tuple(_read(item, depth + 1) for item in items)
        if len(items) == 2 and opening + closing != "()":
            return Value("interval", (opening + closing, *(v.core for v in values)), text, items=values)
        if items and opening + closing in ("()", "[]"):
            return Value("tuple", ("()", *(v.core for v in values)), text, items=values)
        return None
    items = _splits(text, ",") or _splits(text, ";")
    items = [
        part
        for item in items or [text]
        for part in re.split(r"\s(?:and|or)\s|^(?:and|or)\s", item)
        if part.strip()
    ]
    if len(items) < 2:
        return None
    values = tuple(_read(item.strip(), depth + 1) for item in items)
    if any(value.kind in ("words", "opaque") for value in values) and not all(
        value.kind == "words" for value in values
    ):
        return None
    if all(value.kind == "words" for value in values) and ("," not in text or len(text) > 80):
        return None
    if any(value.kind == "interval" or (value.kind == "tuple" and value.name) for value in values):
        return _collection("union", values, text)
    return _collection("list", values, text)


def _collection(kind: Kind, values: tuple[Value, ...], text: str) -> Value:
    names = {value.name for value in values}
    name = names.pop() if len(names) == 1 else ""  # x = 1 or x = 2
    if name:
        values = tuple(_named(value, "") for value in values)
    distinct = {(value.core, value.name, value.unit): value for value in values}
    key = tuple(sorted(map(repr, distinct)))
    return Value(kind, key, text, name, items=tuple(distinct.values()))


def _closes_at_end(text: str) -> bool:
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0 and place < len(text) - 1:
            return False
    return depth == 0


def _splits(text: str, separator: str) -> list[str]:
    """The parts between separators outside brackets; none where there is no separator."""
    if separator not in text:
        return []
    parts, depth, start, place = [], 0, 0, 0
    while place < len(text):
        letter = text[place]
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0 and text.startswith(separator, place):
            parts.append(text[start:place].strip())
            place += len(separator)
            start = place
        else:
            place += 1
    parts.append(text[start:].strip())
    return parts if len(parts) > 1 and all(parts) else []


def _formula_or_words(text: str) -> Value:
    words = [word for word in WORD.findall(text) if word not in FUNCTIONS and word != "pi"]
    has_signs = re.search(r"[\d\\^_=+*/<>|()!-]", text) is not None
    if any(len(word) > 2 for word in words) or (
        words and not has_signs and any(len(word) > 1 for word in words)
    ):
        number = single_number(text)
        if number is not None:
            inner = plain(number)
            value = _number(inner) or _money(inner) or _quantity(inner)
            if value:
                return value
        return Value(
            "words",
            " ".join(re.findall(r"\w+|[^\w\s]", text.casefold().replace('"', "").rstrip("!?."))),
            text,
        )
    found = evaluate(text)
    if found.too_large:
        return _opaque(text, certain=False)
    if (constant := found.constant) is not None:
        return Value("number", constant, text)
    if found.exact:
        return Value("formula", ("values", found.values), text)
    return Value("formula", ("text", _squeezed(text)), text)


def _squeezed(text: str) -> str:
    """Without the spaces that mean nothing; those between two numbers or behind a command stay."""
    return re.sub(r"(?<![a-zA-Z\d])\s|\s(?![a-zA-Z\d])", "", text)
