"""Reading a prompt of the SDK as a model reads it: which one it is, and what stands between its fences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from me2sdk.schema import Message

__all__ = ["FilledPrompt", "read_filled"]

_NONCE = re.compile(r"\bcode ([0-9a-f]{12}) open")
_CRITERION = re.compile(r"\*\*(efficiency|effectiveness) of the (structure|steps)\*\*")
_PART, _LISTED = "part ", "listed trace "
_BY_LABEL = {  # the first label that occurs decides
    "new step": "annotate",
    "new steps": "annotate_window",
    "student answer": "verify",
    "assessments": "aggregate",
    "graded trace": "score_points",
    "listed trace 1": "score_list",
}


class FilledPrompt(NamedTuple):
    """A prompt whose places are filled.

    Attributes:
        name: which prompt: the name of its file, as "annotate" or "macro_efficiency".
        text: all of it.
        nonce: the word in its fences.
        fenced: the texts between fences, by label.
    """

    name: str
    text: str
    nonce: str
    fenced: dict[str, str]

    @property
    def traces(self) -> tuple[str, str]:
        """The two traces to judge, in the order in which they are shown; empty if the prompt has none."""
        return self.fenced.get("trace 1", ""), self.fenced.get("trace 2", "")

    @property
    def parts(self) -> dict[int, str]:
        """The parts to summarise, by number."""
        return {
            int(label[len(_PART) :]): text for label, text in self.fenced.items() if label.startswith(_PART)
        }

    @property
    def listed(self) -> list[str]:
        """The traces to put in order, as they are shown."""
        return [text for label, text in self.fenced.items() if label.startswith(_LISTED)]

    @property
    def new_steps(self) -> dict[int, str]:
        """The steps to annotate, by id."""
        return self.steps("new steps" if "new steps" in self.fenced else "new step")

    def steps(self, label: str) -> dict[int, str]:
        """The steps between the fences with this label, by id."""
        marks = re.compile(rf"^\[step (\d+)[^\n\]]* {self.nonce}\] ", re.MULTILINE)
        _, *rest = marks.split(self.fenced.get(label, ""))
        return {int(number): step.rstrip("\n") for number, step in zip(rest[::2], rest[1::2], strict=True)}


def read_filled(prompt: str | Sequence[Message]) -> FilledPrompt | None:
    """Recognise a prompt of the SDK.

    Args:
        prompt: what a model was sent: a text, or messages, of which the first counts.

    Returns:
        The prompt with its parts, or None for any other question.
    """
    text = prompt if isinstance(prompt, str) else prompt[0].get("content") if prompt else None
    nonce = _NONCE.search(text) if isinstance(text, str) else None
    if not isinstance(text, str) or nonce is None:
        return None
    fenced = _fenced(text, nonce[1])
    name = _name(text, fenced)
    return None if name is None else FilledPrompt(name, text, nonce[1], fenced)


def _name(text: str, fenced: dict[str, str]) -> str | None:
    known = next((name for label, name in _BY_LABEL.items() if label in fenced), None)
    if known is not None:
        return known
    if any(label.startswith(_PART) for label in fenced):
        return "summarize"
    criteria = _CRITERION.findall(text) if "trace 1" in fenced else []
    if not criteria:
        return None
    criterion, level = criteria[-1]  # the prompt's own stands behind the traces
    return f"{'macro' if level == 'structure' else 'micro'}_{criterion}"


def _fenced(text: str, nonce: str) -> dict[str, str]:
    """The texts between fences, by label."""
    ends = re.compile(rf"^\[(begin|end) ([\w ]+) {nonce}\]$", re.MULTILINE)
    found: dict[str, str] = {}
    start = 0
    for mark in ends.finditer(text):
        if mark[1] == "begin":
            start = mark.end() + 1
        else:
            found[mark[2]] = text[start : mark.start() - 1]
    return found
