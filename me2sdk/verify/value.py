"""What an answer is, once it has been read."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from me2sdk.verify.arithmetic import Evaluation, evaluate
from me2sdk.verify.units import Unit

__all__ = ["Kind", "Value"]

Kind = Literal[
    "number", "choice", "time", "tuple", "list", "interval", "union", "formula", "equation", "words", "opaque"
]
"""opaque: text that only equals itself, such as ``\neq 42``, an arrow, or a power too large to compute."""


@dataclass(frozen=True, slots=True)
class Value:
    """An answer as it was understood.

    Attributes:
        kind: what it is.
        key: equal for values of one kind that are equal without doubt.
        text: the value in plain notation, without the names and units that stand around it.
        name: the variable that it was said of: ``x`` for ``x = 5`` and ``x < 5``.
        unit: the unit behind a number.
        items: the parts of a collection.
        said: the text behind the letter of a choice.
        certain: False where a difference says little: an approximation, or something too large to compute.
    """

    kind: Kind
    key: Hashable
    text: str
    name: str = ""
    unit: Unit | None = None
    items: tuple[Value, ...] = ()
    said: str = ""
    certain: bool = True

    @property
    def core(self) -> tuple[Kind, Hashable]:
        """What it is without its name and unit."""
        return (self.kind, self.key)

    @property
    def number(self) -> Fraction | None:
        """The number, where it is one."""
        return self.key if self.kind == "number" and isinstance(self.key, Fraction) else None

    @property
    def evaluation(self) -> Evaluation:
        """Its numerical values; none for what is no formula."""
        if self.kind == "number" and isinstance(self.key, Fraction):
            return Evaluation((self.key,))
        return evaluate(self.text) if self.kind == "formula" else Evaluation()
