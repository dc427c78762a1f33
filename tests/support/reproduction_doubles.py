"""A small world for the reproduction: GSM8K-like questions, models that answer and judge them, tiny ones to train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.competent_model import fewer_doubts
from support.fake_provider import Behaviour, Request
from support.pipeline_doubles import draw
from support.sample_data import solutions, write
from support.tiny_policy import tiny_policy

from me2sdk.prompts import read_filled
from me2sdk.testing import FakeModel, tiny_reward_model
from me2sdk.train.perturb import strip_marks
from recipes.reproduction.config import ReproduceConfig

KNOWN = {one.question: one for one in solutions(48)}
MODEL = FakeModel(judge=fewer_doubts)


def write_questions(folder: Path) -> Path:
    """GSM8K's training file, with few questions."""
    rows: list[dict[str, object]] = [
        {"question": one.question, "answer": "\n".join([*one.steps, f"#### {one.answer}"])}
        for one in KNOWN.values()
    ]
    write(folder / "gsm8k" / "train.jsonl", rows)
    return folder


def reply(request: Request) -> Behaviour:
    """What a model says: a judge by rule, a sampler a solution in its own words, of which a fifth are wrong."""
    text = request.text
    if read_filled(text) is not None:
        return MODEL.answer([{"role": "user", "content": text}])
    solution = next(one for question, one in KNOWN.items() if question in text)
    chance = draw(request.body["model"], text, request.body["seed"])
    answer = int(solution.answer) + (chance % 5 == 0)
    doubts = [f"Hmm, let me see, try {chance % 97}.", "Wait, maybe that is wrong."][: chance % 3]
    steps = [*doubts, *map(strip_marks, solution.steps)]
    return "\n\n".join(steps) + f"\n\nThe answer is \\boxed{{{answer}}}."


def tiny_config(url: str, folder: Path, **changes: Any) -> ReproduceConfig:
    """Settings of a run of seconds, with models of random weights."""
    place = {"api_base": url, "params": {"api_key": "sk-secret-test-key"}}
    settings: dict[str, Any] = {
        "samplers": [{"model": "openai/one", **place}, {"model": "openai/two", **place}],
        "judge": {"model": "openai/judge", "repeats": 1, **place},
        "judge_pairs": 3,
        "pairs": "constructed",
        "seeds": 2,
        "preferences": {"questions": 24, "samples": 2, "validation": 0.2, "test": 0.3, "measured": 4},
        "reward_model": {
            "base": str(tiny_reward_model(folder / "base")),
            "base_name": "nobody/has-this",
            "lora": {"r": 4, "alpha": 8},
            "max_steps": 3,
            "learning_rate": 1e-3,
            "dtype": "float32",
            "eval_steps": 1,
            "save_steps": 1,
            "log_steps": 1,
            "max_length": 1024,
        },
        "best_of_n": {"questions": 4, "samples": 4},
        "policy": {
            "dataset": "word_problems",
            "train": 8,
            "held_out": 4,
            "every": 2,
            "warm_up": {"examples": 24, "batch_size": 2},
        },
        "grpo": {
            "model": str(tiny_policy(folder / "policy")),
            "problems": {"levels": [1]},
            "steps": 2,
            "learning_rate": 1e-3,
            "generations": 2,
            "batch_size": 4,
            "max_completion_length": 8,
            "max_clipped": 1,
            "dtype": "float32",
            "save_steps": 1,
        },
    }
    return ReproduceConfig.model_validate({**settings, **changes})
