"""The sets of bon.py, and how candidates are drawn from them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from me2sdk import Candidate, Trace
from me2sdk.scorers import open_scorer
from me2sdk.verify import group_answers
from recipes.modern import FREE_TEXT, SETS, SampledQuestion, read_set
from recipes.sources import CandidateSet, read_champ, read_gsm8k_candidates, read_simplerl

OLDER = {
    "GSM8K of GPT-3": "gsm8k",
    "CHAMP": "champ",
    "MATH, 90% right": "simplerl",
    "Game of 24": "game24",
}
NAMES = (*SETS, *FREE_TEXT, *OLDER)
SIZE = 8
MOST_COMPARED = 32
"""Candidates of a question of the older sets, at most: comparing a hundred answers a question takes long."""


class Draw(NamedTuple):
    """Some candidates of one question, and what is known of each."""

    key: str
    part: SampledQuestion

    @property
    def correct(self) -> Sequence[float]:
        """Whether each candidate is right, or its grade."""
        return self.part.correct

    @property
    def mixed(self) -> bool:
        """Whether candidates differ in that."""
        return len(set(self.correct)) > 1

    @property
    def lengths(self) -> list[float]:
        """Characters of each trace."""
        return [float(len(one.trace.reasoning)) for one in self.part.candidates]


def draws(question: SampledQuestion, most: int) -> Iterator[Draw]:
    """Up to ``most`` groups of candidates that share none, or all candidates; in random order.

    The order of the set would help what takes the first of equal candidates: some sets list strong models first.
    """
    count = len(question.candidates)
    order = random.Random(question.question).sample(range(count), count)
    starts = range(0, count - SIZE + 1, SIZE)[:most] if count > SIZE else range(1)
    for start in starts:
        yield Draw(question.question, question.part(order[start : start + SIZE]))


def within(question: SampledQuestion, most: int) -> Iterator[Draw]:
    """The same of the candidates of each model that gave two answers or more."""
    for model in dict.fromkeys(question.models):
        places = [place for place, name in enumerate(question.models) if name == model]
        if len(places) > 1:
            yield from draws(question.part(places), most)


def read(
    name: str, data: Path, champ: Path | None = None, *, most: int | None = None, cache: Path | None = None
) -> list[SampledQuestion]:
    """A set; nothing where its files are missing. Correctness is 0 or 1, but where a set has grades.

    Args:
        name: one of `NAMES`.
        data: the folder of the sets.
        champ: the wheel of champ-dataset.
        most: take at most so many questions, drawn with a fixed seed.
        cache: keep in this folder which answers are equal.
    """
    if name not in OLDER:
        found = read_set(data, name, open_scorer("shortest"), most=most, cache=cache)
        return found if name in FREE_TEXT else [_right_or_wrong(one) for one in found]
    sets = _read_older(name, data, champ)
    if most is not None and len(sets) > most:
        sets = random.Random(0).sample(sets, most)
    file = None if cache is None else cache / f"groups_{OLDER[name]}.json"
    kept: dict[str, list[int | None]] = {}
    if file is not None and file.exists():
        kept = json.loads(file.read_text("utf-8"))
    questions = [_question(one, name, kept) for one in sets]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(kept), "utf-8")
    return questions


def _read_older(name: str, data: Path, champ: Path | None) -> list[CandidateSet]:
    if name == "CHAMP":
        return [] if champ is None else read_champ(champ)
    if not (data / OLDER[name]).exists():
        return []
    if name == "Game of 24":
        return list(_read_game24(data / OLDER[name]))
    return read_simplerl(data) if name == "MATH, 90% right" else read_gsm8k_candidates(data)


def _read_game24(folder: Path) -> Iterator[CandidateSet]:
    """The puzzle's numbers are named in the search trees of the same puzzles."""
    trees = json.loads((folder / "search_trees.json").read_text("utf-8"))
    puzzles = {tree["idx"]: tree["steps"][0]["x"] for tree in trees}
    for row in json.loads((folder / "cot_100x100.json").read_text("utf-8")):
        yield CandidateSet(
            question=f"Use the numbers {puzzles[row['idx']]} and basic arithmetic (+ - * /) to get 24.",
            traces=tuple(row["ys"]),
            correct=tuple(bool(info["r"]) for info in row["infos"]),
            answers=tuple(text.rpartition("Answer:")[2].strip() for text in row["ys"]),
            models=("GPT-4",) * len(row["ys"]),
        )


def _question(one: CandidateSet, source: str, kept: dict[str, list[int | None]]) -> SampledQuestion:
    traces = [Trace.from_text(text, one.question) for text in one.traces]
    places = [place for place, trace in enumerate(traces) if trace.reasoning.strip()]
    if len(places) > MOST_COMPARED:
        places = sorted(random.Random(one.question).sample(places, MOST_COMPARED))
    answers = [one.answers[place] or None for place in places]
    key = json.dumps(answers)
    if key not in kept:
        kept[key] = group_answers(answers)
    return SampledQuestion(
        question=one.question,
        candidates=tuple(
            Candidate(index=index, trace=traces[place], answer=answer)
            for index, (place, answer) in enumerate(zip(places, answers, strict=True))
        ),
        groups=tuple(kept[key]),
        correct=tuple(float(one.correct[place]) for place in places),
        models=tuple(one.models[place] for place in places),
        source=source,
    )


def _right_or_wrong(one: SampledQuestion) -> SampledQuestion:
    return replace(one, correct=tuple(float(value >= 0.5) for value in one.correct))
