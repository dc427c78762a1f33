"""Which parts of a text are code in Markdown, where a tag is shown and does not mark anything."""

from __future__ import annotations

import bisect
import re
from itertools import pairwise

__all__ = ["Code"]

_FENCE = re.compile(r"(?:^[ \t]{0,12}|(?<=>))(?P<run>`{3,}+|~{3,}+)(?P<info>[^`\n]{0,80})", re.MULTILINE)
_RUN = re.compile(r"`++")
_MARKUP, _MARKUP_END = "<[◁", ">]▷"  # with which tags begin and end
_LONGEST_TAG = 100


class Code:
    """The spans between backticks and the fenced blocks of a text.

    Only what is sure to be code counts, since one stray backtick in the reasoning must not hide its end: a span
    begins and ends in one line whose backticks all have a partner, a fence has an end, and no bare fence is left over.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._parts: list[tuple[int, int]] = []
        fences = self._fences()
        self._parts.extend(fences)
        self._spans(fences)
        self._parts.sort()
        self._starts = [start for start, _ in self._parts]

    def holds(self, start: int, end: int) -> bool:
        """Say whether the text from ``start`` to ``end`` lies in code."""
        index = bisect.bisect_right(self._starts, start) - 1
        return index >= 0 and end <= self._parts[index][1]

    def _fences(self) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        opened: re.Match[str] | None = None
        opened_bare = False
        for fence in _FENCE.finditer(self._text):
            info, end = fence["info"].strip(), fence.end()
            if end < len(self._text) and self._text[end] == "`":
                continue  # backticks follow in the line: code within a line
            bare = not info or info[0] in _MARKUP
            if opened is None:
                opened, opened_bare = fence, bare
            elif fence["run"][0] != opened["run"][0] or len(fence["run"]) < len(opened["run"]):
                continue
            elif bare:
                found.append((opened.end("run"), fence.start("run")))
                opened = None
            else:
                opened, opened_bare = fence, False  # a new one begins: the last had no end
        return [] if opened is not None and opened_bare else found

    def _spans(self, fences: list[tuple[int, int]]) -> None:
        line: list[tuple[int, int]] = []
        previous = 0
        starts = [start for start, _ in fences]
        for run in _RUN.finditer(self._text):
            index = bisect.bisect_right(starts, run.start()) - 1
            if index >= 0 and run.end() <= fences[index][1]:
                continue
            if line and self._text.find("\n", previous, run.start()) >= 0:
                self._line(line)
                line = []
            line.append(run.span())
            previous = run.end()
        self._line(line)

    def _line(self, runs: list[tuple[int, int]]) -> None:
        """Pair the runs of backticks in one line: each with the next one of its length."""
        partner: dict[int, int] = {}
        following: dict[int, int] = {}
        for index in range(len(runs) - 1, -1, -1):
            length = runs[index][1] - runs[index][0]
            if length in following:
                partner[index] = following[length]
            following[length] = index
        spans: list[tuple[int, int]] = []
        index, alone = 0, False
        while index < len(runs):
            if index in partner:
                spans.append((runs[index][1], runs[partner[index]][0]))
                index = partner[index] + 1
            else:
                alone = True
                index += 1
        if alone:  # which ones belong together cannot be known: only a tag right between two of them is sure
            spans = [(one[1], two[0]) for one, two in pairwise(runs) if self._is_tag(one, two)]
        self._parts.extend(spans)

    def _is_tag(self, before: tuple[int, int], after: tuple[int, int]) -> bool:
        inside = self._text[before[1] : min(after[0], before[1] + _LONGEST_TAG)]
        around = self._text[max(before[0] - 1, 0) : before[0]] + self._text[after[1] : after[1] + 1]
        return (
            before[1] + len(inside) == after[0]
            and inside[:1] in _MARKUP
            and inside[-1:] in _MARKUP_END
            and not any(map(str.isalnum, around))
        )
