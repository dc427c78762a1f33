"""A simulated model: it reads our prompts and answers them in the usual length of models' answers."""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from me2sdk.annotate import Annotation, LocalAnnotator, annotate_shown, write_annotations
from me2sdk.dag import AttachmentPool, DAGNode
from me2sdk.prompts import read_filled
from me2sdk.schema import Message, Step, Usage

__all__ = ["Kind", "Lengths", "SimulatedModel", "filler"]

Kind = Literal["answer", "annotation", "summary", "judgement", "verification"]

# The rules miss some backtracks, so one is added at each step whose number is a multiple of this, less one. Branch ends
# are shown with every later step, and this many lie between models that find none and models that find a lot.
_MISSED = 16
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
        prompt = read_filled(messages)
        if prompt is None:
            return "answer", "", 1
        if parts := prompt.parts:
            sentences = [
                f"[{part}] {self._words('summary', 8)} {_mark(text)}." for part, text in parts.items()
            ]
            return "summary", "\n".join(sentences), len(parts)
        if prompt.name == "verify":
            return "verification", "They mean the same.\nFinal Decision: Yes", 1
        if steps := prompt.new_steps:
            why = f"{self._words('annotation', 20)}."
            decisions = annotate_shown(prompt, _Rules().annotate)
            text = write_annotations({n: one._replace(explanation=why) for n, one in decisions.items()})
            return "annotation", text, len(steps)
        first, second = prompt.traces
        better = 1 if _digest(first) < _digest(second) else 2
        return "judgement", f"{self._words('judgement', 8)}.\n<|decision|>Trace {better}", 1

    def _words(self, kind: Kind, marks: int) -> str:
        """Prose for an answer, of which ``marks`` tokens are needed for its form."""
        return filler(min(getattr(self._lengths, kind), getattr(_TYPICAL, kind)) - marks)


def filler(tokens: int) -> str:
    """Plain words of about so many tokens, at least one."""
    return " ".join(itertools.islice(itertools.cycle(_WORDS), max(1, tokens)))


class _Rules(LocalAnnotator):
    """The local rules, with more backtracks."""

    def annotate(self, step: Step, pool: AttachmentPool, nodes: Sequence[DAGNode]) -> Annotation:
        found = super().annotate(step, pool, nodes)
        missed = found.action == "continue" and len(nodes) % _MISSED == _MISSED - 1
        return Annotation("backtrack", (pool.main_path[-2],)) if missed and len(pool.main_path) > 1 else found


def _mark(text: str) -> str:
    """Two numbers that differ between texts: otherwise traces of one shape would have the same summaries."""
    number = int.from_bytes(_digest(text)[:4])
    return f"{number % 900 + 100} {number // 900 % 900 + 100}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
