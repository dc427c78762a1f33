"""Where the numbers of a trace come from and what becomes of them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from me2sdk.scorers.mini.arithmetic import Equation, read_equations
from me2sdk.scorers.mini.numbers import number_key, number_words, read_number
from me2sdk.scorers.mini.question import Asked, phrases
from me2sdk.scorers.mini.reading import Reading

__all__ = ["follow_numbers"]

# Numbers that need no origin: counts of time and money, and what everybody has at hand.
_CONSTANTS = frozenset((0.0, 0.01, 0.5, 1.0, 2.0, 7.0, 10.0, 12.0, 24.0, 30.0, 52.0, 60.0, 100.0, 180.0)) | {
    *(360.0, 365.0, 1000.0, 3600.0),
}
_RECENT = 12  # known numbers that are tried as the unseen operand of a mental calculation
_MENTAL = 100  # numbers of a trace that are looked at in this way
_MOST_READ = 400  # sentences with equations that are read: the first half of this many and the last
_RESTATES = 0.6  # share of a sentence's phrases in the question from which it only restates that


class _Known:
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
        known = self.known
        for other in self.recent:
            if number_key(value - other) in known or number_key(value + other) in known:
                return True
            if other and (number_key(value * other) in known or number_key(value / other) in known):
                return True
        return False


def follow_numbers(reading: Reading, asked: Asked) -> dict[str, float]:
    """The features that rest on numbers and equations; see `me2sdk.scorers.mini.features.FEATURES`."""
    return _Walk(reading, asked).run()


class _Walk:
    def __init__(self, reading: Reading, asked: Asked) -> None:
        self.reading = reading
        self.asked = asked
        self.known = _Known(asked.known)
        self.operands: set[float] = set()
        self.mentioned: set[float] = set()
        self.results: list[float] = []
        self.early = self.implied = self.bad_operands = self.bad_numbers = self.wrong = 0

    def run(self) -> dict[str, float]:
        equations = self._equations()
        self.computed_at: dict[float, int] = {}
        for place, found in equations.items():
            for equation in found:
                self.computed_at.setdefault(number_key(equation.value), place)
        for place, (tokens, written) in enumerate(
            zip(self.reading.tokens, self.reading.numbers_of, strict=True)
        ):
            said = number_words(tokens)
            if not written and not said:
                continue
            numbers = [read_number(number) for number in written]
            found = equations.get(place, ())
            explained: set[float] = set()
            for equation in found:
                self._equation(equation, place, explained)
            # Saying the question over again is no use of its numbers.
            used = self.asked.known.intersection(numbers) | self.asked.known.intersection(said)
            if used and (found or not self._restates(tokens)):
                self.mentioned |= used
            for value in numbers:
                if value not in explained and not self._trace_back(value, place):
                    self.bad_numbers += 1
        return self._values()

    def _equations(self) -> dict[int, tuple[Equation, ...]]:
        places = [place for place, numbers in enumerate(self.reading.numbers_of) if len(numbers) > 2]
        if len(places) > _MOST_READ:
            places = places[: _MOST_READ // 2] + places[-_MOST_READ // 2 :]
        read = ((place, read_equations(self.reading.sentences[place])) for place in places)
        return {place: found for place, found in read if found}

    def _restates(self, tokens: list[str]) -> bool:
        runs = phrases(tokens)
        return bool(runs) and sum(run in self.asked.phrases for run in runs) >= _RESTATES * len(runs)

    def _trace_back(self, value: float, place: int) -> bool:
        """Whether there is an origin for ``value``, which is known from here on."""
        if self.known.supports(value) or self.known.supports(number_key(value * 100)):
            return True
        if self.computed_at.get(value, -1) > place:
            self.early += 1
            found = True
        else:
            found = self.known.implies(value)
            self.implied += found
        self.known.add(value)
        return found

    def _equation(self, equation: Equation, place: int, explained: set[float]) -> None:
        for value in map(number_key, equation.operands):
            self.operands.add(value)
            explained.update((value, number_key(value * 100)))
            self.bad_operands += not self._trace_back(value, place)
        result = number_key(equation.value)
        explained.update((result, abs(result), number_key(result * 100)))
        self.known.add(result)
        self.results.append(result)
        self.wrong += not equation.holds

    def _values(self) -> dict[str, float]:
        # Between a count and a share: a longer trace may have more of everything, though not in proportion.
        per = 2.0 / math.sqrt(max(1, len(self.reading.tokens)))
        total = len(self.results)
        values = {
            "equations": total / (4.0 + total),
            "wrong_equations": _saturate(self.wrong),
            "unsupported_operands": _saturate(per * self.bad_operands),
            "unsupported_numbers": _saturate(per * self.bad_numbers),
            "implied_numbers": _saturate(per * self.implied),
            "used_before_computed": _saturate(self.early),
            "unused_results": 0.0,
            "unused_question_numbers": 0.0,
        }
        if total:
            idle = {
                result
                for result in self.results
                if result != self.results[-1] and result not in self.operands
            }
            values["unused_results"] = _saturate(len(idle))
        if quantities := self.asked.quantities:
            missing = sum(readings.isdisjoint(self.mentioned) for readings in quantities)
            values["unused_question_numbers"] = missing / len(quantities)
        return values


def _saturate(count: float) -> float:
    return count / (1.0 + count)
