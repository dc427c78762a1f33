"""Reading the equations of a text, with a check of each that can be evaluated.

One pass of one regular expression cuts the text into tokens; everything else is a loop over tokens. Nothing
is handed to ``eval``. What cannot be read for certain (variables, functions, lone operators) is left
unjudged: an equation counts as wrong only where both of its sides are plain numbers with operators.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Equation", "evaluate", "read_equations"]

_MARKS = re.compile(r"<<[^<>\n]{0,200}>>")
_ENUMERATION = re.compile(
    r"(?m)^[ \t]{0,8}(?:#{1,6}[ \t]*)?(?:\*\*)?(?:[Ss]tep[ \t]*)?\d{1,3}(?:\.|\)|:)(?:\*\*)?[ \t]+"
)
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]{1,40})\}\{([^{}]{1,40})\}")
_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf|mbox|operatorname)\{([^{}]{0,80})\}")
_SPACING = re.compile(r"\\(?:left|right|displaystyle|quad|qquad)(?![A-Za-z])|\\[,;!: ()\[\]]|\^\{?\\circ\}?")
_TIMES = re.compile(r"\\(?:times|cdot)(?![A-Za-z])")
_TOKEN = re.compile(
    r"(\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"|([^\W\d_]+(?:['’-][^\W\d_]+)*)"
    r"|(\n\s*|[.!?;][\"')\]*]{0,4}(?=\s|$))"
    r"|([-+*/^%×÷·−–])"
    r"|([=≈])"
    r"|([()\[\]])"
    r"|(\\[A-Za-z]+|[_<>≤≥≠|!√∑∏{}&])"
)
_OPERATORS = {"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-"}
_OPERATOR_WORDS = {"plus": "+", "minus": "-", "times": "*", "multiplied": "*", "divided": "/", "x": "*"}
_EQUAL_WORDS = frozenset({"equals", "equal", "is", "are"})
_SKIPPED_WORDS = frozenset({"by", "to", "equal", "equals"})
_UNITS_BETWEEN = 3  # words that may stand between a number and the operator that follows it: "3 red eggs + 4"
_MAX_ITEMS = 48
_MAX_DIGITS = 24
# A number with an operator and a number after it, units of measure between them.
_COMPUTED = re.compile(
    r"[\d)}%](?![a-z])\s*(?:[a-z]{1,16}\s+){0,3}"
    r"(?:[-+*/^×÷·−–x]|\\(?:times|cdot|div)|plus|minus|times|multiplied by|divided by|of)\s*[-($\\\d.]"
    r"|frac|\d\("
)
_AROUND = 40
_CACHED = 200  # characters of a text whose equations are remembered
_KINDS = "?nwboepc"  # as the groups of _TOKEN stand
_Token = tuple[str, str, int, int]  # kind, text in lower case, start, end
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "u": 3, "^": 4}
Item = float | str


@dataclass(slots=True, frozen=True)
class Equation:
    """One ``=`` with something computed on at least one of its sides.

    Attributes:
        operands: the numbers that were computed with.
        operators: the operators between them, each once.
        value: what the equation says the result is.
        exact: what the computed side gives, where the result may have been rounded.
        holds: False where the two sides differ by more than the rounding that is shown.
    """

    operands: tuple[float, ...]
    operators: frozenset[str]
    value: float
    exact: float
    holds: bool


def _plain(text: str) -> str:
    """``text`` without calculator marks, list numbers and the LaTeX that only lays out."""
    if "<<" in text:
        text = _MARKS.sub("", text)
    if "**" in text:
        text = text.replace("**", "")
    text = _ENUMERATION.sub("", text)
    if "\\" in text:
        text = _FRACTION.sub(r"((\1)/(\2))", text)
        text = _TEXT.sub(r" \1 ", text)
        text = _TIMES.sub("*", text).replace("\\div", "/").replace("\\%", "%").replace("\\$", "")
        text = _SPACING.sub("", text)
    return text.replace("$", "").replace("{,}", ",").replace("€", "").replace("£", "")


def read_equations(text: str) -> tuple[Equation, ...]:
    """Read the equations of a text; none goes over the end of a sentence or a line. The cost is linear in the text."""
    window = _window(text.lower())
    return _read_cached(window) if len(window) <= _CACHED else _read(window)


def _window(text: str) -> str:
    """The part of ``text`` that can hold equations: from a little before the first operator to after the last equals
    sign. It is found by one search, and samples of one question have many of these in common."""
    if not ("=" in text or "≈" in text or " equal" in text or " is " in text):
        return ""
    computed = _COMPUTED.search(text)
    if computed is None:
        return ""
    start = text.rfind(" ", 0, max(0, computed.start() - _AROUND)) + 1
    last = max(text.rfind("="), text.rfind("≈"), text.rfind(" equal"), text.rfind(" is "))
    end = text.find(" ", last + _AROUND)
    return text[start : end if end > computed.end() else None]


def _read(text: str) -> tuple[Equation, ...]:
    tokens: list[_Token] = []
    for match in _TOKEN.finditer(_plain(text)):
        kind, raw = _KINDS[match.lastindex or 0], match[0]
        if kind == "n" and len(raw) > _MAX_DIGITS:
            kind, raw = "c", "#"  # no quantity that anybody computes with
        tokens.append((kind, raw, match.start(), match.end()))
    return tuple(_Scanner(tokens).run())


_read_cached = lru_cache(maxsize=4096)(_read)


def _number(raw: str) -> float:
    return float(raw.replace(",", ""))


class _Segment:
    """One side of an equation while it is being read."""

    __slots__ = ("compound", "decimals", "items", "percent", "symbolic")

    def __init__(self) -> None:
        self.compound = False  # whether something is computed
        self.items: list[Item] = []
        self.decimals = 0
        self.percent = False
        self.symbolic = False

    def compute(self, sign: str) -> None:
        """Add an operator."""
        self.items.append(sign)
        self.compound = True

    def take_back(self) -> None:
        """Drop the operator that stands last."""
        self.items.pop()
        self.compound = any(item in "+-*/^" for item in self.items if isinstance(item, str))

    def ends_in_value(self) -> bool:
        return bool(self.items) and (isinstance(self.items[-1], float) or self.items[-1] == ")")


class _Scanner:
    """Reads equations from left to right."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.found: list[Equation] = []
        self.tokens = tokens
        self.chain: list[_Segment] = []
        self.segment = _Segment()

    def run(self) -> list[Equation]:
        position = 0
        while position < len(self.tokens):
            kind, raw, _, _ = self.tokens[position]
            if kind == "w":
                position = self._word(position, raw)
                continue
            if kind == "n":
                self._value(position, raw)
            elif kind == "o":
                self._operator(position, _OPERATORS.get(raw, raw))
            elif kind == "e":
                self._equal()
            elif kind == "p":
                self._parenthesis(position, "(" if raw in "([" else ")")
            elif kind == "b":
                self._close()
                self.segment = _Segment()
            else:
                self.segment.symbolic = True
            position += 1
        self._close()
        return self.found

    def _glued(self, position: int) -> bool:
        """Whether the token stands against the one before it."""
        return position > 0 and self.tokens[position][2] == self.tokens[position - 1][3]

    def _value(self, position: int, raw: str) -> None:
        if self.segment.ends_in_value():
            self._close()  # two numbers side by side: prose between two expressions
        glued_to = position + 1 < len(self.tokens) and self._glued(position + 1) and self.tokens[position + 1]
        if glued_to and glued_to[0] in "wc" and glued_to[1] != "x" and len(glued_to[1]) < 2:
            self.segment.symbolic = True  # 3y
        elif position and self._glued(position) and self.tokens[position - 1][0] == "w":
            self.segment.symbolic = True  # x2
        self.segment.items.append(_number(raw))
        self.segment.decimals = len(raw.partition(".")[2])

    def _operator(self, position: int, sign: str) -> None:
        segment = self.segment
        if sign == "%":
            if segment.items and isinstance(last := segment.items[-1], float):
                segment.items[-1] = last / 100
                segment.percent = True
                segment.decimals += 2
            return
        if not segment.ends_in_value():
            spaced = position + 1 < len(self.tokens) and not self._glued(position + 1)
            after_word = position > 0 and self.tokens[position - 1][0] == "w"
            if sign == "-" and not (after_word and (spaced or self._glued(position))):
                segment.items.append("u")
            else:
                segment.symbolic = True  # an operator whose left operand is no number
            return
        segment.compute(sign)

    def _equal(self) -> None:
        self.chain.append(self.segment)
        self.segment = _Segment()

    def _parenthesis(self, position: int, sign: str) -> None:
        segment = self.segment
        if sign == "(" and segment.ends_in_value():
            if self._glued(position):
                segment.compute("*")
            else:
                self._close()
        elif sign == "(" and position and self._glued(position) and self.tokens[position - 1][0] == "w":
            segment.symbolic = True  # f(3)
        self.segment.items.append(sign)

    def _kind(self, position: int) -> str:
        return self.tokens[position][0] if position < len(self.tokens) else ""

    def _word(self, position: int, raw: str) -> int:
        """Handle the word at ``position`` and return where to go on."""
        segment = self.segment
        following = self._kind(position + 1)
        if not segment.items and not self.chain:
            # Prose. A lone letter before an operator is a variable.
            segment.symbolic = following == "o" and len(raw) == 1 and raw not in "ai"
            return position + 1
        if segment.ends_in_value():
            if raw in _OPERATOR_WORDS:
                skip = 2 if following == "w" and self.tokens[position + 1][1] == "by" else 1
                after = self._kind(position + skip)
                if after == "n" or (after == "p" and self.tokens[position + skip][1] in "(["):
                    segment.compute(_OPERATOR_WORDS[raw])
                    return position + skip
            if raw in _EQUAL_WORDS:
                skip = 1
                while (
                    self._kind(position + skip) == "w" and self.tokens[position + skip][1] in _SKIPPED_WORDS
                ):
                    skip += 1
                # "7 is 5" says nothing; "3 + 4 is 7" and "3 equals 5" do.
                if self._kind(position + skip) == "n" and (segment.compound or raw.startswith("equal")):
                    self._equal()
                    return position + skip
            if raw == "of" and following == "n" and (segment.percent or "/" in segment.items):
                segment.compute("*")
                return position + 1
            ahead = position + 1
            while ahead - position < _UNITS_BETWEEN and self._kind(ahead) == "w":
                ahead += 1
            if self._kind(ahead) in ("o", "e") and self.tokens[ahead][1] not in "%–":
                if len(raw) == 1 and self._glued(position):
                    segment.symbolic = True
                return ahead
            if self._kind(ahead - 1) == "w" and self.tokens[ahead - 1][1] in ("x", "times", "plus", "minus"):
                return max(ahead - 1, position + 1)
        elif segment.items and segment.items[-1] == "/" and position and self.tokens[position - 1][1] == "/":
            segment.take_back()  # 3/hour: the slash belongs to the unit of measure
            return position + 1
        elif segment.items and segment.items[-1] != "(":
            segment.symbolic = True  # an operator whose right operand is a word
            return position + 1
        self._close()
        if following == "o" and len(raw) == 1 and raw not in "ai":
            self.segment.symbolic = True
        return position + 1

    def _close(self) -> None:
        """End the chain of equal sides at this place and record what it says."""
        if not self.chain and not self.segment.items and not self.segment.symbolic:
            return
        if self.chain:
            self.chain.append(self.segment)
            self._record(self.chain)
            self.chain = []
        self.segment = _Segment()

    def _record(self, chain: list[_Segment]) -> None:
        values = [None if side.symbolic else evaluate(side.items) for side in chain]
        for left, right, a, b in zip(chain, chain[1:], values, values[1:], strict=False):
            if a is None or b is None or not (left.compound or right.compound):
                continue
            computed = [side for side in (left, right) if side.compound]
            operands = [item for side in computed for item in side.items if isinstance(item, float)]
            operators = frozenset(
                item for side in computed for item in side.items if isinstance(item, str) and item in "+-*/^"
            )
            self.found.append(
                Equation(tuple(operands), operators, b, a if left.compound else b, _same(left, right, a, b))
            )


def _same(left: _Segment, right: _Segment, a: float, b: float) -> bool:
    shown = [side.decimals for side in (left, right) if not side.compound]
    # A shown number may be cut or rounded at its last digit; whole numbers must be exact.
    slack = 10.0 ** -min(shown) if shown and min(shown) > 0 else 0.0
    pairs = [(a, b)]
    if left.percent or right.percent:
        pairs += [(a * 100, b), (a, b * 100)]
    return any(abs(x - y) <= slack * 1.0001 + 1e-6 * max(1.0, abs(x), abs(y)) for x, y in pairs)


def evaluate(items: Sequence[Item]) -> float | None:
    """The value of an expression, or None where it is no complete expression.

    Args:
        items: floats, ``+ - * / ^``, ``u`` (a minus sign that negates) and parentheses. Parentheses that were
            opened or closed outside are dropped.
    """
    if not items or len(items) > _MAX_ITEMS:
        return None
    values: list[float] = []
    operators: list[str] = []
    for item in items:
        if isinstance(item, float):
            values.append(item)
        elif item == "(":
            operators.append(item)
        elif item == ")":
            while operators and operators[-1] != "(":
                if not _apply(values, operators.pop()):
                    return None
            if operators:
                operators.pop()
        else:
            while (
                operators
                and operators[-1] != "("
                and item != "u"
                and (_PRECEDENCE[operators[-1]], item != "^") >= (_PRECEDENCE[item], True)
            ):
                if not _apply(values, operators.pop()):
                    return None
            operators.append(item)
    while operators:
        if (sign := operators.pop()) != "(" and not _apply(values, sign):
            return None
    return values[0] if len(values) == 1 and math.isfinite(values[0]) else None


def _apply(values: list[float], sign: str) -> bool:
    if sign == "u":
        if not values:
            return False
        values[-1] = -values[-1]
        return True
    if len(values) < 2:
        return False
    b, a = values.pop(), values.pop()
    if (sign == "/" and b == 0) or (
        sign == "^" and (abs(b) > 20 or abs(a) > 1e6 or a == 0 or (a < 0 and b % 1 != 0))
    ):
        return False
    plain = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else 0.0}
    result = a**b if sign == "^" else plain[sign]
    values.append(result)
    return math.isfinite(result)
