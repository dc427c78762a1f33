"""Readers of the data folders from which the bundled scorer is trained and on which it is measured.

The folder that each reader takes is laid out as ``gsm8k/``, ``bigbench_mistake/``, ``prmbench/``,
``simplerl/``. What is read comes back as values; nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from me2sdk.errors import ConfigurationError
from me2sdk.schema import Value
from me2sdk.train.data import question_key
from me2sdk.train.perturb import strip_marks

__all__ = [
    "CandidateSet",
    "MarkedSolution",
    "Pair",
    "Solution",
    "held_out",
    "read_bigbench",
    "read_champ",
    "read_gsm8k",
    "read_gsm8k_candidates",
    "read_prmbench",
    "read_simplerl",
]

BIGBENCH_TASKS = (
    "dyck_languages",
    "logical_deduction",
    "multistep_arithmetic",
    "tracking_shuffled_objects",
    "word_sorting",
)
PRMBENCH_KINDS = (
    "circular",
    "confidence",
    "counterfactual",
    "deception",
    "domain_inconsistency",
    "missing_condition",
    "redundency",
    "step_contradiction",
)
CHAMP_FILE = "champ_dataset/dataset_files/v0.json"
_CHAMP_LEFT_OUT = ("Soln", "w/ H", "Misleading")  # prompts that give part of the solution away, or mislead
_NUMBERING = re.compile(r"^\s*\d{1,2}\.\s+")
_INTEGER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


class Solution(Value):
    """A right solution.

    Attributes:
        question: what was asked.
        steps: its steps in order, calculator marks (``<<48/2=24>>``) kept.
        answer: its final answer.
    """

    question: str
    steps: tuple[str, ...]
    answer: str


class MarkedSolution(Value):
    """A model's trace with the place of its first mistake.

    Attributes:
        task: which task of BIG-Bench it belongs to.
        question: the task's input.
        steps: the trace's steps.
        mistake: index of the first wrong step, or None where no step is wrong.
        right: whether its final answer is the right one.
    """

    task: str
    question: str
    steps: tuple[str, ...]
    mistake: int | None
    right: bool


class Pair(Value):
    """Two traces of one question, one of which is the better reasoned.

    Attributes:
        question: what was asked.
        better: the better trace.
        worse: the worse trace.
        source: the data set it comes from.
        kind: what is wrong with the worse one.
    """

    question: str
    better: str
    worse: str
    source: str
    kind: str


class CandidateSet(Value):
    """Several answers to one question, each right or wrong.

    Attributes:
        question: what was asked.
        traces: the answers.
        correct: whether each one's final answer is right.
        answers: each one's final answer as text, for majority votes.
        models: the model that wrote each.
    """

    question: str
    traces: tuple[str, ...]
    correct: tuple[bool, ...]
    answers: tuple[str, ...]
    models: tuple[str, ...]


def held_out(question: str) -> bool:
    """Whether ``question`` belongs to the fifth of all questions that no fit may see.

    It is decided by a hash of the question alone, so it holds for all pairs of a question and across data sets.
    """
    return hashlib.sha256(question_key(question).encode()).digest()[0] % 5 == 0


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line in file:
                yield json.loads(line)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path.name} is missing from {path.parent}. Pass the folder that holds gsm8k/, bigbench_mistake/ and "
            "prmbench/ with --data."
        ) from None


def read_gsm8k(data: Path) -> list[Solution]:
    """Read the human solutions of GSM8K's training questions (``gsm8k/train.jsonl``)."""
    solutions = []
    for row in _lines(data / "gsm8k" / "train.jsonl"):
        body, _, answer = row["answer"].partition("####")
        steps = tuple(line.strip() for line in body.split("\n") if line.strip())
        solutions.append(Solution(question=row["question"], steps=steps, answer=answer.strip()))
    return solutions


def read_gsm8k_candidates(data: Path) -> list[CandidateSet]:
    """Read the sampled GSM8K solutions (``gsm8k/candidates_dev.jsonl``), without their calculator marks."""
    sets = []
    for row in _lines(data / "gsm8k" / "candidates_dev.jsonl"):
        models = [name for name, value in row.items() if isinstance(value, dict)]
        traces = [strip_marks(row[name]["solution"]) for name in models]
        sets.append(
            CandidateSet(
                question=row["question"],
                traces=tuple(traces),
                correct=tuple(bool(row[name]["is_correct"]) for name in models),
                answers=tuple(_stated(trace) for trace in traces),
                models=tuple(models),
            )
        )
    return sets


def _stated(trace: str) -> str:
    """The answer that a GSM8K candidate states on its last line, normalised."""
    stated = trace.rpartition("\nA:")[2].strip().lstrip("$").replace(",", "")
    try:
        return f"{float(stated):.10g}"
    except ValueError:
        return stated


def read_prmbench(data: Path, split: Literal["train", "dev"]) -> list[Pair]:
    """Read PRMBench (``prmbench/train``, ``prmbench/dev``): original solutions against damaged ones.

    Steps are joined with line breaks, and their list numbers are dropped on both sides.
    """
    pairs = []
    for kind in PRMBENCH_KINDS:
        for row in _lines(data / "prmbench" / split / f"{kind}.jsonl"):
            better, worse = (
                "\n".join(_NUMBERING.sub("", step) for step in row[side])
                for side in ("original_process", "modified_process")
            )
            if better != worse:
                question = row["original_question"]
                pairs.append(
                    Pair(question=question, better=better, worse=worse, source="prmbench", kind=kind)
                )
    return pairs


def read_bigbench(data: Path) -> list[MarkedSolution]:
    """Read BIG-Bench-Mistake (``bigbench_mistake/*.jsonl``)."""
    return [
        MarkedSolution(
            task=task,
            question=row["input"],
            steps=tuple(row["steps"]),
            mistake=row["mistake_index"],
            right=row["answer"] == row["target"],
        )
        for task in BIGBENCH_TASKS
        for row in _lines(data / "bigbench_mistake" / f"{task}.jsonl")
    ]


def read_simplerl(data: Path) -> list[CandidateSet]:
    """Read the sampled MATH solutions (``simplerl/math_cot_100.jsonl``)."""
    sets = []
    for row in _lines(data / "simplerl" / "math_cot_100.jsonl"):
        size = len(row["code"])
        sets.append(
            CandidateSet(
                question=row["question"],
                traces=tuple(row["code"]),
                correct=tuple(bool(score) for score in row["score"]),
                answers=tuple(str(answer) for answer in row["pred"]),
                models=("",) * size,
            )
        )
    return sets


def read_champ(path: Path) -> list[CandidateSet]:
    """Read CHAMP's problems with an integer answer, every second one from the first on.

    The others are left for a check at release. An answer counts as right if its last integer is the answer.

    Args:
        path: the wheel of the PyPI package ``champ-dataset`` 1.0.0, or a folder that it was unpacked to.
    """
    if path.is_dir():
        content = (path / CHAMP_FILE).read_text(encoding="utf-8-sig")
    else:
        with zipfile.ZipFile(path) as wheel:
            content = wheel.read(CHAMP_FILE).decode("utf-8")
    sets = []
    for problem in list(json.loads(content)["problems"].values())[::2]:
        if not re.fullmatch(r"-?\d+", problem["_answer"].strip()):
            continue
        rows = []
        for name, conversation in problem["conversations"].items():
            model, _, prompt = name.partition("|")
            if any(part in prompt for part in _CHAMP_LEFT_OUT):
                continue
            said = [m["text"] or "" for m in conversation["messages"] if m["role"].startswith("Model.")]
            # The last thing said is a summary that states the answer, the one before it the solution.
            if len(said) > 1 and said[-2]:
                numbers = _INTEGER.findall(said[-1].replace(",", ""))
                rows.append((said[-2], numbers[-1] if numbers else "", model))
        gold = float(problem["_answer"])
        sets.append(
            CandidateSet(
                question=problem["_text"],
                traces=tuple(row[0] for row in rows),
                correct=tuple(bool(row[1]) and float(row[1]) == gold for row in rows),
                answers=tuple(row[1] for row in rows),
                models=tuple(row[2] for row in rows),
            )
        )
    return sets
