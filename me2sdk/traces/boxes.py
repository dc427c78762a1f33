r"""The ``\boxed{…}`` of a text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["boxed_answers"]

_BRACES = re.compile(
    r"\\(?:boxed|fbox)\s*\{"
    r"|\\(?:boxed|fbox)[ \t]{0,4}(?P<token>[-+]?\d{1,40}(?:,\d{3}){0,9}(?:\.\d{1,40})?|[A-Za-z](?![A-Za-z]))"
    r"|\\.|[{}]",
    re.DOTALL,
)
# What may stand between boxes that are one answer: "and", "or", a comma, "y =".
_BETWEEN = re.compile(
    r"(?:\s|\$|\\[()\[\]]|,|;|&|\band\b|\bor\b|\\text\{\s?(?:and|or)\s?\}|\\quad|\\qquad|\\[,;]|[a-zA-Z]\s?=){1,12}"
)


class _Box(NamedTuple):
    start: int
    content: int
    end: int
    after: int


def boxed_answers(text: str, ignored: Callable[[str], bool]) -> tuple[int, str | None]:
    """Where the last box starts, and what it holds, together with those it stands in one breath with.

    Args:
        text: the text.
        ignored: whether the content of a box is a placeholder, as if the box were not there.

    Returns:
        The start and the content; -1 and None where there is no box. ``\\boxed 2`` counts as ``\\boxed{2}``.
    """
    boxes = [box for box in _boxes(text) if not ignored(text[box.content : box.end].strip())]
    if not boxes:
        return -1, None
    parts = [text[boxes[-1].content : boxes[-1].end].strip()]
    place = len(boxes) - 1
    while place > 0 and len(parts) < 20:
        between = text[boxes[place - 1].after : boxes[place].start]
        if not between.strip(" $") or len(between) > 40 or "\n" in between or not _BETWEEN.fullmatch(between):
            break
        place -= 1
        parts.append(text[boxes[place].content : boxes[place].end].strip())
    return boxes[-1].start, ", ".join(dict.fromkeys(reversed(parts)))


def _boxes(text: str) -> list[_Box]:
    r"""The outermost boxes, in order; a box around nothing but a box is that box."""
    if "\\boxed" not in text and "\\fbox" not in text:
        return []
    found: list[_Box] = []
    stack: list[tuple[int, int] | None] = []  # where each open box and its content start; None: a plain brace
    for token in _BRACES.finditer(text):
        if token["token"]:
            found.append(_Box(token.start(), token.start("token"), token.end(), token.end()))
        elif token[0] == "{":
            stack.append(None)
        elif token[0] == "}":
            opened = stack.pop() if stack else None
            if opened is not None:
                _close(text, found, _Box(*opened, token.start(), token.end()))
        elif token[0].endswith("{") and len(token[0]) > 2:
            stack.append((token.start(), token.end()))
    return found


def _close(text: str, found: list[_Box], box: _Box) -> None:
    inner = []
    while found and found[-1].start >= box.content:
        inner.append(found.pop())
    if len(inner) == 1:
        only = inner[0]
        if not text[box.content : only.start].strip() and not text[only.after : box.end].strip():
            box = _Box(box.start, only.content, only.end, box.after)
    found.append(box)
