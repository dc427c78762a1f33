"""Answers into groups of equal ones, for a vote: the same groups in whatever order the answers come.

Canonical forms first, then math-verify between what is left, all of it within one time limit.
"""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Sequence
from itertools import combinations

from me2sdk.verify.equality import ask_math_verify, compare
from me2sdk.verify.units import Unit, same_unit
from me2sdk.verify.value import Value
from me2sdk.verify.values import read_value

__all__ = ["agroup_answers", "group_answers"]

_SECONDS = 4.0  # for a whole vote, the start of math-verify's process included
_SECONDS_EACH = 1.0


def group_answers(answers: Sequence[str | None]) -> list[int | None]:
    """Number answers so that equal ones get the same number, for a majority vote.

    The groups do not depend on the order of the answers. A number without a unit stands with the one that has a
    unit, unless units differ among the answers of that number ("5", "5 m", "5 cm" are three groups). Comparing
    takes at most 4 seconds in all; what could not be compared by then stands alone.

    Args:
        answers: answers as text; None for a candidate without one.

    Returns:
        For each answer the number of its group, counted from 0 in order of appearance; None for None. An
        answer that cannot be compared stands alone.
    """
    deadline = time.monotonic() + _SECONDS
    texts = {answer for answer in answers if answer is not None}
    values = {text: _for_a_vote(read_value(text)) for text in texts}
    classes = _classes(set(values.values()))
    leaders = _joined(classes, deadline)
    numbers: dict[Value, int] = {}
    groups: list[int | None] = []
    for answer in answers:
        groups.append(None if answer is None else numbers.setdefault(leaders[values[answer]], len(numbers)))
    return groups


async def agroup_answers(answers: Sequence[str | None]) -> list[int | None]:
    """`group_answers` in a thread, since comparing can take seconds."""
    return await asyncio.to_thread(group_answers, answers)


def _for_a_vote(value: Value) -> Value:
    """A value as far as it matters here: 10% is 0.1, and a choice is its letter."""
    if value.number is not None and value.unit is not None and value.unit.dimension == "ratio":
        share = value.number / 100
        return Value("number", share, str(share), name=value.name)
    # What was written beside what was understood must not tell two equal values apart.
    if value.kind in ("number", "choice", "time"):
        return Value(value.kind, value.key, str(value.key), value.name, value.unit)
    return value


def _classes(values: set[Value]) -> list[list[Value]]:
    """Values that are equal without doubt, each class and all classes in one order."""
    cores: dict[object, list[Value]] = {}
    for value in sorted(values, key=repr):
        cores.setdefault(value.core, []).append(value)
    classes: list[list[Value]] = []
    for members in cores.values():
        names = {value.name for value in members if value.name}
        units = {value.unit for value in members if value.unit is not None}
        if len(names) <= 1 and _go_together(units):
            classes.append(members)
            continue
        # A number alone must not join what differs: 5 m = 5 = 5 cm.
        labelled: dict[object, list[Value]] = {}
        for value in members:
            labelled.setdefault((value.name, value.unit), []).append(value)
        classes.extend(labelled.values())
    return classes


def _go_together(units: set[Unit]) -> bool:
    return all(same_unit(one, other) is True for one, other in combinations(sorted(units, key=repr), 2))


def _joined(classes: list[list[Value]], deadline: float) -> dict[Value, Value]:
    """The leader of each value, after math-verify has joined classes."""
    heads: list[list[Value]] = []
    leaders = {value: members[0] for members in classes for value in members}
    available = importlib.util.find_spec("math_verify") is not None
    failed: set[Value] = set()  # what did not come back in time is not tried with every other
    for members in sorted(classes, key=lambda members: repr(members[0])):
        home = None
        for others in heads:
            if _may_join(members, others) and _equal(members[0], others[0], deadline, failed, available):
                home = others
                break
        if home is None:
            heads.append(list(members))
        else:
            home.extend(members)
            leaders |= dict.fromkeys(members, home[0])
    return leaders


def _may_join(members: list[Value], others: list[Value]) -> bool:
    values = [*members, *others]
    if any(value.unit is not None or value.kind == "opaque" for value in values):
        return False
    return len({value.name for value in values if value.name}) <= 1


def _equal(one: Value, other: Value, deadline: float, failed: set[Value], available: bool) -> bool:
    if one.kind != other.kind and not {one.kind, other.kind} <= {"number", "formula"}:
        return False
    if one.core == other.core:  # apart for their names or units
        return False
    found = compare(one, other)
    if not found.ask:
        return bool(found.equal) and not one.items
    if not available:
        return bool(found.equal)
    left = deadline - time.monotonic()
    if left <= 0 or one in failed or other in failed:
        return False
    started = time.monotonic()
    equal = ask_math_verify(one, other, seconds=left, each=_SECONDS_EACH)
    if equal is None and time.monotonic() - started >= _SECONDS_EACH:
        failed |= {one, other}
    return bool(equal)
