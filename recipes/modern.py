"""Answers of current models, several a question, with correctness: what the decision is fitted and measured on.

The folder is laid out as ``modern/*.jsonl.gz``, a file a set and a line a question. Reading answers, comparing them and
scoring traces take minutes, so what comes of it can be kept in a folder.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from me2sdk.sampling import answer_reader
from me2sdk.schema import Candidate, Trace
from me2sdk.scorers import Scorer
from me2sdk.verify import group_answers

__all__ = ["FREE_TEXT", "SETS", "SampledQuestion", "read_free_text", "read_set", "subsets"]

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
    """

    question: str
    candidates: tuple[Candidate, ...]
    groups: tuple[int | None, ...]
    correct: tuple[float, ...]
    models: tuple[str, ...]
    source: str

    def part(self, places: Sequence[int]) -> SampledQuestion:
        """The same question with some of the candidates."""
        return SampledQuestion(
            question=self.question,
            candidates=tuple(self.candidates[place] for place in places),
            groups=tuple(self.groups[place] for place in places),
            correct=tuple(self.correct[place] for place in places),
            models=tuple(self.models[place] for place in places),
            source=self.source,
        )


def read_set(
    data: Path, name: str, scorer: Scorer, *, most: int | None = None, cache: Path | None = None
) -> list[SampledQuestion]:
    """Read a set, its answers and rewards.

    Args:
        data: the folder that holds ``modern/``.
        name: a key of `SETS` or `FREE_TEXT`.
        scorer: gives the rewards.
        most: take at most so many questions, drawn with a fixed seed.
        cache: keep groups and rewards in this folder.
    """
    file = {**SETS, **FREE_TEXT}[name]
    rows = list(_rows(data / "modern" / f"{file}.jsonl.gz"))
    if most is not None and len(rows) > most:
        rows = random.Random(0).sample(rows, most)
    kept = _Kept(None if cache is None else cache / f"{file}.jsonl")
    return [one for row in rows if (one := _question(row, scorer, kept)) is not None]


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


def _rows(file: Path) -> Iterator[dict[str, Any]]:
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
    """Groups and rewards by the text of a question and its candidates."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        lines = file.read_text("utf-8").splitlines() if file is not None and file.exists() else []
        self._known = {record["key"]: record for record in map(json.loads, lines)}

    def get(self, key: str) -> dict[str, Any] | None:
        return self._known.get(key)

    def put(self, record: dict[str, Any]) -> dict[str, Any]:
        self._known[record["key"]] = record
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(record) + "\n")
        return record


def _question(row: dict[str, Any], scorer: Scorer, kept: _Kept) -> SampledQuestion | None:
    question = row["question"]
    read = [(one, Trace.from_text(one["text"], question)) for one in row["candidates"]]
    read = [(one, trace) for one, trace in read if trace.reasoning.strip()]
    if len(read) < 2:
        return None
    reader = answer_reader("auto")
    answers = [reader.read(trace, None) for _, trace in read]
    key = hashlib.sha256(
        json.dumps([question, [one["text"] for one, _ in read], answers]).encode()
    ).hexdigest()
    record = kept.get(key) or kept.put(
        {
            "key": key,
            "groups": group_answers(answers),
            "rewards": list(scorer.score(question, [trace for _, trace in read])),
        }
    )
    candidates = tuple(
        Candidate(index=index, trace=trace, answer=answer, score=reward)
        for index, ((_, trace), answer, reward) in enumerate(
            zip(read, answers, record["rewards"], strict=True)
        )
    )
    return SampledQuestion(
        question=question,
        candidates=candidates,
        groups=tuple(record["groups"]),
        correct=tuple(float(one["correct"]) for one, _ in read),
        models=tuple(str(one.get("model", "")) for one, _ in read),
        source=str(row.get("source", "")),
    )
