"""Answers of current models, several a question, with correctness: what the decision is fitted and measured on.

The folder is laid out as ``modern/*.jsonl.gz``, a file a set and a line a question. Reading answers, comparing them and
scoring traces take minutes, so what comes of it can be kept in a folder.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from me2sdk.sampling import answer_reader
from me2sdk.schema import Candidate, Trace
from me2sdk.scorers import Scorer, is_joint, scorer_name
from me2sdk.verify import group_answers

__all__ = ["FREE_TEXT", "SETS", "SampledQuestion", "read_free_text", "read_rows", "read_set", "subsets"]

SETS = {
    "MATH-500 x32": "math500_qwen2.5-7b_x32",
    "GSM8K x32": "gsm8k_qwen2.5-7b_x32",
    "MATH level 5": "math_l5_31_models",
    "GSM8K and MATH, long": "gsm8k_math_long_15_models",
    "reasoning-gym": "reasoning_gym_9_models",
    "MMLU-Pro": "mmlu_pro_14_models",
}
"""Sets whose questions have one right answer. The first two are samples of one model."""

FREE_TEXT = {
    "trick questions": "trick_questions_long_18_models",
    "missing premise": "missing_premise_13_models",
}


@dataclass(frozen=True)
class SampledQuestion:
    """One question, with all candidates that a set has for it.

    Attributes:
        question: what was asked.
        candidates: the candidates, with rewards and answers.
        groups: for each the number of its answer, equal where answers are equal.
        correct: for each whether it is right, or a grade in [0, 1].
        models: who wrote each.
        source: where the question is from.
        rescore: gives the rewards of some of the candidates, where a reward depends on which others there are.
    """

    question: str
    candidates: tuple[Candidate, ...]
    groups: tuple[int | None, ...]
    correct: tuple[float, ...]
    models: tuple[str, ...]
    source: str
    rescore: Callable[[Sequence[int]], Sequence[float]] | None = field(default=None, compare=False)

    def part(self, places: Sequence[int]) -> SampledQuestion:
        """The same question with some of the candidates."""
        candidates = tuple(self.candidates[place] for place in places)
        rescore = None if self.rescore is None else partial(_rescore_part, self.rescore, places)
        if rescore is not None:
            scores = rescore(range(len(places)))
            candidates = tuple(
                one.model_copy(update={"score": score}) for one, score in zip(candidates, scores, strict=True)
            )
        return SampledQuestion(
            question=self.question,
            candidates=candidates,
            groups=tuple(self.groups[place] for place in places),
            correct=tuple(self.correct[place] for place in places),
            models=tuple(self.models[place] for place in places),
            source=self.source,
            rescore=rescore,
        )


_Rescore = Callable[[Sequence[int]], Sequence[float]]


def _rescore_part(rescore: _Rescore, part: Sequence[int], places: Sequence[int]) -> Sequence[float]:
    return rescore([part[place] for place in places])


def read_set(
    data: Path, name: str, scorer: Scorer, *, most: int | None = None, cache: Path | None = None
) -> list[SampledQuestion]:
    """Read a set, its answers and rewards.

    Args:
        data: the folder that holds ``modern/``.
        name: a key of `SETS` or `FREE_TEXT`.
        scorer: gives the rewards.
        most: take at most so many questions, drawn with a fixed seed.
        cache: keep groups and rewards in this folder, the rewards by name and version of the scorer.
    """
    file = {**SETS, **FREE_TEXT}[name]
    rows = list(read_rows(data, name))
    if most is not None and len(rows) > most:
        rows = random.Random(0).sample(rows, most)
    which = f"{scorer_name(scorer)}-{getattr(scorer, 'version', '')}".strip("-").replace(" ", "_")
    groups, rewards = (
        _Kept(None if cache is None else cache / f"{file}.{what}.jsonl") for what in ("groups", which)
    )
    return [one for row in rows if (one := _question(row, scorer, groups, rewards)) is not None]


def read_free_text(
    data: Path, name: str, scorer: Scorer, *, cache: Path | None = None
) -> list[SampledQuestion]:
    """Read a set of `FREE_TEXT`; its grades say how good a response is."""
    return read_set(data, name, scorer, cache=cache)


def subsets(
    question: SampledQuestion, sizes: Sequence[int], repeats: int, seed: int
) -> Iterator[tuple[int, SampledQuestion]]:
    """All candidates of a question, and some of them, as many as ``sizes`` say."""
    every = len(question.candidates)
    yield every, question
    draw = random.Random(f"{seed} {question.question}")
    for size in sizes:
        for _ in range(repeats if size < every else 0):
            yield size, question.part(sorted(draw.sample(range(every), size)))


def read_rows(data: Path, name: str) -> Iterator[dict[str, Any]]:
    """The lines of a set: ``question`` and ``candidates``, each with ``text``, ``correct`` and ``model``."""
    file = data / "modern" / f"{({**SETS, **FREE_TEXT})[name]}.jsonl.gz"
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    if "candidates" in rows[0]:
        yield from rows
        return
    questions: dict[str, list[dict[str, Any]]] = {}  # a line a trace
    for row in rows:
        one = {"text": row["text"], "correct": row["label"], "model": row["model"]}
        questions.setdefault(row["question"], []).append(one)
    for question, candidates in questions.items():
        yield {"question": question, "candidates": candidates, "source": "MisguidedAttention"}


class _Kept:
    """One value a question, by the text of the question and its candidates."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        lines = file.read_text("utf-8").splitlines() if file is not None and file.exists() else []
        self._known = {record["key"]: record["value"] for record in map(json.loads, lines)}

    def get(self, key: str, make: Callable[[], list[Any]]) -> list[Any]:
        """The value that is kept, or the one that ``make`` gives."""
        if key not in self._known:
            self._known[key] = make()
            if self._file is not None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                with self._file.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps({"key": key, "value": self._known[key]}) + "\n")
        found: list[Any] = self._known[key]
        return found


def _question(row: dict[str, Any], scorer: Scorer, groups: _Kept, rewards: _Kept) -> SampledQuestion | None:
    question = row["question"]
    read = [(one, Trace.from_text(one["text"], question)) for one in row["candidates"]]
    read = [(one, trace) for one, trace in read if trace.reasoning.strip()]
    if len(read) < 2:
        return None
    reader = answer_reader("auto")
    answers = [reader.read(trace, None) for _, trace in read]
    traces = [trace for _, trace in read]
    asked = json.dumps([question, [one["text"] for one, _ in read], answers])
    key = hashlib.sha256(asked.encode()).hexdigest()
    scores = rewards.get(key, lambda: list(scorer.score(question, traces)))
    return SampledQuestion(
        question=question,
        candidates=tuple(
            Candidate(index=index, trace=trace, answer=answer, score=reward)
            for index, (trace, answer, reward) in enumerate(zip(traces, answers, scores, strict=True))
        ),
        groups=tuple(groups.get(key, lambda: group_answers(answers))),
        correct=tuple(float(one["correct"]) for one, _ in read),
        models=tuple(str(one.get("model", "")) for one, _ in read),
        source=str(row.get("source", "")),
        rescore=partial(_score_some, scorer, question, traces) if is_joint(scorer) else None,
    )


def _score_some(scorer: Scorer, question: str, traces: Sequence[Trace], places: Sequence[int]) -> list[float]:
    return scorer.score(question, [traces[place] for place in places])
