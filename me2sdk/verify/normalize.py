"""An answer as text without what does not change its meaning."""

from __future__ import annotations

import re

from me2sdk.verify.notation import plain
from me2sdk.verify.numerals import read_number

__all__ = ["normalize_answer"]


def normalize_answer(answer: str) -> str:
    r"""An answer without what does not change it: LaTeX dressing, currency signs, spaces, case, a final full stop.

    Numbers come out in one form: ``1,000``, ``$1000.00`` and ``1000`` are the same, and so are ``1 1/2`` and
    ``3/2``. What means something stays: ``3 4`` are two numbers, ``\leftarrow`` points left, and ``10%`` is
    not 10.

    Examples:
        >>> normalize_answer("$1,000.00")
        '1000'
        >>> normalize_answer("\\dfrac{1}{2}")
        '1/2'
        >>> normalize_answer("\\text{Tuesday}.")
        'tuesday'
    """
    text = plain(answer)
    number = read_number(re.sub(r"^([+-]?)\s?[$€£]\s?|\s?[€£]$", r"\1", text))
    return str(number) if number is not None else text.lower()
