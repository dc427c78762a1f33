"""Reading a model's answer: how a step is attached, in the format of App. J.1.

Explanation lines, then ``<|action|>continue|backtrack|merge``, then ``<|previous|>K`` or ``<|previous|>K1,K2``. Models
also write ``|action|: merge``, ``**Action:** merge``, ``s3`` for ``3``, and code fences around it all. Pure
functions over text; time is linear in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from me2sdk.annotate.types import Annotation
from me2sdk.errors import InvalidTraceError
from me2sdk.schema import Trace
from me2sdk.traces import is_cut_off

__all__ = ["own_words", "read_annotation", "read_window"]

_MAX_LENGTH = 500  # characters of an explanation that are kept
_MAX_IDS = 64
_MARKUP = r"[ \t*_`\"'#>\-]{0,8}"  # what Markdown and careful models put around a word

_BAR = "[|｜]"


def _marker(name: str) -> str:
    """Matches ``<|name|>``, ``|name|``, ``<name>``, and ``Name:`` at the start of a line."""
    return (
        rf"(?:<{_BAR}?{_MARKUP}{name}{_MARKUP}{_BAR}?>|{_BAR}{_MARKUP}{name}{_MARKUP}{_BAR}|^{_MARKUP}{name}{_MARKUP}(?=[:=]))"
        rf"{_MARKUP}[:=]?{_MARKUP}"
    )


_FLAGS = re.IGNORECASE | re.MULTILINE
# Not followed by "|": that is a quotation of the format.
_ACTION = re.compile(rf"{_marker('action')}\n?{_MARKUP}(continue|backtrack|merge)\b(?!{_MARKUP}\|)", _FLAGS)
_PREVIOUS = re.compile(rf"{_marker('(?:previous|parents?)')}\n?", _FLAGS)
_STEP = re.compile(rf"{_marker('step')}s?(\d{{1,9}})\b", _FLAGS)
_ID = r"[\s\[({]{0,4}(?:step|node|s|#)?[\s#*`]{0,2}(\d{1,9})[\])}*`]{0,4}"
_FIRST_ID = re.compile(_ID, re.IGNORECASE)
_NEXT_ID = re.compile(rf"[ \t]{{0,4}}(?:,|;|&|\band\b|[ \t](?=\d|s\d)){_ID}", re.IGNORECASE)


def own_words(message: Any, finish_reason: str | None = None) -> str:
    """What the model says after its thinking, or "" if it never got that far.

    Its thinking is left out, with the annotations that it discarded there, unless it finished without saying more. Of
    an answer that was cut off, the last line is left out too: it may end in half an id.
    """
    try:
        text = Trace.from_message(message, finish_reason=finish_reason).response or ""
    except InvalidTraceError:
        return ""
    return text.rpartition("\n")[0] if is_cut_off(finish_reason) else text


def read_annotation(text: str) -> Annotation | None:
    """The last annotation that ``text`` states, or None."""
    last = None
    for last in _ACTION.finditer(text):  # noqa: B007 - the last one is wanted
        pass
    if last is None:
        return None
    action = last[1].lower()
    parents = () if action == "continue" else _ids(text, last.end())
    return Annotation(action, parents, _explanation(text[: last.start()]))


def read_window(text: str) -> dict[int, Annotation]:
    """The annotation of each step that ``text`` names with ``<|step|>ID``; of several for one step, the last."""
    marks = list(_STEP.finditer(text))
    found = {}
    for place, mark in enumerate(marks):
        end = marks[place + 1].start() if place + 1 < len(marks) else len(text)
        annotation = read_annotation(text[mark.end() : end])
        if annotation is not None:
            found[int(mark[1])] = annotation
    return found


def _ids(text: str, position: int) -> Sequence[int]:
    mark = _PREVIOUS.search(text, position)
    found = _FIRST_ID.match(text, mark.end()) if mark else None
    ids: list[int] = []
    while found and len(ids) < _MAX_IDS:
        ids.append(int(found[1]))
        found = _NEXT_ID.match(text, found.end())
    return tuple(ids)


def _explanation(text: str) -> str | None:
    """The lines before the action, without code fences, on one line; of long ones the end."""
    lines = (line.strip(" \t*_#>") for line in text.splitlines() if not line.lstrip().startswith("```"))
    joined = " ".join(line for line in lines if line)
    return (joined if len(joined) <= _MAX_LENGTH else "…" + joined[-_MAX_LENGTH:]) or None
