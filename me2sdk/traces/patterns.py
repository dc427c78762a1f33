"""The table of thinking formats as regular expressions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from me2sdk.traces.formats import ANYTHING, ThinkingFormat, thinking_formats

__all__ = ["Mark", "Paired", "Patterns", "patterns"]

_TAG = re.compile(r"<(?P<close>/?)(?P<name>[\w:.…-]+)>")
_PAIR = re.compile(r"(\\?.)(\[\\w\.-\]|\\?.)", re.DOTALL)  # the first two atoms of an expression
_CLASSES = {r"[\w.-]": r"\w.\-", r"\s": r"\s\S", "^": r"\^", "-": r"\-", "]": r"\]"}
_NEVER = re.compile(r"(?!)")


class Mark(NamedTuple):
    """An opening or a closing in a text.

    Attributes:
        start: where it begins.
        end: where it ends.
        family: openings and closings of one format share it.
        closes: True for a closing.
    """

    start: int
    end: int
    family: int
    closes: bool


class Paired(NamedTuple):
    """A format whose closing counts only after its opening."""

    opening: re.Pattern[str]
    closing: re.Pattern[str]
    in_words: bool


class Patterns(NamedTuple):
    """What the reader looks for.

    Attributes:
        marks: every opening and closing; `find_marks` says which one was found.
        kinds: for each group of ``marks`` its family and whether it closes.
        paired: formats that count only with both of their ends.
        words: openings in plain words, matched where reasoning begins.
        answer_tag: an opening tag of a wrapped answer, such as ``<answer>``.
        answer_end: a closing tag of one.
        answer_marker: answer markers that are no tags and never prose, such as ``<|end_of_box|>``.
        answer_marker_start: those of them that open the answer.
    """

    marks: re.Pattern[str]
    kinds: tuple[tuple[int, bool], ...]
    paired: tuple[Paired, ...]
    words: re.Pattern[str]
    answer_tag: re.Pattern[str]
    answer_end: re.Pattern[str]
    answer_marker: re.Pattern[str]
    answer_marker_start: re.Pattern[str]

    def find_marks(self, text: str) -> list[Mark]:
        """Every opening and closing in ``text``, in order."""
        return [
            Mark(found.start(), found.end(), *self.kinds[(found.lastindex or 1) - 1])
            for found in self.marks.finditer(text)
        ]


def patterns() -> Patterns:
    """The patterns of the formats that are registered now."""
    global _latest
    formats = thinking_formats()
    # Formats are compared by identity first, which takes a tenth of the time that hashing them for a cache does.
    if _latest is None or _latest[0] != formats:
        _latest = formats, _compile(formats)
    return _latest[1]


_latest: tuple[tuple[ThinkingFormat, ...], Patterns] | None = None


def _compile(formats: tuple[ThinkingFormat, ...]) -> Patterns:
    kinds: dict[str, tuple[int, bool]] = {}  # expression of a form -> family, closes
    words: dict[str, None] = {}
    paired = []
    for family, row in enumerate(formats):
        if row.paired:
            in_words = any(form[0].isalpha() for form in row.opening)
            paired.append(Paired(_any(row, row.opening), _any(row, row.closing), in_words))
            continue
        marks = [(form, False) for form in row.opening] + [(form, True) for form in row.closing]
        words.update((_expression(form, row.exact_case), None) for form in row.opening if form[0].isalpha())
        expressions = {
            _expression(form, row.exact_case): closes for form, closes in marks if not form[0].isalpha()
        }
        # Rows that share a form are one family, or `<think>` of one could not be closed by `</think>` of another.
        shared = next((kinds[expression][0] for expression in expressions if expression in kinds), family)
        for expression, closes in expressions.items():
            kinds.setdefault(expression, (shared, closes))
    forms = sorted(kinds, key=len, reverse=True)  # the longest first: "<|channel>thought" before "<|channel>"
    return Patterns(
        _alternatives(forms),
        tuple(kinds[form] for form in forms),
        tuple(paired),
        _union(words),
        _union(_expression(f, r.exact_case) for r in formats for f in r.answer_opening if _TAG.fullmatch(f)),
        _union(_expression(f, r.exact_case) for r in formats for f in r.answer_closing if _TAG.fullmatch(f)),
        _union(
            _expression(f, r.exact_case)
            for r in formats
            for f in (*r.answer_opening, *r.answer_closing)
            if not _TAG.fullmatch(f)
        ),
        _union(
            _expression(f, r.exact_case) for r in formats for f in r.answer_opening if not _TAG.fullmatch(f)
        ),
    )


def _any(row: ThinkingFormat, forms: Iterable[str]) -> re.Pattern[str]:
    return _union(_expression(form, row.exact_case) for form in forms)


def _union(expressions: Iterable[str]) -> re.Pattern[str]:
    distinct = sorted(set(expressions), key=len, reverse=True)
    return re.compile("|".join(distinct), re.IGNORECASE) if distinct else _NEVER


def _expression(form: str, exact_case: bool) -> str:
    tag = _TAG.fullmatch(form)
    if tag and tag["close"]:
        expression = f"</{_literal(tag['name'])}\\s{{0,3}}>"
    elif tag:
        # A model may write attributes.
        expression = f"<{_literal(tag['name'])}(?:\\s[^<>]{{0,100}})?>"
    else:
        expression = _literal(form)
    return f"(?-i:{expression})" if exact_case else expression.lower()


def _literal(form: str) -> str:
    parts = ("\\s{0,4}".join(map(re.escape, part.split())) for part in re.split(f"({ANYTHING})", form))
    return "".join(r"[\w.-]{1,30}" if part == re.escape(ANYTHING) else part for part in parts)


def _alternatives(forms: list[str]) -> re.Pattern[str]:
    """One pattern with an empty group behind each form.

    A lookahead at the first two characters settles most places at once: a megabyte of ``<`` is as cheap as prose.
    """
    if not forms:
        return _NEVER
    heads: dict[str, dict[str, None]] = {}
    for form in forms:
        first, second = _PAIR.match(form.removeprefix("(?-i:")).groups()  # type: ignore[union-attr]  # any form fits
        heads.setdefault(first, {})[_CLASSES.get(second, second)] = None
    ahead = "|".join(f"{first}[{''.join(seconds)}]" for first, seconds in heads.items())
    return re.compile(f"(?={ahead})(?:{'|'.join(f'{form}()' for form in forms)})", re.IGNORECASE)
