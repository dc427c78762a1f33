"""The faults that constructed pairs differ in, each along one dimension of ME² (paper §3).

Each fault takes a `Draft` and returns the parts of the better and of the worse side, or None where it cannot be
done. What states the final answer stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from me2sdk._choices import Dimension
from me2sdk.scorers.mini import content_words
from me2sdk.train.perturb.phrases import fill
from me2sdk.train.perturb.swaps import swapped
from me2sdk.train.perturb.text import Draft, Equation, Part, equations, lower, numbers, sentences

__all__ = ["DIMENSIONS", "FAULTS"]

Sides = tuple[list[Part], list[Part]]
Fault = Callable[[Draft], Sides | None]

_LEADING = re.compile(r"(?:So|Thus|Therefore|Then|Next|Hence|Finally|Now|Second|Third|And),? (?=\w)")
_LONG = 400  # characters of a step from which on only sentences of it are said again


def _reopened_branch(draft: Draft) -> Sides | None:
    """Come back to a line that is closed, with something else in between, and end it again."""
    rng = draft.rng
    last = len(draft.parts) if draft.end else len(draft.parts) - 1
    pairs = [(i, j) for i in range(len(draft.parts)) for j in range(i + 2, last + 1)]
    if not pairs:
        return None
    step, place = rng.choice(pairs)
    again = _said_again(draft, draft.parts[step].text)
    if again is None:
        return None
    text = f"{fill('back', rng)} {again}"
    if rng.random() < 0.7:
        text += " " + fill("closed again", rng)
    return draft.parts, draft.inserted(place, text)


def _abandoned_detour(draft: Draft) -> Sides | None:
    """Begin an alternative and drop it."""
    rng = draft.rng
    known = _small_numbers(draft)
    if len(known) > 1 and rng.random() < 0.65:
        a, b = rng.sample(known, 2)
        sign = rng.choice("+-*")
        first, second = float(a), float(b)
        value = first + second if sign == "+" else first - second if sign == "-" else first * second
        values = {"a": a, "b": b, "sign": sign, "c": f"{value:.10g}"}
        if rng.random() < 0.5:
            values["approach"] = fill("numeric approach", rng, **values)
        work = fill("numeric attempt", rng, **values)
    else:
        values, work = {}, fill("attempt", rng)
    text = " ".join((fill("alternative", rng, **values), work, fill("dropped", rng)))
    place = rng.randint(min(1, draft.free), draft.free)
    return draft.parts, draft.inserted(place, text)


def _repeated_check(draft: Draft) -> Sides | None:
    """Verify the same thing again: the better side verifies it once, the worse side twice or more."""
    rng = draft.rng
    places = [(i, equation) for i, part in enumerate(draft.parts) for equation in equations(part.text)]
    if places:
        step, equation = rng.choice(places)
        claims = [f"{equation.left} = {equation.value}", f"{equation.left} is {equation.value}"]
        claims += _inverse(equation)
    else:
        step = rng.randrange(draft.free) if draft.free else 0
        found = [s for s in sentences(draft.parts[step].text) if 20 < len(s) < 160 and s.endswith(".")]
        if not found:
            return None
        claims = [lower(rng.choice(found).rstrip("."), draft.text)]
    last = len(draft.parts) if draft.end else len(draft.parts) - 1
    if step + 1 > last:
        return None
    first = rng.randint(step + 1, last)
    better = draft.inserted(first, fill("check", rng, claim=rng.choice(claims)))
    worse = better
    for _ in range(rng.choice((1, 1, 1, 2))):
        place = rng.randint(first + 1, last + len(worse) - len(draft.parts))
        worse = draft.inserted(place, fill("check", rng, claim=rng.choice(claims)), worse)
    return better, worse


def _inverse(equation: Equation) -> list[str]:
    simple = re.fullmatch(r"(\d[\d,.]*) ?([-+*]) ?(\d[\d,.]*)", equation.left)
    if not simple:
        return []
    a, sign, b = simple.groups()
    if sign == "+":
        return [f"{equation.value} - {b} = {a}", f"{equation.value} - {a} = {b}"]
    if sign == "-":
        return [f"{equation.value} + {b} = {a}"]
    return [f"{equation.value} / {b} = {a}"] if float(b.replace(",", "")) else []


def _topic_jump(draft: Draft) -> Sides | None:
    """Put a step or two of another question's trace in between."""
    rng = draft.rng
    free = len(draft.parts) if draft.end else len(draft.parts) - 1
    foreign = [text for text in draft.other if 15 < len(text) < max(_LONG, len(draft.text) // 5)]
    foreign = [text for text in foreign if text not in draft.text and "\\boxed" not in text]
    if not foreign or free < 1:
        return None
    start = rng.randrange(len(foreign))
    chosen = foreign[start : start + rng.choice((1, 1, 1, 2))]
    lead = fill("jump", rng)
    place = rng.randint(1, free)
    worse = draft.parts
    for offset, text in enumerate(chosen):
        text = lead + (lower(text, "") if lead else text) if offset == 0 else text
        worse = draft.inserted(place + offset, text, worse)
    return draft.parts, worse


def _missing_link(draft: Draft) -> Sides | None:
    """Drop a step whose result a later one rests on."""
    found = [step for step in range(len(draft.parts) - 1) if _needed(draft, step)]
    if not found:
        return None
    step = draft.rng.choice(found)
    return draft.parts, [*draft.parts[:step], *draft.parts[step + 1 :]]


def _needed(draft: Draft, step: int) -> bool:
    """Whether a number that ``step`` brings in is computed with later, without being found again."""
    text = draft.parts[step].text
    before = draft.question + " " + "".join(part.text + " " for part in draft.parts[:step])
    known = set(numbers(before))
    fresh = {found.value.replace(",", "") for found in equations(text)} - known - {"1", "2", "10", "100"}
    for part in draft.parts[step + 1 :]:
        found = equations(part.text)
        if fresh & {number for equation in found for number in numbers(equation.left)}:
            return True
        fresh -= {equation.value.replace(",", "") for equation in found}
    if fresh or not re.search(r"\\|[a-z] ?=", text):
        return False
    symbols = {*re.findall(r"(?<![A-Za-z\\])([A-Za-z]) ?=", text)} - {
        *re.findall(r"(?<![A-Za-z])([A-Za-z])\b", before)
    }
    later = " ".join(part.text for part in draft.parts[step + 1 :])
    return any(
        re.search(rf"(?<![A-Za-z\\]){symbol}(?![A-Za-z])", later) for symbol in symbols - {"a", "A", "I"}
    )


def _filler(draft: Draft) -> Sides | None:
    """Put in sentences that do no work."""
    rng = draft.rng
    worse = list(draft.parts)
    most = 2 + min(4, len(draft.parts) // 8)
    for _ in range(rng.randint(1, most)):
        text = fill("filler", rng)
        place = rng.randrange(len(worse))
        if worse[place].origin is None or rng.random() < 0.5:
            worse = draft.inserted(place, text, worse)
        else:
            worse = draft.with_text(place, f"{text} {worse[place].text}", worse)
    return draft.parts, worse


def _restatement(draft: Draft) -> Sides | None:
    """Say a step again right after it."""
    rng = draft.rng
    if not draft.free:
        return None
    worse = list(draft.parts)
    for step in sorted(rng.sample(range(draft.free), min(draft.free, rng.choice((1, 1, 2)))), reverse=True):
        again = _said_again(draft, draft.parts[step].text)
        if again is None:
            return None
        text = fill("restated", rng, said=lower(again, draft.text + draft.question))
        if rng.random() < 0.5:
            worse = draft.inserted(step + 1, text, worse)
        else:
            worse = draft.with_text(step, f"{_stopped(worse[step].text)} {text}", worse)
    return draft.parts, worse


def _hedging(draft: Draft) -> Sides | None:
    """Make steps unsure."""
    rng = draft.rng
    places = [place for place in range(draft.free) if re.match(r"[A-Za-z]", draft.parts[place].text)]
    if not places:
        return None
    worse = list(draft.parts)
    count = rng.randint(1, max(1, min(len(places), 1 + len(draft.parts) // 3)))
    for place in sorted(rng.sample(places, count), reverse=True):
        text = draft.parts[place].text
        way = rng.random()
        if way < 0.5:
            text = fill("hedge", rng) + lower(text, draft.text + draft.question)
        elif way < 0.75 and len(text) < _LONG:
            bare = text.rstrip(".")
            text = bare + fill("hedge after", rng) + text[len(bare) :]
        else:
            text = f"{_stopped(text)} {fill('hedge alone', rng)}"
        worse = draft.with_text(place, text, worse)
    return draft.parts, worse


def _wrong_arithmetic(draft: Draft) -> Sides | None:
    """Get a computation wrong and repair it, at once or later."""
    rng = draft.rng
    found = [(place, e) for place in range(draft.free) for e in equations(draft.parts[place].text)]
    if not found:
        return None
    place, equation = rng.choice(found)
    text = draft.parts[place].text
    wrong = _miscounted(equation.value, draft)
    if wrong is None:
        return None
    values = {"left": equation.left.strip(), "wrong": wrong, "right": equation.value}
    head, tail = text[: equation.value_start], text[equation.end :]
    last = len(draft.parts) if draft.end else len(draft.parts) - 1
    if rng.random() < 0.4 or place + 1 > last:
        repaired = fill("repair now", rng, **values)
        return draft.parts, draft.with_text(place, head + repaired + tail)
    worse = draft.with_text(place, head + wrong + tail)
    later = rng.randint(place + 1, min(last, place + 3))
    return draft.parts, draft.inserted(later, fill("repair later", rng, **values), worse)


def _miscounted(value: str, draft: Draft) -> str | None:
    """A wrong number near ``value``, written in the same way, that the trace does not hold."""
    plain = value.replace(",", "")
    decimals = len(plain.partition(".")[2])
    right = float(plain)
    unit = 10.0**-decimals
    ways = [right + n * unit for n in (-10, -3, -2, -1, 1, 2, 3, 5, 10, 20, 100)] + [right * 10, right / 2]
    if len(plain) > 1 and plain[-1] != plain[-2] and "." not in plain[-2:]:
        ways.append(float(plain[:-2] + plain[-1] + plain[-2]))
    taken = {*map(float, numbers(draft.text + draft.end + " " + draft.question)), right}
    style = f"{',' if ',' in value else ''}.{decimals}f"
    shown = [f"{way:{style}}" for way in ways if way > 0]
    wrong = [text for text in shown if float(text.replace(",", "")) not in taken]
    return draft.rng.choice(wrong) if wrong else None


def _swapped_symbol(draft: Draft) -> Sides | None:
    """Take one symbol, unit, name or sign for another, in one place."""
    places = list(range(draft.free))
    draft.rng.shuffle(places)
    for place in places:
        text = swapped(draft, draft.parts[place].text)
        if text is not None:
            return draft.parts, draft.with_text(place, text)
    return None


def _unsupported_claim(draft: Draft) -> Sides | None:
    """Put in a claim that nothing supports."""
    rng = draft.rng
    known = _small_numbers(draft)
    worse = list(draft.parts)
    for _ in range(rng.randint(1, 1 + min(2, len(draft.parts) // 8))):
        if len(known) > 1 and rng.random() < 0.65:
            a, b = rng.sample(known, 2)
            claim = fill("numeric claim", rng, a=a, b=b)
        else:
            claim = fill("claim", rng)
        place = rng.randint(min(1, draft.free), draft.free)
        if place and worse[place - 1].origin is not None and rng.random() < 0.5:
            before = worse[place - 1]
            if place - 1 < draft.free:
                worse[place - 1] = replace(before, text=f"{_stopped(before.text)} {claim}", changed=True)
                continue
        worse = draft.inserted(place, claim, worse)
    return draft.parts, worse


def _small_numbers(draft: Draft) -> list[str]:
    found = dict.fromkeys(numbers(draft.question) + numbers(draft.text[:4000]))
    return [number for number in found if len(number) < 7 and number not in ("0", "1")]


def _stopped(text: str) -> str:
    return text if text.rstrip()[-1:] in ".!?:;" else f"{text}."


def _said_again(draft: Draft, text: str) -> str | None:
    """A step's text for saying it again: some of its sentences where it is long. None where it says nothing."""
    if len(text) > _LONG:
        found = [sentence for sentence in sentences(text) if 30 < len(sentence) < _LONG]
        if not found:
            return None
        start = draft.rng.randrange(len(found))
        text = " ".join(found[start : start + 2])
    if len(content_words(re.findall(r"[a-z]+", text.lower()))) < 4 and len(numbers(text)) < 2:
        return None
    return _stopped(_LEADING.sub("", text))


FAULTS: dict[str, Fault] = {
    "reopened_branch": _reopened_branch,
    "abandoned_detour": _abandoned_detour,
    "repeated_check": _repeated_check,
    "topic_jump": _topic_jump,
    "missing_link": _missing_link,
    "filler": _filler,
    "restatement": _restatement,
    "hedging": _hedging,
    "wrong_arithmetic": _wrong_arithmetic,
    "swapped_symbol": _swapped_symbol,
    "unsupported_claim": _unsupported_claim,
}

DIMENSIONS: dict[str, Dimension] = {
    **dict.fromkeys(("reopened_branch", "abandoned_detour", "repeated_check"), Dimension.MACRO_EFFICIENCY),
    **dict.fromkeys(("topic_jump", "missing_link"), Dimension.MACRO_EFFECTIVENESS),
    **dict.fromkeys(("filler", "restatement", "hedging"), Dimension.MICRO_EFFICIENCY),
    **dict.fromkeys(
        ("wrong_arithmetic", "swapped_symbol", "unsupported_claim"), Dimension.MICRO_EFFECTIVENESS
    ),
}
