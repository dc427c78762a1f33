r"""The value of a formula, exactly where it is rational.

A small reader of formulas with its own bounds, so that most of them need no computer algebra: a constant gets
its value, and one with variables gets its values at a few fixed points. Two formulas whose values differ are
different. What is too large to compute is said to be so, and is never handed to anyone.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from me2sdk.verify.notation import FUNCTIONS

__all__ = ["Evaluation", "evaluate"]

Number = Fraction | float

_MAX_BITS = 12_000  # of a numerator or denominator; 10^{3000} fits
_MAX_DEPTH = 40
_MAX_TOKENS = 1000
_POINTS = 3
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d{1,400}(?:\.\d{1,400})?|\.\d{1,400})|\\(?P<command>[a-zA-Z]{1,30})|(?P<letters>[a-zA-Z]{1,30})"
    r"|(?P<sign>\*\*|[-+*/^!()\[\]{}_]))"
)
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "arcsin": math.asin, "arccos": math.acos,
    "arctan": math.atan, "sinh": math.sinh, "cosh": math.cosh, "tanh": math.tanh, "ln": math.log,
    "exp": math.exp,
}  # fmt: skip
_VARIABLE_COMMANDS = frozenset("alpha beta gamma delta theta lambda mu phi psi omega rho sigma tau".split())


class Unreadable(Exception):
    """This formula is beyond the small reader."""


class TooLarge(Exception):
    """This formula has a value too large to compute."""


class Evaluation(NamedTuple):
    """What a formula evaluates to.

    Attributes:
        values: one value for a constant, else one per point; empty where it could not be read.
        variables: the names of its variables.
        too_large: whether computing it was given up for its size.
    """

    values: tuple[Number, ...] = ()
    variables: frozenset[str] = frozenset()
    too_large: bool = False

    @property
    def exact(self) -> bool:
        """Whether all values are exact."""
        return bool(self.values) and all(isinstance(value, Fraction) for value in self.values)

    @property
    def constant(self) -> Fraction | None:
        """The exact value of a constant."""
        value = self.values[0] if self.values and not self.variables else None
        return value if isinstance(value, Fraction) else None

    def differs(self, other: Evaluation) -> bool | None:
        """Whether the values show that two formulas differ; None where they cannot tell."""
        if not self.values or not other.values:
            return None
        mine, theirs = self._spread(), other._spread()
        if self.exact and other.exact:
            return mine != theirs
        try:
            pairs = [(float(a), float(b)) for a, b in zip(mine, theirs, strict=True)]
        except OverflowError:
            return None
        if any(abs(a - b) > 1e-7 * max(1e-12, abs(a), abs(b)) for a, b in pairs):
            # Close to 0 a difference of large terms has no digits left.
            return True if any(abs(a - b) > 1e-7 for a, b in pairs) else None
        return False if all(abs(a - b) <= 1e-11 * max(abs(a), abs(b)) for a, b in pairs) else None

    def _spread(self) -> tuple[Number, ...]:
        return self.values if len(self.values) == _POINTS else self.values * _POINTS


@lru_cache(maxsize=4096)
def evaluate(text: str) -> Evaluation:
    """Evaluate a formula in the plain notation of `me2sdk.verify.notation.plain`."""
    try:
        tokens = _tokens(text)
        reader = _Reader(tokens, 0)
        first = reader.read()
        if not reader.variables:
            return Evaluation((first,))
        rest = []
        for point in range(1, _POINTS):
            rest.append(_Reader(tokens, point).read())
        return Evaluation((first, *rest), frozenset(reader.variables))
    except TooLarge:
        return Evaluation(too_large=True)
    except (Unreadable, ArithmeticError, ValueError):
        return Evaluation()


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position, text = 0, text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or len(tokens) > _MAX_TOKENS:
            raise Unreadable
        kind = str(match.lastgroup)
        run = match[kind]
        if kind == "letters" and run not in FUNCTIONS and run != "pi":
            if len(run) > 2:
                raise Unreadable
            tokens.extend(("letter", letter) for letter in run)
        else:
            tokens.append(("command", run) if kind == "letters" else (kind, run))
        position = match.end()
    return tokens


def _checked(value: Number) -> Number:
    if isinstance(value, Fraction):
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_BITS:
            raise TooLarge
    elif not isinstance(value, float):
        raise Unreadable  # complex
    elif math.isinf(value) or math.isnan(value):
        raise TooLarge
    return value


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if base in (0, 1) and exponent > 0:
            return base
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if abs(exponent) * bits > _MAX_BITS:
            raise TooLarge
        if exponent.denominator == 1:
            return _checked(Fraction(base ** int(exponent)))
        root = _root(base, exponent.denominator)
        if isinstance(root, Fraction):
            return _checked(root**exponent.numerator)
    if base < 0:
        raise Unreadable
    try:
        return _checked(float(base) ** float(exponent))
    except OverflowError:
        raise TooLarge from None


def _root(value: Number, degree: int) -> Number:
    """The root, exact where that is rational."""
    if value < 0 or not 2 <= degree <= 100:
        raise Unreadable
    if isinstance(value, Fraction):
        top, bottom = _integer_root(value.numerator, degree), _integer_root(value.denominator, degree)
        if top is not None and bottom is not None:
            return Fraction(top, bottom)
    return float(float(value) ** (1 / degree))


def _integer_root(value: int, degree: int) -> int | None:
    if degree == 2:
        root = math.isqrt(value)
    elif value.bit_length() < 900:
        root = round(value ** (1 / degree))
    else:
        return None
    return root if root**degree == value else None


class _Reader:
    """One pass over the tokens that computes as it reads."""

    def __init__(self, tokens: list[tuple[str, str]], point: int) -> None:
        self.tokens = tokens
        self.point = point
        self.position = 0
        self.depth = 0
        self.variables: set[str] = set()

    def read(self) -> Number:
        value = self.sum()
        if self.position != len(self.tokens):
            raise Unreadable
        return value

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.position] if self.position < len(self.tokens) else ("end", "")

    def next(self) -> tuple[str, str]:
        token = self.peek()
        self.position += 1
        return token

    def take(self, *signs: str) -> str | None:
        kind, text = self.peek()
        if kind in ("sign", "command") and text in signs:
            self.position += 1
            return text
        return None

    def sum(self) -> Number:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise Unreadable
        value = self.product()
        while sign := self.take("+", "-"):
            right = self.product()
            value = _checked(value + right if sign == "+" else value - right)
        self.depth -= 1
        return value

    def product(self) -> Number:
        negative = False
        while sign := self.take("-", "+"):
            negative ^= sign == "-"
        value = self.power()
        divided = False
        while True:
            if self.take("*", "cdot", "times"):
                value = _checked(value * self.signed())
            elif self.take("/"):
                value = _checked(value / self.signed())
                divided = True
            elif self.starts_factor():
                if divided:  # 1/2x: half of x, or 1 by 2x?
                    raise Unreadable
                value = _checked(value * self.power())
            else:
                return -value if negative else value

    def signed(self) -> Number:
        return -self.power() if self.take("-") else self.power()

    def starts_factor(self) -> bool:
        kind, text = self.peek()
        if kind == "number":
            raise Unreadable  # 3 4 are two numbers
        return kind == "letter" or (kind == "command" and text not in ("cdot", "times")) or text in ("(", "{")

    def power(self) -> Number:
        base = self.postfix()
        if not self.take("^", "**"):
            return base
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise Unreadable
        exponent = self.signed()
        self.depth -= 1
        return _power(base, exponent)

    def postfix(self) -> Number:
        value = self.primary()
        while self.take("!"):
            if not isinstance(value, Fraction) or value.denominator != 1 or value < 0:
                raise Unreadable
            if value > 900:
                raise TooLarge
            value = _checked(Fraction(math.factorial(int(value))))
        return value

    def primary(self) -> Number:
        kind, text = self.next()
        if kind == "number":
            return self.after_number(Fraction(text))
        if kind == "letter":
            return self.variable(text)
        if kind == "sign" and text in ("(", "{", "["):
            value = self.sum()
            if not self.take({"(": ")", "{": "}", "[": "]"}[text]):
                raise Unreadable
            return value
        if kind != "command":
            raise Unreadable
        if text == "frac":
            return _checked(self.group() / self.group())
        if text == "sqrt":
            return self.root()
        if text == "pi":
            return math.pi
        if text in _VARIABLE_COMMANDS:
            return self.variable(text)
        if text in _FUNCTIONS:
            return self.applied(_FUNCTIONS[text])
        raise Unreadable

    def after_number(self, whole: Fraction) -> Number:
        """A mixed number (2 and a half), or the number alone."""
        tokens = self.tokens[self.position : self.position + 7]
        shape = "".join(text for _, text in tokens)
        mixed = re.match(r"frac\{(\d{1,9})\}\{(\d{1,9})\}", shape)
        if mixed and tokens[0] == ("command", "frac") and whole.denominator == 1:
            top, bottom = int(mixed[1]), int(mixed[2])
            if 0 < top < bottom:
                self.position += 7
                return whole + Fraction(top, bottom)
        return whole

    def variable(self, name: str) -> Number:
        if self.take("_"):
            kind, text = self.next()
            if kind == "sign" and text == "{":
                kind, text = self.next()
                if not self.take("}"):
                    raise Unreadable
            if kind not in ("number", "letter"):
                raise Unreadable
            name += f"_{text}"
        if name == "e":
            return math.e
        if name == "i":
            raise Unreadable  # a variable, or the imaginary unit
        self.variables.add(name)
        seed = zlib.crc32(f"{name} {self.point}".encode())
        return Fraction(101 + seed % 1009, 503 + 16 * self.point)

    def group(self) -> Number:
        kind, text = self.peek()
        if (kind, text) == ("sign", "{"):
            return self.primary()
        raise Unreadable

    def root(self) -> Number:
        degree: Number = Fraction(2)
        if self.take("["):
            self.position -= 1
            degree = self.primary()
        if not isinstance(degree, Fraction) or degree.denominator != 1 or self.peek()[1] not in ("{", "("):
            raise Unreadable
        return _root(self.primary(), int(degree))

    def applied(self, function: Callable[[float], float]) -> Number:
        kind, text = self.peek()
        value = self.primary()
        if text not in ("(", "{") and self.starts_factor():
            raise Unreadable  # sin 2x
        if self.peek()[1] == "^" or (kind == "sign" and text not in ("(", "{")):
            raise Unreadable  # sin(x)^2, read one way or the other
        try:
            return _checked(function(float(value)))
        except OverflowError:
            raise TooLarge from None
