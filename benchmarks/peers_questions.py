"""The questions of peers.py: recorded candidates of the modern sets, some of each question in a random order."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import Any

from me2sdk import Trace
from me2sdk.scorers import Scorer
from recipes.modern import read_rows

BOXED = r"\\boxed\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
PATTERNS = {
    "MATH-500 x32": BOXED,
    "GSM8K x32": r"(-?\d[\d,]*(?:\.\d+)?)(?=\D*$)",  # the last number
    "MATH level 5": r"Final answer: (.+)",
    "GSM8K and MATH, long": BOXED,
    "reasoning-gym": r"<answer>(.*?)</answer>",
    "MMLU-Pro": r"answer is \(?([A-P])\b",
}
"""How the answers of each set are written: what a user who knows the model tells the tools that ask for it."""


@dataclass(frozen=True)
class Recorded:
    """One question with the candidates that the server plays.

    Attributes:
        set_name: the set that it is from.
        question: what was asked.
        texts: the candidates, in the order in which they are played.
        correct: for each whether it is right.
        grades: for each its reward among the others, between 0 and 10.
    """

    set_name: str
    question: str
    texts: tuple[str, ...]
    correct: tuple[bool, ...]
    grades: tuple[float, ...]

    def played(self) -> dict[str, Any]:
        """What the server is told of it."""
        found = [re.search(PATTERNS[self.set_name], text, re.DOTALL) for text in self.texts]
        answers = ["" if match is None else match[1].strip() for match in found]
        return {"texts": self.texts, "answers": answers, "grades": self.grades}

    def right(self, picked: str) -> bool:
        """Whether a text that a tool returned is that of a right candidate.

        Raises:
            LookupError: it is the text of none.
        """
        wanted = _key(picked)
        for text, right in zip(self.texts, self.correct, strict=True):
            if wanted in (_key(text), _key(Trace.from_text(text).response or "")):
                return right
        raise LookupError(f"No candidate says {picked[:200]!r}.")


def _key(text: str) -> str:
    return " ".join(text.split())


def read_recorded(data: Path, scorers: Mapping[str, Scorer], *, most: int, n: int) -> list[Recorded]:
    """Questions that have ``n`` candidates or more, drawn with a fixed seed; so are their candidates.

    Args:
        data: the folder that holds ``modern/``.
        scorers: for each set what gives the grades.
        most: questions of a set at most.
        n: candidates of each.
    """
    found: list[Recorded] = []
    seen: set[str] = set()  # some questions are in several sets
    for name in PATTERNS:
        rows = {}
        for row in read_rows(data, name):
            candidates = [one for one in row["candidates"] if one["text"].strip()]
            if len(candidates) >= n and row["question"].strip() not in seen:
                rows[row["question"].strip()] = candidates
        seen |= set(rows)
        drawn = random.Random(0).sample(list(rows.items()), min(most, len(rows)))
        for question, candidates in drawn:
            some = random.Random(question).sample(candidates, n)
            found.append(_record(name, question, some, scorers[name]))
    return found


def _record(name: str, question: str, candidates: Sequence[dict[str, Any]], scorer: Scorer) -> Recorded:
    texts = tuple(one["text"].strip() for one in candidates)
    rewards = scorer.score(question, [Trace.from_text(text, question) for text in texts])
    return Recorded(
        set_name=name,
        question=question,
        texts=texts,
        correct=tuple(float(one["correct"]) >= 0.5 for one in candidates),
        grades=tuple(10 / (1 + exp(-reward)) for reward in rewards),
    )
