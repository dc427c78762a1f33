"""Reading a model's answer: how a step is attached, in the format of App. J.1.

Explanation lines, then ``<|action|>continue|backtrack|merge``, then ``<|previous|>K`` or ``<|previous|>K1,K2``. Models
also write ``|action|: merge``, ``**Action:** merge``, ``s3`` for ``3``, and code fences around it all. A model that is
held to a schema writes the same as a JSON object. Pure functions over text; time is linear in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from me2sdk.annotate.types import Annotation
from me2sdk.errors import InvalidTraceError
from me2sdk.prompts import read_object
from me2sdk.schema import Trace
from me2sdk.traces import is_cut_off

__all__ = ["own_words", "read_annotation", "read_window"]

_MAX_LENGTH = 500  # characters of an explanation that are kept
_MAX_IDS = 64
_LONGEST_LINE = 80  # characters of a last line that is nothing but an action
_MARKUP = r"[ \t*_`\"'#>…\-]{0,8}"  # what Markdown, careful models and dots to fill in put around a word

_BAR = "[|｜]"


def _marker(name: str) -> str:
    """Matches ``<|name|>``, ``|name|``, ``<name>``, and ``Name:`` at the start of a line."""
    return (
        rf"(?:<{_BAR}?{_MARKUP}{name}{_MARKUP}{_BAR}?>|{_BAR}{_MARKUP}{name}{_MARKUP}{_BAR}|^{_MARKUP}{name}{_MARKUP}(?=[:=]))"
        rf"{_MARKUP}[:=]?{_MARKUP}"
    )


_FLAGS = re.IGNORECASE | re.MULTILINE
# Not followed by "|", which is a quotation of the format, nor by another of the three, which is a list of choices.
_OTHER = rf"{_MARKUP}(?:[,/]|or\b|and\b){_MARKUP}(?:continue|backtrack|merge)\b"
_ACTION = re.compile(
    rf"{_marker('action')}\n?{_MARKUP}(continue|backtrack|merge)\b(?!{_MARKUP}\||{_OTHER})", _FLAGS
)
_PREVIOUS = re.compile(rf"{_marker('(?:previous|parents?)')}\n?", _FLAGS)
_STEP = re.compile(rf"{_marker('step')}s?(\d{{1,9}})\b", _FLAGS)
_ID = r"[\s\[({]{0,4}(?:step|node|s|#)?[\s#*`]{0,2}(\d{1,9})[\])}*`]{0,4}"
_FIRST_ID = re.compile(_ID, re.IGNORECASE)
_NEXT_ID = re.compile(rf"[ \t]{{0,4}}(?:,|;|&|\band\b|[ \t](?=\d|s\d)){_ID}", re.IGNORECASE)


# Between two actions of a list of choices, which is no answer.
_NOTHING_BETWEEN = re.compile(
    r"[\W_]*(?:(?:previous|parents?)[\W_]*(?:\d+[\W_]+)*)?(?:(?:or|and)[\W_]*)?", re.IGNORECASE
)
# The last line where it is nothing but an action: "continue.", "Backtrack to step 3".
_BARE = re.compile(
    rf"{_MARKUP}(continue|backtrack|merge)\b{_MARKUP}(?:(?:to|with|of|steps?)[ \t]{{1,4}}){{0,2}}((?:{_ID}"
    rf"[ \t]{{0,4}}(?:,|and)?[ \t]{{0,4}}){{0,8}})[.]{{0,3}}{_MARKUP}",
    re.IGNORECASE,
)


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
    """The annotation of a JSON object, or the last one that ``text`` states in lines, or None.

    Without a marker the last line counts, where it is nothing but an action.
    """
    stated = _from_object(read_object(text))
    if stated is not None:
        return stated
    before, last = None, None
    for found in _ACTION.finditer(text):
        before, last = last, found
    if last is None:
        return _bare(text)
    action = last[1].lower()
    copied = before is not None and _NOTHING_BETWEEN.fullmatch(text, before.end(), last.start())
    if before and copied and before[1].lower() != action:
        return None
    parents = () if action == "continue" else _ids(text, last.end())
    return Annotation(action, parents, _explanation(text[: last.start()]))


def _bare(text: str) -> Annotation | None:
    before, _, line = text.rstrip("` \t\r\n").rpartition("\n")
    found = _BARE.fullmatch(line) if len(line) < _LONGEST_LINE else None
    if found is None:
        return None
    action = found[1].lower()
    ids = () if action == "continue" else tuple(map(int, re.findall(r"\d+", found[2])))
    return Annotation(action, ids, _explanation(before))


def read_window(text: str) -> dict[int, Annotation]:
    """The annotation of each step that ``text`` names, by ``<|step|>ID`` or in JSON; of several for one, the last."""
    listed = (read_object(text) or {}).get("steps")
    if isinstance(listed, list):
        pairs = [(_number(one.get("step")), _from_object(one)) for one in listed if isinstance(one, dict)]
        return {step: one for step, one in pairs if step is not None and one is not None}
    marks = list(_STEP.finditer(text))
    found = {}
    for place, mark in enumerate(marks):
        end = marks[place + 1].start() if place + 1 < len(marks) else len(text)
        annotation = read_annotation(text[mark.end() : end])
        if annotation is not None:
            found[int(mark[1])] = annotation
    return found


def _from_object(found: dict[str, Any] | None) -> Annotation | None:
    action = str((found or {}).get("action")).strip().lower()
    if found is None or action not in ("continue", "backtrack", "merge"):
        return None
    given = found.get("previous")
    ids = [_number(one) for one in (given if isinstance(given, list) else [given])[:_MAX_IDS]]
    parents = () if action == "continue" else tuple(one for one in ids if one is not None)
    return Annotation(action, parents, _explanation(str(found.get("explanation") or "")))


def _number(value: Any) -> int | None:
    """An id as models write it: 3, "3" or "step 3"."""
    match = _FIRST_ID.fullmatch(str(value))
    return int(match[1]) if match else None


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
    if not re.search(r"\w", joined):  # dots in place of words, as the form shows them
        return None
    return joined if len(joined) <= _MAX_LENGTH else "…" + joined[-_MAX_LENGTH:]
