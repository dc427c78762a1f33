"""Preference pairs by rule: a right solution against the same one damaged in a known way.

Both sides of a pair come from the same hand, so that no style can carry the label; and the length must not carry it
either: whichever way a kind of damage changes the length, one side is lengthened by harmless wording (signs spelled
out, connectives, the question's own sentences) until the better side is the longer one in half of the pairs.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from me2sdk.scorers.mini.arithmetic import Item, evaluate
from me2sdk.train.perturb import strip_marks
from recipes.sources import MarkedSolution, Pair, Solution

__all__ = ["KINDS", "TRACE_KINDS", "damage_solution", "damage_trace", "lengthen", "mistake_pair"]

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")
_MARK = re.compile(r"<<([^<>=\n]+)=([^<>\n]+)>>")
_SIMPLE = re.compile(
    r"(?P<a>\d[\d,]*(?:\.\d+)?)(?P<sp>\s*)(?P<op>[-+*/x×])(?P<sp2>\s*\$?)(?P<b>\d[\d,]*(?:\.\d+)?)(?P<eq>\s*=\s*\$?)"
    r"<<(?P<ma>[\d.]+)(?P<mop>[-+*/])(?P<mb>[\d.]+)=(?P<mv>[^<>\n]+)>>(?P<v>\d[\d,]*(?:\.\d+)?)"
)
_EXPRESSION = re.compile(r"\d+(?:\.\d+)?|\.\d+|[-+*/()]")
_SENTENCE = re.compile(r"(?<=[.?!])\s+")
_CONNECTIVES = (
    "First, ",
    "Next, ",
    "After that, ",
    "At this point, ",
    "From this, ",
    "Now, ",
    "Given this, ",
)
_REMARKS = (
    "Let me think about this for a moment.",
    "Okay, let's see what we have here.",
    "Hmm, this is an interesting problem.",
    "I think this might be the way to do it, but I am not sure.",
    "Perhaps there is another way to look at it.",
    "It is important to be careful with problems of this kind.",
    "Well, basically we just have to keep going.",
    "Wait, maybe I should look at this again.",
    "Before we proceed, it is worth taking a moment to think.",
    "As mentioned, we need to find what was asked.",
    "Of course, there are many ways to solve such problems.",
    "Alright, so that seems to be fine so far.",
)
Lines = list[str]
Damage = Callable[[Lines, str, random.Random, "Solution"], "tuple[Lines, str] | None"]


def _text(number: float) -> str:
    return (
        str(round(number)) if abs(number - round(number)) < 1e-9 else f"{number:.2f}".rstrip("0").rstrip(".")
    )


def _value(text: str) -> float:
    return float(text.replace(",", ""))


def _compute(expression: str) -> float | None:
    items: list[Item] = []
    for token in _EXPRESSION.findall(expression.replace(",", "")):
        if token == "-" and (not items or items[-1] in ("(", "+", "-", "*", "/")):
            items.append("u")
        else:
            items.append(token if token in "+-*/()" else float(token))
    return evaluate(items)


def _replace(text: str, changed: dict[float, float]) -> str:
    """``text`` with each number that is in ``changed`` replaced."""
    return _NUMBER.sub(lambda m: _text(changed[v]) if (v := _value(m[0])) in changed else m[0], text)


def _carry(lines: Lines, start: int, answer: str, changed: dict[float, float]) -> tuple[Lines, str] | None:
    """Write changed numbers into the lines from ``start`` on, computing anew what rests on them."""
    done = lines[:start]
    for line in lines[start:]:
        parts: list[str] = []
        position = 0
        shown: tuple[str, str] | None = (
            None  # a result as it was and is, waiting to be written behind its mark
        )
        for mark in [*_MARK.finditer(line), None]:
            chunk = line[position : mark.start() if mark else len(line)]
            if shown:
                head = _NUMBER.match(chunk.lstrip("$ "))
                lead = len(chunk) - len(chunk.lstrip("$ "))
                if head:
                    parts.append(chunk[:lead] + shown[1])
                    chunk = chunk[lead + head.end() :]
                shown = None
            parts.append(_replace(chunk, changed))
            if mark is None:
                break
            expression = _replace(mark[1], changed)
            position = mark.end()
            old = _compute(mark[2])
            if expression == mark[1] or old is None:
                parts.append(mark[0])
                continue
            new = _compute(expression)
            if new is None or abs(new) > 1e9:
                return None
            changed = {**changed, old: new}
            shown = (_text(old), _text(new))
            parts.append(f"<<{expression}={_text(new)}>>")
        done.append("".join(parts))
    return done, _replace(answer, changed)


def _results(line: str) -> list[float]:
    return [value for mark in _MARK.finditer(line) if (value := _compute(mark[2])) is not None]


def _uses(line: str, values: Sequence[float]) -> bool:
    numbers = {_value(n) for n in _NUMBER.findall(_MARK.sub(lambda m: f" {m[1]} ", line))}
    return any(value in numbers for value in values)


def _repeated(lines: Lines, answer: str, rng: random.Random, _: Solution) -> tuple[Lines, str] | None:
    place = rng.randrange(len(lines))
    where = rng.randint(place + 1, len(lines))
    step = lines[place]
    if rng.random() < 0.5:  # not word for word
        step = (
            rng.choice(("Again, ", "As we said, ", "So ", "That is, ", "Once more, "))
            + step[0].lower()
            + step[1:]
        )
    return [*lines[:where], step, *lines[where:]], answer


def _swapped(lines: Lines, answer: str, rng: random.Random, _: Solution) -> tuple[Lines, str] | None:
    pairs = [
        (i, j)
        for i in range(len(lines))
        for j in range(i + 1, len(lines))
        if _uses(lines[j], _results(lines[i]))
    ]
    if not pairs:
        return None
    i, j = rng.choice(pairs)
    mixed = list(lines)
    mixed[i], mixed[j] = mixed[j], mixed[i]
    return mixed, answer


def _removed(lines: Lines, answer: str, rng: random.Random, _: Solution) -> tuple[Lines, str] | None:
    places = [
        i for i in range(len(lines) - 1) if any(_uses(later, _results(lines[i])) for later in lines[i + 1 :])
    ]
    if not places:
        return None
    place = rng.choice(places)
    return [*lines[:place], *lines[place + 1 :]], answer


def _stopped(lines: Lines, answer: str, rng: random.Random, _: Solution) -> tuple[Lines, str] | None:
    kept = lines[: rng.randint(1, len(lines) - 1)] if len(lines) > 1 else []
    results = _results(kept[-1]) if kept else []
    return (kept, _text(results[-1])) if results and _text(results[-1]) != answer else None


def _overshot(lines: Lines, answer: str, rng: random.Random, _: Solution) -> tuple[Lines, str] | None:
    models = [m for line in lines if (m := _SIMPLE.search(line))]
    results = _results(lines[-1])
    if not models or not results:
        return None
    model = rng.choice(models)
    line = model.string
    first = model["a"] if rng.random() < 0.5 else model["b"]
    changed = {_value(first): results[-1]}
    carried = _carry([line], 0, "", changed)
    if carried is None or not (found := _results(carried[0][0])) or carried[0][0] == line:
        return None
    return [*lines, carried[0][0]], _text(found[-1])


def _wrong_number(lines: Lines, answer: str, rng: random.Random, _: Solution) -> tuple[Lines, str] | None:
    return _wrong_result(lines, answer, rng, carried=False)


def _wrong_carried(lines: Lines, answer: str, rng: random.Random, _: Solution) -> tuple[Lines, str] | None:
    return _wrong_result(lines, answer, rng, carried=True)


def _off(value: float, rng: random.Random) -> float:
    """A wrong number near ``value``, of about as many digits."""
    ways = (value + 1, value - 1, value + 10, value - 2, value * 10, value + 2, value + 5, value / 2)
    wrong = [way for way in ways if way > 0 and way != value]
    return round(rng.choice(wrong), 2)


def _wrong_result(
    lines: Lines, answer: str, rng: random.Random, *, carried: bool
) -> tuple[Lines, str] | None:
    places = [i for i, line in enumerate(lines) if re.search(r">>\$?\d", line)]
    if not places:
        return None
    place = rng.choice(places)
    marks = list(re.finditer(r">>\$?(\d[\d,]*(?:\.\d+)?)", lines[place]))
    mark = rng.choice(marks)
    old = _value(mark[1])
    new = _off(old, rng)
    line = lines[place][: mark.start(1)] + _text(new) + lines[place][mark.end(1) :]
    damaged = [*lines[:place], line, *lines[place + 1 :]]
    if carried:
        return _carry(damaged, place + 1, answer, {old: new})
    return damaged, answer


def _wrong_operand(lines: Lines, answer: str, rng: random.Random, _: Solution) -> tuple[Lines, str] | None:
    return _rewritten(lines, answer, rng, operation=False)


def _wrong_operation(lines: Lines, answer: str, rng: random.Random, _: Solution) -> tuple[Lines, str] | None:
    return _rewritten(lines, answer, rng, operation=True)


def _rewritten(lines: Lines, answer: str, rng: random.Random, *, operation: bool) -> tuple[Lines, str] | None:
    places = [(i, m) for i, line in enumerate(lines) for m in _SIMPLE.finditer(line)]
    if not places:
        return None
    place, m = rng.choice(places)
    a, b, sign, shown = m["a"], m["b"], m["mop"], m["op"]
    if operation:
        sign = shown = rng.choice([other for other in "+-*/" if other != sign])
    elif rng.random() < 0.5:
        a = _text(_off(_value(a), rng))
    else:
        b = _text(_off(_value(b), rng))
    new = _compute(f"{a}{sign}{b}")
    old = _value(m["v"])
    if new is None or abs(new) > 1e9 or new == old:
        return None
    a_mark, b_mark = a.replace(",", ""), b.replace(",", "")
    equation = f"{a}{m['sp']}{shown}{m['sp2']}{b}{m['eq']}<<{a_mark}{sign}{b_mark}={_text(new)}>>{_text(new)}"
    line = m.string[: m.start()] + equation + _replace(m.string[m.end() :], {old: new})
    return _carry([*lines[:place], line, *lines[place + 1 :]], place + 1, answer, {old: new})


def _filler(lines: Lines, answer: str, rng: random.Random, _: Solution) -> tuple[Lines, str] | None:
    mixed = list(lines)
    for remark in rng.sample(_REMARKS, rng.randint(1, 3)):
        mixed.insert(rng.randint(0, len(mixed)), remark)
    return mixed, answer


def _foreign(lines: Lines, answer: str, rng: random.Random, other: Solution) -> tuple[Lines, str] | None:
    step = rng.choice(other.steps)
    place = rng.randrange(len(lines))
    kept = lines[place:] if rng.random() < 0.5 else lines[place + 1 :]  # put in, or in place of a step
    return [*lines[:place], step, *kept], answer


KINDS: dict[str, Damage] = {
    "repeated": _repeated,
    "swapped": _swapped,
    "removed": _removed,
    "foreign": _foreign,
    "wrong_number": _wrong_number,
    "wrong_carried": _wrong_carried,
    "wrong_operand": _wrong_operand,
    "wrong_operation": _wrong_operation,
    "filler": _filler,
    "stopped": _stopped,
    "overshot": _overshot,
}
"""The kinds of damage by name."""

TRACE_KINDS = ("repeated", "swapped", "removed", "foreign", "filler")
"""The kinds of damage that can be done to any trace."""


def damage_solution(solution: Solution, kind: str, rng: random.Random, other: Solution) -> Pair | None:
    """Damage a solution of GSM8K.

    Args:
        solution: a right solution with its calculator marks, which neither side of the pair keeps.
        kind: one of `KINDS`.
        rng: where all chance comes from.
        other: a solution of another question, the origin of foreign steps.

    Returns:
        The pair, or None where the damage cannot be done to this solution.
    """
    if not solution.steps:
        return None
    lines = list(solution.steps)
    damaged = KINDS[kind](lines, solution.answer, rng, other)
    if damaged is None:
        return None
    # How the answer is stated must not matter, so each pair has one of several forms, the same on both sides.
    form = rng.choice(("\n#### {}", "\nA: {}", "\nThe answer is {}.", ""))
    sides = (strip_marks("\n".join(lines)), strip_marks("\n".join(damaged[0])))
    ends = (form.format(solution.answer), form.format(damaged[1]))
    if sides[0] + ends[0] == sides[1] + ends[1]:
        return None
    return _balanced(solution.question, sides, ends, "gsm8k", kind, rng)


def damage_trace(trace: MarkedSolution, kind: str, rng: random.Random, other: MarkedSolution) -> Pair | None:
    """Damage a right trace of BIG-Bench-Mistake: like `damage_solution`, by the kinds that need no
    arithmetic.

    "swapped" and "removed" take any steps but the last, since the tasks carry state from step to step.
    """
    lines = list(trace.steps)
    if kind not in TRACE_KINDS or trace.mistake is not None or len(lines) < 3:
        return None
    if kind == "swapped":
        i, j = sorted(rng.sample(range(len(lines)), 2))
        lines[i], lines[j] = lines[j], lines[i]
    elif kind == "removed":
        del lines[rng.randrange(len(lines) - 1)]
    elif kind == "foreign":
        lines[rng.randrange(len(lines) - 1)] = rng.choice(other.steps)
    else:
        whole = Solution(question=trace.question, steps=trace.steps, answer="")
        damaged = KINDS[kind](lines, "", rng, whole)
        lines = damaged[0] if damaged else lines
    if tuple(lines) == trace.steps:
        return None
    sides = ("\n".join(trace.steps), "\n".join(lines))
    return _balanced(trace.question, sides, ("", ""), "bigbench_mistake", kind, rng)


def mistake_pair(trace: MarkedSolution, rng: random.Random) -> Pair | None:
    """A trace cut before its first mistake against the same one cut behind it.

    In half of the pairs the worse side also lacks earlier steps, so that it is the shorter one.
    """
    if trace.mistake is None or trace.mistake < 2:
        return None
    better = list(trace.steps[: trace.mistake])
    worse = list(trace.steps[: trace.mistake + 1])
    if rng.random() < 0.5:
        while len("\n".join(worse)) >= len("\n".join(better)) and len(worse) > 1:
            del worse[rng.randrange(len(worse) - 1)]
    return Pair(
        question=trace.question,
        better="\n".join(better),
        worse="\n".join(worse),
        source="bigbench_mistake",
        kind="mistake",
    )


def _balanced(
    question: str, sides: tuple[str, str], ends: tuple[str, str], source: str, kind: str, rng: random.Random
) -> Pair:
    """A pair of which either side is the longer one with even chances."""
    texts = list(sides)
    longer = rng.randrange(2)  # 0: the better side is to be the longer one
    for _ in range(rng.randrange(2)):
        texts = [lengthen(text, question, rng, len(text) + 1) for text in texts]
    lead = len(texts[1 - longer] + ends[1 - longer]) + 1 - len(ends[longer])
    if len(texts[longer]) < lead:
        texts[longer] = lengthen(texts[longer], question, rng, lead)
    better, worse = (text + end for text, end in zip(texts, ends, strict=True))
    return Pair(question=question, better=better, worse=worse, source=source, kind=kind)


def lengthen(text: str, question: str, rng: random.Random, size: int) -> str:
    """Make ``text`` at least ``size`` characters long by wording that adds no fault, as far as that goes.

    Signs are spelled out, lines get connectives, and sentences of the question are put in front.
    """
    lines = text.split("\n")
    places = list(range(len(lines)))
    rng.shuffle(places)
    sentences = _SENTENCE.split(question.strip().replace("\n", " "))
    rng.shuffle(sentences)
    jobs: list[tuple[str, int]] = [("connect", i) for i in places] + [("spell", i) for i in places]
    rng.shuffle(jobs)
    jobs[len(jobs) // 2 : len(jobs) // 2] = [("question", i) for i in range(min(2, len(sentences)))]
    jobs += [("question", i) for i in range(2, len(sentences))]
    front: list[str] = []
    total = len(text)
    for job, i in jobs:
        if total >= size:
            break
        before = 0 if job == "question" else len(lines[i])
        if job == "question":
            front.append(
                rng.choice(("We know this: ", "It is given that: ", "The question says: ")) + sentences[i]
            )
            total += len(front[-1]) + 1
        elif job == "connect":
            lines[i] = rng.choice(_CONNECTIVES) + lines[i]
        else:
            lines[i] = re.sub(r" = ", " is equal to ", lines[i])
            lines[i] = re.sub(r"(?<=\d) ?\+ ?(?=\$?\d)", " plus ", lines[i])
            lines[i] = re.sub(r"(?<=\d) ?[*x×] ?(?=\$?\d)", " times ", lines[i])
            lines[i] = re.sub(r"(?<=\d) - (?=\$?\d)", " minus ", lines[i])
        if job != "question":
            total += len(lines[i]) - before
    return "\n".join([*front, *lines])
