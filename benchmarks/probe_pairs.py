"""The pairs of probes.py: right against wrong samples of one question, and solutions against damaged ones."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from recipes.mini import training_pairs
from recipes.modern import SETS, read_rows
from recipes.sources import Pair, held_out, read_prmbench

__all__ = ["ONE_MODEL", "QUALITY", "ProbePair", "order_of", "read_candidates", "read_pairs"]

ONE_MODEL = ("MATH-500 x32", "GSM8K x32")
"""Sets whose samples are of one model: two right and two wrong ones a question, so four pairs."""
QUALITY = ("GSM8K damage", "PRMBench")
"""Sets of solutions against damaged versions of them."""
COUNTS = {
    "MATH-500 x32": 60,
    "GSM8K x32": 60,
    "MATH level 5": 60,
    "reasoning-gym": 60,
    "MMLU-Pro": 60,
    "GSM8K and MATH, long": 45,
    "GSM8K damage": 160,
    "PRMBench": 120,
}
"""Most questions of each set; of the last two, half are held out."""
LONGEST = 1800
"""Characters of question and trace at most, since reading costs by the token. Longer traces are left out."""
RIGHT, WRONG = "right", "wrong"
SEED = 3


class ProbePair(NamedTuple):
    """Two traces of one question.

    Attributes:
        question: what was asked.
        better: the better trace.
        worse: the worse one.
        source: its set.
        answers: whether the worse one comes to another answer; else it is only reasoned worse.
        unseen: whether it is one of the held-out pairs of `QUALITY`, which no fit may see.
    """

    question: str
    better: str
    worse: str
    source: str
    answers: bool
    unseen: bool = False


def read_pairs(data: Path, counts: Mapping[str, int] = COUNTS) -> dict[str, list[list[ProbePair]]]:
    """The pairs of each set, those of a question together, in an order that is mixed once.

    Args:
        data: the folder that holds ``modern/``, ``gsm8k/`` and ``prmbench/``.
        counts: most questions of each set.
    """
    sets = {name: _sampled(data, name) for name in SETS}
    made = training_pairs(data)
    random.Random(SEED).shuffle(made)
    damaged = [pair for pair in made if pair.source == "gsm8k"]
    sets["GSM8K damage"] = _in_turn(
        [pair for pair in damaged if not held_out(pair.question)],
        [pair for pair in damaged if held_out(pair.question)],
    )
    dev = read_prmbench(data, "dev")  # none of whose questions is in the training half
    random.Random(SEED).shuffle(dev)
    sets["PRMBench"] = _in_turn([pair for pair in made if pair.source == "prmbench"], dev)
    return {name: questions[: counts[name]] for name, questions in sets.items()}


def order_of(sets: dict[str, list[list[ProbePair]]]) -> list[list[ProbePair]]:
    """The questions of all sets, so mixed that the first part of them holds the same share of each set."""
    placed = [
        ((number + 0.5) / len(questions), name, pairs)
        for name, questions in sets.items()
        for number, pairs in enumerate(questions)
    ]
    return [pairs for _, _, pairs in sorted(placed, key=lambda one: one[:2])]


def read_candidates(data: Path) -> dict[tuple[str, str], list[str]]:
    """All traces of each set and question, which a scorer may look at side by side."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in SETS:
        for row in read_rows(data, name):
            texts = [one["text"] for one in row["candidates"] if one["text"].strip()]
            found.setdefault((name, row["question"]), []).extend(texts)
    return found


def _sampled(data: Path, name: str) -> list[list[ProbePair]]:
    """Right against wrong samples of each question that has both."""
    draw = random.Random(SEED)
    each = 2 if name in ONE_MODEL else 1
    rows = list(read_rows(data, name))
    found = []
    for row in draw.sample(rows, len(rows)):
        question = row["question"]
        sides: dict[str, list[str]] = {RIGHT: [], WRONG: []}
        for one in row["candidates"]:
            if one["text"].strip() and len(question) + len(one["text"]) <= LONGEST:
                sides[RIGHT if one["correct"] >= 0.5 else WRONG].append(one["text"])
        right, wrong = (draw.sample(side, min(each, len(side))) for side in sides.values())
        if right and wrong:
            found.append(
                [ProbePair(question, *both, name, answers=True) for both in itertools.product(right, wrong)]
            )
    return found


def _in_turn(seen: Iterable[Pair], unseen: Iterable[Pair]) -> list[list[ProbePair]]:
    """Pairs to fit on and held-out ones in turn, one a question."""
    both = zip(_old(seen, unseen=False), _old(unseen, unseen=True), strict=False)
    return [[pair] for pairs in both for pair in pairs]


def _old(pairs: Iterable[Pair], *, unseen: bool) -> Iterator[ProbePair]:
    known: set[str] = set()
    for pair in pairs:
        length = len(pair.question) + max(len(pair.better), len(pair.worse))
        if pair.question not in known and length <= LONGEST:
            known.add(pair.question)
            source = "PRMBench" if pair.source == "prmbench" else "GSM8K damage"
            answers = pair.kind.startswith("wrong")
            yield ProbePair(pair.question, pair.better, pair.worse, source, answers, unseen)
