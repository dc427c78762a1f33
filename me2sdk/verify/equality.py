"""Whether two answers are equal: by their canonical forms where these decide, else by math-verify.

Symmetric by construction: the two sides are put in one order before anything is asked about them.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Literal, NamedTuple

from me2sdk.verify.arithmetic import Evaluation
from me2sdk.verify.notation import LONGEST, to_latex
from me2sdk.verify.units import same_unit
from me2sdk.verify.value import Value
from me2sdk.verify.values import read_value
from me2sdk.verify.worker import Worker

__all__ = ["Comparison", "ask_math_verify", "compare", "equal_answers", "math_text", "same_labels"]

Outcome = Literal["right", "wrong", "undecided"]

_COLLECTIONS = ("tuple", "list", "interval", "union")


class Comparison(NamedTuple):
    """How two values compare.

    Attributes:
        equal: whether they are equal; None where that cannot be told.
        ask: whether math-verify can tell more; ``equal`` then says what to think without it.
    """

    equal: bool | None
    ask: bool = False


_EQUAL, _DIFFERENT, _UNKNOWN = Comparison(True), Comparison(False), Comparison(None)
_ASK = Comparison(False, ask=True)

_LONG_DECIMAL = re.compile(r"\.\d{6}")

_worker = Worker()


def equal_answers(gold: str, answer: str) -> tuple[bool | None, str]:
    """Whether two answers are equal (None: cannot tell), and what decided: "text", "math-verify" or "none"."""
    if gold == answer:
        return True, "text"
    one, other = read_value(gold), read_value(answer)
    found = compare(one, other)
    if found.ask and importlib.util.find_spec("math_verify") is not None:
        return ask_math_verify(one, other), "math-verify"
    if found.equal is None and max(len(gold), len(answer)) > LONGEST:
        return None, "none"
    return found.equal, "text"


def ask_math_verify(
    one: Value, other: Value, seconds: float | None = None, each: float = 15.0
) -> bool | None:
    """What math-verify says of two values, in one order whichever comes first."""
    first, second = sorted((math_text(one, other), math_text(other, one)))
    return _worker.equal(first, second, seconds=seconds, each=each)


def math_text(value: Value, beside: Value) -> str:
    """A value as LaTeX; with its name where the other is an equation, or is said of something else."""
    named = value.name and (beside.kind == "equation" or (beside.name and beside.name != value.name))
    return to_latex(f"{value.name} = {value.text}" if named and value.kind == "formula" else value.text)


def compare(one: Value, other: Value) -> Comparison:
    """Compare two values by their canonical forms."""
    if "opaque" in (one.kind, other.kind):
        return _compare_opaque(one, other)
    if "choice" in (one.kind, other.kind):
        return _compare_choices(one, other)
    if "words" in (one.kind, other.kind):
        return _compare_words(one, other)
    if "time" in (one.kind, other.kind):
        return _compare_times(one, other)
    if "equation" in (one.kind, other.kind):
        return _compare_equations(one, other)
    if one.kind in _COLLECTIONS or other.kind in _COLLECTIONS:
        return _compare_collections(one, other)
    if one.number is not None and other.number is not None:
        return _with_names(_compare_numbers(one, other), one, other)
    return _compare_formulas(one, other)


def same_labels(one: Value, other: Value) -> bool | None:
    """Whether names and units go together: one that is missing goes with any."""
    units = True if one.unit is None or other.unit is None else same_unit(one.unit, other.unit)
    names = True if not one.name or not other.name or one.name == other.name else None
    return False if units is False else units and names


def _with_names(found: Comparison, one: Value, other: Value) -> Comparison:
    return _UNKNOWN if found.equal and one.name and other.name and one.name != other.name else found


def _compare_opaque(one: Value, other: Value) -> Comparison:
    if one.core == other.core:
        return _EQUAL
    if one.certain and other.certain:
        return _DIFFERENT
    for about, exact in ((one, other), (other, one)):
        if isinstance(about.key, tuple) and exact.number is not None and about.key[1][0] == "number":
            return _UNKNOWN if about.key[1] == exact.core else _DIFFERENT
    return _UNKNOWN


def _compare_choices(one: Value, other: Value) -> Comparison:
    if one.kind == other.kind:
        return _EQUAL if one.key == other.key else _DIFFERENT
    choice, value = (one, other) if one.kind == "choice" else (other, one)
    if choice.said:
        return compare(read_value(choice.said), value)
    if value.kind == "formula" and len(choice.text) == 1:
        return _compare_formulas(Value("formula", ("text", choice.text), choice.text), value)
    return _EQUAL if choice.text.casefold() == value.text.casefold() else _DIFFERENT


def _compare_words(one: Value, other: Value) -> Comparison:
    if one.kind == other.kind:
        return _EQUAL if one.key == other.key else _DIFFERENT
    words, value = (one, other) if one.kind == "words" else (other, one)
    return _ASK if value.kind == "formula" and len(words.text) <= 3 else _DIFFERENT


def _compare_times(one: Value, other: Value) -> Comparison:
    if one.kind == other.kind:
        if one.key != other.key:
            return _DIFFERENT
        return _DIFFERENT if same_labels(one, other) is False else _EQUAL
    time, value = (one, other) if one.kind == "time" else (other, one)
    # 5 pm where the question asks for the hour
    is_hour = ":" not in time.text and value.number is not None and value.unit is None
    hour = read_value(time.text.rstrip("apmAPM. ")).number if is_hour else None
    return _EQUAL if hour is not None and hour == value.number else _DIFFERENT


def _compare_equations(one: Value, other: Value) -> Comparison:
    if one.core == other.core:
        return _EQUAL
    if one.kind == other.kind:
        return _ASK
    value = other if one.kind == "equation" else one
    return _ASK if value.name and value.kind == "formula" else _DIFFERENT


def _compare_numbers(one: Value, other: Value) -> Comparison:
    assert one.number is not None
    assert other.number is not None
    same = one.number == other.number
    if one.unit is not None and other.unit is not None:
        if one.unit.dimension != other.unit.dimension:
            known = one.unit.dimension and other.unit.dimension
            return _DIFFERENT if known or not same else _UNKNOWN
        if one.unit.factor is not None and other.unit.factor is not None:
            return _EQUAL if one.number * one.unit.factor == other.number * other.unit.factor else _DIFFERENT
        return Comparison(same and same_unit(one.unit, other.unit))
    if same:
        return _EQUAL
    share = _share(one) if one.unit is not None else _share(other)
    return Comparison(share is not None and share in (one.number, other.number))


def _share(value: Value) -> Fraction | None:
    """A percentage as the number it is."""
    is_share = value.unit is not None and value.unit.dimension == "ratio" and value.number is not None
    return value.number / 100 if is_share and value.number is not None else None


def _compare_formulas(one: Value, other: Value) -> Comparison:
    if one.name and other.name and one.name != other.name:
        return _ASK  # y = x + 1, x = y - 1
    if one.core == other.core:
        return _EQUAL
    mine, theirs = _evaluation(one), _evaluation(other)
    differs = mine.differs(theirs)
    if differs is True:
        return _DIFFERENT
    if differs is False:
        if mine.exact and theirs.exact:
            return _EQUAL
        # A root that only agrees with a decimal to many digits is not that decimal.
        rounded = mine.exact or theirs.exact or _LONG_DECIMAL.search(f"{one.text} {other.text}")
        return _ASK if rounded else _EQUAL
    return _ASK


def _evaluation(value: Value) -> Evaluation:
    if value.number is not None and value.unit is not None and len(value.unit.name) == 1:
        return Evaluation()  # 5 m, or 5 times a variable
    return value.evaluation


def _compare_collections(one: Value, other: Value) -> Comparison:
    if one.core == other.core:
        return _with_names(_EQUAL, one, other)
    if one.kind not in _COLLECTIONS or other.kind not in _COLLECTIONS:
        many, single = (one, other) if one.kind in _COLLECTIONS else (other, one)
        if many.kind == "list" and len(many.items) == 1:
            return compare(many.items[0], single)
        return (
            _ASK if single.kind == "formula" and "\\" in single.text and many.kind != "tuple" else _DIFFERENT
        )
    kinds = {one.kind, other.kind}
    if len(one.items) != len(other.items):
        return _ASK if "union" in kinds and "interval" in kinds else _DIFFERENT
    if len(kinds) == 2 and kinds != {"tuple", "list"}:
        return _DIFFERENT
    if (
        one.kind == other.kind == "interval"
        and one.text[:1] + one.text[-1:] != other.text[:1] + other.text[-1:]
    ):
        return _DIFFERENT if _brackets(one) != _brackets(other) else _in_order(one, other)
    return _in_order(one, other) if kinds != {"list"} and kinds != {"union"} else _in_any_order(one, other)


def _brackets(value: Value) -> str:
    return str(value.key[0]) if isinstance(value.key, tuple) else ""


def _in_order(one: Value, other: Value) -> Comparison:
    if one.kind == other.kind and _brackets(one) != _brackets(other):
        return _DIFFERENT
    return _all(compare(a, b) for a, b in zip(one.items, other.items, strict=True))


def _in_any_order(one: Value, other: Value) -> Comparison:
    if len(one.items) > 30:
        return _UNKNOWN
    left = list(other.items)
    doubtful = False
    for item in one.items:
        found = [compare(item, candidate) for candidate in left]
        match = next((place for place, result in enumerate(found) if result.equal and not result.ask), None)
        if match is not None:
            del left[match]
        elif any(result.ask or result.equal is None for result in found):
            doubtful = True
        else:
            return _DIFFERENT
    return _ASK if doubtful else _EQUAL


def _all(results: Iterable[Comparison]) -> Comparison:
    found = list(results)
    if any(result.equal is False and not result.ask for result in found):
        return _DIFFERENT
    if any(result.ask for result in found):
        return _ASK
    return _EQUAL if all(result.equal for result in found) else _UNKNOWN
