"""Reasoning between an opening and a closing, in the forms of the table."""

from __future__ import annotations

import bisect
import re
from typing import NamedTuple

from me2sdk.traces.code import Code
from me2sdk.traces.patterns import Mark, Patterns, patterns

__all__ = ["Blocks", "read_blocks", "unwrap_answer"]

_INK = re.compile(r"\S")
_TRIES = 1000  # closings in code that are looked at
_LONGEST_END = 60  # of the last closing of an answer


class Blocks(NamedTuple):
    """The reasoning of a text and what stands beside it.

    Attributes:
        thoughts: the reasoning, block by block.
        spoken: what stands before, between and behind the blocks.
        truncated: True if the last block has no end.
        continued: True if the first block was opened before the text began.
    """

    thoughts: list[str]
    spoken: list[str]
    truncated: bool
    continued: bool = False


def read_blocks(text: str) -> Blocks | None:
    """Split a text by its blocks of reasoning, or None if it has none."""
    forms = patterns()
    return _read_paired(text, forms) or _read_marks(text, forms)


def _read_paired(text: str, forms: Patterns) -> Blocks | None:
    start = _ink(text, 0)
    for form in forms.paired:
        opening = form.opening.match(text, start)
        if opening is None:
            continue
        closing = form.closing.search(text, opening.end())
        if closing:
            return Blocks([text[opening.end() : closing.start()]], [text[closing.end() :]], False)
        if not form.in_words:  # plain words without the other half are prose
            return Blocks([text[opening.end() :]], [], True)
    return None


def _read_marks(text: str, forms: Patterns) -> Blocks | None:
    marks = forms.find_marks(text)
    if not marks:
        return None
    shown: list[Mark] = []
    if "`" in text or "~~~" in text:
        code = Code(text)
        shown = [mark for mark in marks if code.holds(mark.start, mark.end)]
        marks = [mark for mark in marks if not code.holds(mark.start, mark.end)] if shown else marks
    if not marks:
        return None
    return _Walk(text, forms, marks, shown).read()


class _Walk:
    """One pass over the marks of a text."""

    def __init__(self, text: str, forms: Patterns, marks: list[Mark], shown: list[Mark]) -> None:
        self._text, self._forms, self._marks, self._shown = text, forms, marks, shown
        self._partner: dict[int, int] = {}
        self._orphans: list[int] = []
        self._closings: dict[int, list[int]] = {}
        waiting: dict[int, list[int]] = {}
        for index, mark in enumerate(marks):
            if not mark.closes:
                waiting.setdefault(mark.family, []).append(index)
                continue
            self._closings.setdefault(mark.family, []).append(index)
            if opened := waiting.get(mark.family):
                self._partner[opened.pop()] = index
            else:
                self._orphans.append(index)

    def read(self) -> Blocks | None:
        text, marks = self._text, self._marks
        thoughts: list[str] = []
        spoken: list[str] = []
        index = position = 0
        ink = _ink(text, 0)
        opens = ink == marks[0].start and not marks[0].closes
        continued = False
        if not opens and self._orphans:
            # The chat template opened the reasoning, so only its end was generated.
            first = self._orphans[0]
            thoughts.extend(self._inside(0, 0, marks[first].start))
            thoughts[0] = _after(self._forms.words, thoughts[0])
            continued, index, position = True, first + 1, marks[first].end
            ink = _ink(text, position)
        while index < len(marks):
            mark = marks[index]
            at_start = ink >= mark.start  # nothing but white space since the last block
            if mark.closes:
                if thoughts and at_start:  # a second closing right behind the first
                    position = mark.end
                    ink = _ink(text, position)
                index += 1
                continue
            end = self._end(index, at_start)
            if end is None:
                if at_start:  # cut off while thinking; an opening in the midst of prose is prose
                    thoughts.append(text[mark.end :])
                    return Blocks(thoughts, spoken, True, continued)
                index += 1
                continue
            spoken.append(text[position : mark.start])
            thoughts.extend(self._inside(index + 1, mark.end, end.start))
            position = end.end
            ink = _ink(text, position)
            index = bisect.bisect_left(marks, position, key=_start)
        if not thoughts:
            return None
        return Blocks(thoughts, [*spoken, text[position:]], False, continued)

    def _inside(self, index: int, start: int, end: int) -> list[str]:
        """The text of a block from ``start`` to ``end``, cut at the blocks within it; ``index`` is its first mark."""
        pieces: list[str] = []
        closed_by: set[int] = set()
        while index < len(self._marks) and (mark := self._marks[index]).start < end:
            partner = self._partner.get(index)
            if partner is not None and self._marks[partner].start < end:
                closed_by.add(partner)
            elif index not in closed_by:  # one without the other is text
                index += 1
                continue
            pieces.append(self._text[start : mark.start])
            start = mark.end
            index += 1
        return [*pieces, self._text[start:end]]

    def _end(self, index: int, at_start: bool) -> Mark | None:
        """Where the block that opens at a mark ends: behind the blocks that it holds, if those are complete."""
        marks, opening = self._marks, self._marks[index]
        if (partner := self._partner.get(index)) is not None:
            return marks[partner]
        if not at_start:
            return None
        own = self._closings.get(opening.family, [])
        if (nearest := bisect.bisect_right(own, index)) < len(own):
            return marks[own[nearest]]  # more openings than closings: those within are text
        if (other := bisect.bisect_right(self._orphans, index)) < len(self._orphans):
            return marks[self._orphans[other]]  # `<think>` closed by `</thinking>`
        return self._end_in_code(opening) or self._end_by_answer(opening)

    def _end_in_code(self, opening: Mark) -> Mark | None:
        """A closing that seemed to be code since a stray backtick stands before it.

        One right beside a backtick is code in any case.
        """
        text = self._text
        after = bisect.bisect_left(self._shown, opening.end, key=_start)
        for mark in self._shown[after : after + _TRIES]:
            before, behind = text[max(mark.start - 3, 0) : mark.start], text[mark.end : mark.end + 3]
            in_ticks = (before[-1:] == "`" and before != "```") or (behind[:1] == "`" and behind != "```")
            if mark.closes and mark.family == opening.family and not in_ticks:
                return mark
        return None

    def _end_by_answer(self, opening: Mark) -> Mark | None:
        """The opening of an answer that reaches to the end of the text, where the closing was left out."""
        found = self._forms.answer_marker_start.search(self._text, opening.end)
        if found is None:
            for found in self._forms.answer_tag.finditer(self._text, opening.end):  # noqa: B007 - the last one
                pass
            if found is None or not _ends_with(self._forms.answer_end, self._text.rstrip(), found.end()):
                return None
        return Mark(found.start(), found.start(), opening.family, True)


def unwrap_answer(part: str, forms: Patterns | None = None) -> str:
    """What was said, without the tags of a wrapped answer that it begins with and without answer markers."""
    forms = forms or patterns()
    part = forms.answer_marker.sub("", part).strip()
    unwrapped: list[str] = []
    position = 0
    while opening := forms.answer_tag.match(part, position):
        closing = forms.answer_end.search(part, opening.end())
        unwrapped.append(part[opening.end() : closing.start() if closing else len(part)].strip())
        position = _ink(part, closing.end()) if closing else len(part)
    rest = part[position:].strip()
    if not unwrapped and (end := _ends_with(forms.answer_end, rest, 0)) and not forms.answer_tag.search(rest):
        rest = rest[: end.start()].strip()  # the opening was in the prompt
    return "\n\n".join(filter(None, (*unwrapped, rest)))


def _ends_with(pattern: re.Pattern[str], text: str, start: int) -> re.Match[str] | None:
    found = pattern.search(text, max(start, len(text) - _LONGEST_END))
    return found if found and found.end() == len(text) else None


def _ink(text: str, start: int) -> int:
    """Where the text goes on behind white space."""
    found = _INK.search(text, start)
    return found.start() if found else len(text)


def _start(mark: Mark) -> int:
    return mark.start


def _after(words: re.Pattern[str], text: str) -> str:
    """``text`` behind an opening in plain words."""
    opening = words.match(text, _ink(text, 0))
    return text[opening.end() :] if opening else text
