"""A simulated model: it reads our prompts and answers them in the usual length of models' answers."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from me2sdk.annotate import Annotation, LocalAnnotator
from me2sdk.dag import AttachmentPool, DAGNode
from me2sdk.schema import Message, Step, Usage

__all__ = ["Kind", "Lengths", "SimulatedModel", "filler"]

Kind = Literal["answer", "annotation", "summary", "judgement", "verification"]

_NONCE = re.compile(r"\bcode ([0-9a-f]{12}) open")
# The rules miss some backtracks, so one is added at each step whose number is a multiple of this, less one. Branch ends
# are shown with every later step, and this many lie between models that find none and models that find a lot.
_MISSED = 16
_PART = re.compile(r"part (\d+)")
# Each is one token of the usual encodings, with its space.
_WORDS = " so this part of the work follows from what was found before and takes the next value as given here".split()


class Lengths(NamedTuple):
    """Tokens that a model writes, its thinking included.

    Attributes:
        answer: an answer to a question.
        annotation: what is said about a step.
        summary: the sentence for a part of a trace.
        judgement: a judgement, or a verification.
    """

    answer: int = 600
    annotation: int = 60
    summary: int = 40
    judgement: int = 200


_TYPICAL = Lengths()


class SimulatedModel:
    """Answers prompts of the SDK, and counts.

    A step is annotated by the local rules. Of two traces the same one is always preferred, so that its judgements
    agree. What it writes is as long as an answer without thinking, since only that is passed on to other prompts.

    Args:
        lengths: tokens of its answers.

    Attributes:
        used: what its calls would use, by kind.
    """

    def __init__(self, lengths: Lengths = _TYPICAL) -> None:
        self.used: dict[Kind, Usage] = defaultdict(Usage)
        self._lengths = lengths

    def __call__(self, messages: Sequence[Message]) -> tuple[str, int, Callable[[Usage], None]]:
        """An answer, its tokens, and a callback that gets what the call would use; see `dry_run`."""
        kind, text, items = self._answer(messages)
        length = self._lengths.judgement if kind == "verification" else getattr(self._lengths, kind)

        def on_usage(usage: Usage) -> None:
            self.used[kind] += usage

        return text, length * items, on_usage

    def _answer(self, messages: Sequence[Message]) -> tuple[Kind, str, int]:
        """The kind of a prompt, the answer, and the number of items in it."""
        prompt = messages[0].get("content") if messages else None
        nonce = _NONCE.search(prompt) if isinstance(prompt, str) else None
        if not isinstance(prompt, str) or nonce is None:
            return "answer", "", 1
        shown = _fenced(prompt, nonce[1])
        parts = {found[1]: text for label, text in shown.items() if (found := _PART.fullmatch(label))}
        if parts:
            sentences = [
                f"[{part}] {self._words('summary', 8)} {_mark(text)}." for part, text in parts.items()
            ]
            return "summary", "\n".join(sentences), len(parts)
        if "trace 1" in shown:
            better = 1 if _digest(shown["trace 1"]) < _digest(shown["trace 2"]) else 2
            return "judgement", f"{self._words('judgement', 8)}.\n<|decision|>Trace {better}", 1
        if "student answer" in shown:
            return "verification", "They mean the same.\nFinal Decision: Yes", 1
        decisions = _annotations(shown, nonce[1])
        lines = [
            (f"<|step|>{number}\n" if len(decisions) > 1 else "")
            + f"{self._words('annotation', 20)}.\n<|action|>{one.action}"
            + (f"\n<|previous|>{','.join(map(str, one.parents))}" if one.parents else "")
            for number, one in decisions.items()
        ]
        return "annotation", "\n".join(lines), len(lines)

    def _words(self, kind: Kind, marks: int) -> str:
        """Prose for an answer, of which ``marks`` tokens are needed for its form."""
        return filler(min(getattr(self._lengths, kind), getattr(_TYPICAL, kind)) - marks)


def filler(tokens: int) -> str:
    """Plain words of about so many tokens, at least one."""
    return " ".join(itertools.islice(itertools.cycle(_WORDS), max(1, tokens)))


def _fenced(prompt: str, nonce: str) -> dict[str, str]:
    """The texts between fences, by label."""
    ends = re.compile(rf"^\[(begin|end) ([\w ]+) {nonce}\]$", re.MULTILINE)
    found: dict[str, str] = {}
    start = 0
    for mark in ends.finditer(prompt):
        if mark[1] == "begin":
            start = mark.end() + 1
        else:
            found[mark[2]] = prompt[start : mark.start() - 1]
    return found


def _steps(text: str, nonce: str) -> dict[int, str]:
    """The steps in a part of an annotator's prompt, by id."""
    _, *rest = re.split(rf"^\[step (\d+)[^\n\]]* {nonce}\] ", text, flags=re.MULTILINE)
    return {int(number): step.rstrip("\n") for number, step in zip(rest[::2], rest[1::2], strict=True)}


def _annotations(shown: Mapping[str, str], nonce: str) -> dict[int, Annotation]:
    """How the local rules attach the new steps that a prompt shows, to the steps that it shows."""
    path = _steps(shown.get("main path", ""), nonce)
    leaves = _steps(shown.get("branch ends", ""), nonce)
    new = _steps(shown.get("new step", shown.get("new steps", "")), nonce)
    # Looked up by id, as in a list.
    nodes: Any = {n: _node(n, text) for n, text in {**path, **leaves}.items()}
    on_path, ends = list(path), list(leaves)
    rules, decisions = LocalAnnotator(), {}
    for number, text in new.items():
        pool = AttachmentPool(tuple(on_path), tuple(ends))
        found = rules.annotate(Step(text, ""), pool, nodes)
        if found.action == "continue" and number % _MISSED == _MISSED - 1 and len(on_path) > 1:
            found = Annotation("backtrack", (on_path[-2],))
        decisions[number] = found
        nodes[number] = _node(number, text)
        back = next((parent for parent in found.parents if parent in on_path), on_path[-1])
        if back != on_path[-1]:
            ends.append(on_path[-1])
        ends = [end for end in ends if end not in found.parents]
        on_path = [*on_path[: on_path.index(back) + 1], number]
    return decisions


def _node(number: int, text: str) -> DAGNode:
    return DAGNode.model_construct(id=number, text=text, action="continue", parents=(), steps=(number,))


def _mark(text: str) -> str:
    """Two numbers that differ between texts: otherwise traces of one shape would have the same summaries."""
    number = int.from_bytes(_digest(text)[:4])
    return f"{number % 900 + 100} {number // 900 % 900 + 100}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
