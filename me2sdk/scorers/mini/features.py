"""The features of a trace that the bundled scorer weighs.

Every feature is a finite number read from the question and the trace alone, and rises with what it is named
after. Counts are saturated (``n / (1 + n)``) or shares, so that a long trace is not judged by its length. In
terms of ME² (paper §3): repetition, idle checks, hedging and filler are about efficiency; arithmetic, the
origin and the use of numbers, and the links between units about effectiveness. A unit is a sentence or a
line.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence

from me2sdk.cues import Cue, count_cues
from me2sdk.scorers.mini.arithmetic import Equation, Unit, number_key, read_units, word_number
from me2sdk.scorers.mini.question import Asked, Phrase, content_stems, phrases, read_question, restates

__all__ = ["FEATURES", "MAX_CHARACTERS", "clip", "extract"]

MAX_CHARACTERS = 200_000
"""Characters of a trace that are read. Of a longer one, the first and the last half of this many are."""

FEATURES: dict[str, str] = {
    "repeated_phrases": "share of runs of four tokens that stood there before",
    "repeated_equations": "computations that were done before",
    "idle_checks": "units that check something without computing anything or bringing a new number",
    "hedging": "words that hedge",
    "filler": "words that fill",
    "equations": "equations that could be read",
    "wrong_equations": "equations that do not hold",
    "operation_mismatch": "share of equations whose operation is not the one that their sentence names",
    "missing_operations": "share of the operations that the question's wording calls for and that nobody does",
    "unsupported_operands": "numbers computed with that come from nowhere",
    "unsupported_numbers": "other numbers that come from nowhere",
    "implied_numbers": "numbers that one unwritten operation on known numbers gives",
    "unused_question_numbers": "share of the question's numbers that never turn up",
    "reused_question_numbers": "how often the question's numbers are computed with more than once",
    "unused_results": "results, the last one apart, that nothing is computed from",
    "used_before_computed": "numbers used before the step that computes them",
    "negative_results": "results below zero",
    "relabelled_numbers": "share of the question's numbers that are given another one's word",
    "unlinked_units": "share of units that share no word and no number with what came before",
    "late_novel_words": "share of content words that turn up first in the second half",
    "out_of_order": "share of units that step back in the order of the question",
    "consequence_first": "whether the trace opens with a consequence (so, therefore, then)",
    "early_conclusion": "units that speak of the answer before the end",
    "question_coverage": "share of the question's content words that turn up",
    "asked_for_last": "share of the words of what is asked for that turn up in the last step",
    "answer_from_question": "whether the answer is a number of the question",
    "answer_untidy": "whether the answer has more than two decimals where the question has whole numbers only",
    "answer_magnitude": "powers of ten by which the answer exceeds the question's largest number",
}
"""The features by name, with what each counts."""

# Numbers that need no origin: counts of time and money, and what everybody has at hand.
_CONSTANTS = frozenset((0.0, 0.01, 0.5, 1.0, 2.0, 7.0, 10.0, 12.0, 24.0, 30.0, 52.0, 60.0, 100.0, 180.0)) | {
    *(360.0, 365.0, 1000.0, 3600.0),
}
_RECENT = 48  # known numbers that are tried as the unseen operand of a mental calculation
_MENTAL = 400  # numbers of a trace that are looked at in this way
_CONSEQUENCE = frozenset(
    {"so", "therefore", "thus", "hence", "then", "consequently", "finally", "altogether"}
)
_OPERATION_WORDS = {
    **dict.fromkeys(("total", "altogether", "sum", "combined", "together", "plus", "added", "adding"), "+*"),
    **dict.fromkeys(
        ("left", "remain", "remaining", "remains", "difference", "minus", "fewer", "subtract"), "-+"
    ),
    **dict.fromkeys(("twice", "double", "triple", "times", "product", "multiply"), "*+"),
    **dict.fromkeys(("half", "quarter", "split", "divided", "average", "third", "divide"), "/*"),
}


def clip(text: str) -> tuple[str, int]:
    """The part of ``text`` that is read, and how many characters were left out of its middle."""
    if len(text) <= MAX_CHARACTERS:
        return text, 0
    half = MAX_CHARACTERS // 2
    return text[:half] + "\n" + text[-half:], len(text) - MAX_CHARACTERS


def extract(question: str, trace: str) -> dict[str, float]:
    """Compute the features of one trace.

    Args:
        question: the question as text; may be empty, and then what rests on it is neutral.
        trace: the reasoning; `clip` says what is read of a very long one.

    Returns:
        A finite value for each of `FEATURES`, in their order.
    """
    units = read_units(clip(trace)[0])
    asked = read_question(clip(question)[0])
    values = dict.fromkeys(FEATURES, 0.0)
    if not units:  # no word and no number: nothing was done
        values["unused_question_numbers"] = float(bool(asked.quantities))
        values["unlinked_units"] = 1.0
    else:
        runs = [phrases(unit) for unit in units]
        _wording(values, units)
        _repetition(values, runs)
        _Numbers(asked, units).read(values, runs)
        _links(values, units, asked)
        _ending(values, units, asked)
    return values


def _saturate(count: float) -> float:
    return count / (1.0 + count)


def _wording(values: dict[str, float], units: Sequence[Unit]) -> None:
    counts = count_cues([part for unit in units for word in unit.words for part in word.split("-")])
    # Between a count and a share: a longer trace may say "perhaps" more often, though not in proportion.
    per = 2.0 / math.sqrt(len(units))
    for cue in (Cue.HEDGING, Cue.FILLER):
        values[cue.value] = _saturate(per * counts[cue])
    first = units[0].words[0] if units[0].words else ""
    values["consequence_first"] = float(len(units) > 1 and first in _CONSEQUENCE)
    values["early_conclusion"] = _saturate(sum("answer" in unit.words for unit in units[:-2]))


def _repetition(values: dict[str, float], runs: Sequence[list[Phrase]]) -> None:
    seen: set[Phrase] = set()
    old = total = 0
    for own in runs:
        old += sum(run in seen for run in own)
        total += len(own)
        seen.update(own)
    values["repeated_phrases"] = old / total if total else 0.0


class _Ledger:
    """The numbers known so far."""

    def __init__(self, start: Iterable[float]) -> None:
        self.known = set(start)
        self.recent: deque[float] = deque(sorted(self.known), maxlen=_RECENT)
        self.tries = _MENTAL

    def add(self, value: float) -> None:
        if value not in self.known:
            self.known.add(value)
            self.recent.append(value)

    def supports(self, value: float) -> bool:
        return value in self.known or value in _CONSTANTS or -value in self.known

    def implies(self, value: float) -> bool:
        """Whether one operation on two known numbers gives ``value``."""
        self.tries -= 1
        if self.tries < 0:
            return False
        others = self.recent
        origins = [value - other for other in others] + [value + other for other in others]
        origins += [value * other for other in others if other] + [value / other for other in others if other]
        return not self.known.isdisjoint(map(number_key, origins))


class _Numbers:
    """Where the numbers of a trace come from and what becomes of them, followed from unit to unit."""

    def __init__(self, asked: Asked, units: Sequence[Unit]) -> None:
        self.asked = asked
        self.units = units
        self.ledger = _Ledger(asked.known)
        self.computed_at: dict[float, int] = {}
        for place, unit in enumerate(units):
            for equation in unit.equations:
                self.computed_at.setdefault(number_key(equation.value), place)
        self.operands: dict[float, int] = {}  # how often each number is computed with
        self.mentioned: set[float] = set()
        self.results: list[float] = []
        self.done: set[tuple[tuple[float, ...], frozenset[str]]] = set()
        self.operators: set[str] = set()
        self.early = self.implied = self.bad_operands = self.bad_numbers = 0
        self.wrong = self.again = self.negative = self.mismatched = 0

    def read(self, values: dict[str, float], runs: Sequence[list[Phrase]]) -> None:
        """Go through the trace and write the features that rest on its numbers."""
        for place, (unit, own) in enumerate(zip(self.units, runs, strict=True)):
            if not unit.numbers and not any(map(word_number, unit.words)):
                continue
            explained: set[float] = set()
            for equation in unit.equations:
                self._equation(equation, place, explained)
            if unit.equations:
                self.mismatched += _mismatched(unit)
            # Saying the question over again is no use of its numbers.
            uses = bool(unit.equations) or not restates(own, self.asked)
            numbers = [number_key(number) for number in unit.numbers]
            if uses:
                self.mentioned.update(numbers)
                self.mentioned.update(
                    number_key(v) for word in unit.words if (v := word_number(word)) is not None
                )
            for value in numbers:
                if value not in explained and not self._trace_back(value, place):
                    self.bad_numbers += 1
        self._write(values)

    def _trace_back(self, value: float, place: int) -> bool:
        """Whether there is an origin for ``value``, which is known from here on."""
        if self.ledger.supports(value) or self.ledger.supports(number_key(value * 100)):
            return True
        if self.computed_at.get(value, -1) > place:
            self.early += 1
            found = True
        else:
            found = self.ledger.implies(value)
            self.implied += found
        self.ledger.add(value)
        return found

    def _equation(self, equation: Equation, place: int, explained: set[float]) -> None:
        keys = [number_key(operand) for operand in equation.operands]
        for value in keys:
            self.operands[value] = self.operands.get(value, 0) + 1
            explained.add(value)
            explained.add(number_key(value * 100))
            self.bad_operands += not self._trace_back(value, place)
        result = number_key(equation.value)
        explained.update((result, abs(result), number_key(result * 100)))
        self.ledger.add(result)
        self.results.append(result)
        self.operators |= equation.operators
        done = (tuple(sorted(keys)), equation.operators)
        self.again += done in self.done
        self.done.add(done)
        self.wrong += not equation.holds
        self.negative += result < 0

    def _write(self, values: dict[str, float]) -> None:
        per = 2.0 / math.sqrt(len(self.units))
        total = len(self.results)
        values["equations"] = total / (4.0 + total)
        values["wrong_equations"] = _saturate(self.wrong)
        values["repeated_equations"] = _saturate(self.again)
        values["negative_results"] = _saturate(self.negative)
        values["used_before_computed"] = _saturate(self.early)
        values["unsupported_operands"] = _saturate(per * self.bad_operands)
        values["unsupported_numbers"] = _saturate(per * self.bad_numbers)
        values["implied_numbers"] = _saturate(per * self.implied)
        if total:
            values["operation_mismatch"] = self.mismatched / total
            last = self.results[-1]
            idle = {result for result in self.results if result != last and result not in self.operands}
            values["unused_results"] = _saturate(len(idle))
        if total and self.asked.operations:
            missed = sum(self.operators.isdisjoint(signs) for signs in self.asked.operations)
            values["missing_operations"] = missed / len(self.asked.operations)
        if quantities := self.asked.quantities:
            missing = sum(readings.isdisjoint(self.mentioned) for readings in quantities)
            values["unused_question_numbers"] = missing / len(quantities)
            uses = [sum(self.operands.get(reading, 0) for reading in readings) for readings in quantities]
            values["reused_question_numbers"] = _saturate(sum(max(0, n - 1) for n in uses) / len(quantities))


def _in_hundredths(value: float) -> bool:
    """Whether ``value`` has at most two decimals."""
    return abs(value * 100 - round(value * 100)) < 1e-6


def _mismatched(unit: Unit) -> bool:
    """Whether the words of a unit name an operation and its equations do another one."""
    named = "".join(_OPERATION_WORDS.get(word, "") for word in unit.words)
    return bool(named) and all(equation.operators.isdisjoint(named) for equation in unit.equations)


def _links(values: dict[str, float], units: Sequence[Unit], asked: Asked) -> None:
    known_stems = set(asked.stems)
    known_numbers = set(asked.known)
    here: set[str] = set()
    idle_checks = late = contents = unlinked = steps = back = labelled = relabelled = 0
    before = -1.0
    for place, unit in enumerate(units):
        stems = content_stems(unit.words)
        content = set(stems)
        numbers = set(map(number_key, unit.numbers))
        fresh = content - known_stems
        if (content or numbers) and (place or known_stems):
            unlinked += len(fresh) == len(content) and numbers.isdisjoint(known_numbers)
        contents += len(content)
        if not unit.equations and numbers <= known_numbers:
            idle_checks += count_cues(unit.words)[Cue.CHECK] > 0
        if place >= len(units) / 2:
            late += len(fresh)
        if spots := [asked.places[stem] for stem in stems if stem in asked.places]:
            spot = sum(spots) / len(spots)
            back += spot < before
            steps += 1
            before = spot
        if numbers and asked.labels:
            kept, changed = _labels(unit, asked)
            labelled += kept + changed
            relabelled += changed
        known_stems |= content
        known_numbers |= numbers
        here |= content
    values["unlinked_units"] = unlinked / len(units)
    values["idle_checks"] = _saturate(2.0 * idle_checks / math.sqrt(len(units)))
    values["late_novel_words"] = late / contents if contents else 0.0
    values["out_of_order"] = back / steps if steps else 0.0
    values["relabelled_numbers"] = relabelled / labelled if labelled else 0.0
    if asked.stems:
        values["question_coverage"] = len(asked.stems & here) / len(asked.stems)


def _labels(unit: Unit, asked: Asked) -> tuple[int, int]:
    """How many of the question's numbers keep the word they count, and how many are given another one's."""
    kept = changed = 0
    for (kind, raw, _, _), (next_kind, word, _, _) in zip(unit.tokens, unit.tokens[1:], strict=False):
        if kind != "n" or next_kind != "w":
            continue
        around = asked.labels.get(number_key(float(raw.replace(",", ""))))
        if around is not None and (stem := content_stems([word])) and stem[0] in asked.stems:
            kept += stem[0] in around
            changed += stem[0] not in around
    return kept, changed


def _ending(values: dict[str, float], units: Sequence[Unit], asked: Asked) -> None:
    if asked.asked_for:
        # A bare "The answer is 7." says nothing of what the answer is about.
        ends = (set(content_stems(unit.words)) for unit in reversed(units) if len(unit.words) > 4)
        stems = next((found for found in ends if len(found) > 2), set[str]())
        values["asked_for_last"] = len(asked.asked_for & stems) / len(asked.asked_for)
    last = next((unit for unit in reversed(units) if unit.numbers), None)
    equation = next((unit.equations[-1] for unit in reversed(units) if unit.equations), None)
    if last is None or equation is None:
        return
    answer = number_key(last.equations[-1].value if last.equations else last.numbers[-1])
    values["answer_from_question"] = float(answer in asked.known)
    values["answer_untidy"] = float(asked.whole and not _in_hundredths(equation.exact))
    if asked.largest > 0:
        powers = math.log10(max(abs(answer), 1e-9) / asked.largest)
        values["answer_magnitude"] = min(max(0.0, powers), 4.0)
