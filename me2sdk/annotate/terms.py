"""What a step is about, as sets of words, symbols and numbers. They are kept, since a step is compared with many."""

from __future__ import annotations

import functools
import re

__all__ = ["numbers", "terms"]

_READ = 2000  # characters of a step that are compared with those of others
_TERM = re.compile(r"[a-z]{4,}|\d+(?:\.\d+)?|(?<![a-z\\])[a-z](?:_\w|[²³])?(?![a-z])|\\[a-z]+")
_NUMBER = re.compile(r"(?<![\w.^])\d+(?:\.\d+)?")
_COMMON = frozenset(
    "about alternatively also another because both case compute consider could does each equation equations find "
    "from have here just know like maybe more must need only other perhaps problem same should since some step such "
    "that them then there these they think this those using wait what when where which will with would".split()
)


@functools.lru_cache(maxsize=4096)
def terms(text: str) -> frozenset[str]:
    """The longer words that say something, the symbols, and the numbers of more than one digit in a text."""
    found = _TERM.findall(text[:_READ].lower())
    return frozenset(term for term in found if term not in _COMMON and not (term.isdigit() and len(term) < 2))


@functools.lru_cache(maxsize=4096)
def numbers(text: str) -> frozenset[str]:
    """The numbers of a text as they are written, small ones too."""
    return frozenset(_NUMBER.findall(text[:_READ]))
