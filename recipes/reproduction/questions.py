"""The questions of each part, drawn from GSM8K's training questions so that no part shares one with another."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from me2sdk._paths import atomic_write
from me2sdk.errors import ConfigurationError
from me2sdk.train.data import question_key
from me2sdk.train.perturb import strip_marks
from recipes.reproduction.config import GSM8K, ReproduceConfig
from recipes.reproduction.stages import Place
from recipes.sources import Solution, read_gsm8k

__all__ = ["draw_questions", "read_rows"]


def draw_questions(place: Place) -> dict[str, Any]:
    """Write ``questions/*.jsonl``: ``question``, ``answer``, and the human ``solution``."""
    known: dict[str, Solution] = {}
    for solution in read_gsm8k(place.data):
        known.setdefault(question_key(solution.question), solution)
    drawn = list(known.values())
    random.Random(place.config.seed).shuffle(drawn)
    wanted = _wanted(place.config)
    if sum(wanted.values()) > len(drawn):
        raise ConfigurationError(
            f"The settings ask for {sum(wanted.values())} questions ({wanted}), but there are {len(drawn)}. "
            "Ask for fewer."
        )
    start = 0
    for name, count in wanted.items():
        _write(place.questions(name), drawn[start : start + count])
        start += count
    return wanted


def _wanted(config: ReproduceConfig) -> dict[str, int]:
    wanted = {"preferences": config.preferences.questions, "best_of_n": config.best_of_n.questions}
    policy = config.policy
    if policy.dataset == GSM8K:
        wanted |= {"warm_up": policy.warm_up.examples, "grpo": policy.train, "held_out": policy.held_out}
    return wanted


def _write(path: Path, solutions: Sequence[Solution]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps(
            {
                "question": one.question,
                "answer": one.answer,
                "solution": strip_marks("\n".join(one.steps)) + f"\n#### {one.answer}",
            },
            ensure_ascii=False,
        )
        for one in solutions
    ]
    with atomic_write(path) as draft:
        draft.write_text("".join(line + "\n" for line in lines), "utf-8")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of JSON."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
