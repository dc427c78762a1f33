"""Which final answer a text states."""

from __future__ import annotations

import re

__all__ = ["last_answer"]

_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_FINAL = re.compile(
    r"\bfinal[ \t]+answer\b[*_`\"']{0,4}[ \t]{0,4}(?::|=|\bis\b:?)[*_ \t]{0,8}(?:\n\s{0,8})?([^\n]+)",
    re.IGNORECASE,
)
_HASHES = re.compile(r"####[ \t]*([^\n]+)")


def last_answer(text: str) -> str | None:
    """The final answer that ``text`` states, or None.

    Looked for in this order, the last of its kind each: ``\\boxed{…}`` (braces may nest), ``Final answer:
    …``, ``#### …``.
    """
    boxed = _last_boxed(text)
    if boxed:
        return boxed
    for pattern in (_FINAL, _HASHES):
        found = None
        for found in pattern.finditer(text):  # noqa: B007 - the last one is wanted
            pass
        if found and (answer := found[1].strip().strip("*_` \t").removesuffix(".").strip().strip("*_` ")):
            return _last_boxed(answer) or answer
    return None


def _last_boxed(text: str) -> str | None:
    best: tuple[int, int, int, int] | None = None  # content start and end, then start and end with its braces
    stack: list[tuple[int, int] | None] = []  # where each open box and its content start; None: a plain brace
    for token in _BRACES.finditer(text):
        if token[0] == "{":
            stack.append(None)
        elif token[0] == "}":
            box = stack.pop() if stack else None
            if box is None:
                continue
            start, content = box
            if (
                best
                and best[2] >= content
                and not (text[content : best[2]] + text[best[3] : token.start()]).strip()
            ):
                best = (best[0], best[1], start, token.end())  # a box around nothing but a box
            else:
                best = (content, token.start(), start, token.end())
        elif token[0].endswith("{") and len(token[0]) > 2:
            stack.append((token.start(), token.end()))
    return (text[best[0] : best[1]].strip() or None) if best else None
