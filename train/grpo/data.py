"""The prompts that GRPO trains on, from a file or made by rule."""

from __future__ import annotations

from typing import Any

from me2sdk.errors import ConfigurationError
from me2sdk.schema import Message, Question, question_text
from me2sdk.train.data import as_reference, read_records
from me2sdk.train.grpo.config import WORD_PROBLEMS, GRPOConfig
from me2sdk.train.grpo.word_problems import make_word_problems

__all__ = ["Row", "held_out_rows", "prompt_row", "training_rows"]

Row = dict[str, Any]
"""``prompt`` (chat messages), ``question`` (text, what the scorer gets) and ``reference``."""


def training_rows(config: GRPOConfig) -> list[Row]:
    """The rows to train on.

    Raises:
        ConfigurationError: the file cannot be read, or a row lacks a prompt or a reference.
    """
    if config.dataset == WORD_PROBLEMS:
        made = config.problems
        problems = make_word_problems(made.count, seed=made.seed, levels=made.levels)
        return [prompt_row(config, problem.question, problem.reference) for problem in problems]
    return _file_rows(config, config.dataset)


def held_out_rows(config: GRPOConfig) -> list[Row]:
    """The rows to measure on, none of them among those to train on.

    Raises:
        ConfigurationError: as `training_rows`, or there are too few rows.
    """
    if config.held_out is None:
        return []
    source, count = config.held_out.dataset, config.held_out.count
    if source == WORD_PROBLEMS:
        made = config.problems
        problems = make_word_problems(count, seed=made.seed, levels=made.levels, split="eval")
        return [prompt_row(config, problem.question, problem.reference) for problem in problems]
    trained = {row["question"] for row in training_rows(config)}
    rows = [row for row in _file_rows(config, source) if row["question"] not in trained]
    if len(rows) < count:
        raise ConfigurationError(
            f"{source} has {len(rows)} questions that are not trained on, fewer than held_out.count={count}."
        )
    return rows[:count]


def prompt_row(config: GRPOConfig, question: Question, reference: str) -> Row:
    """A row, with the system message and the instruction of the settings in its prompt."""
    messages: list[Message] = (
        [{"role": "user", "content": question}]
        if isinstance(question, str)
        else [dict(one) for one in question]
    )
    asked = question_text(question)
    if config.instruction:
        messages[-1] = {**messages[-1], "content": f"{messages[-1]['content']}\n{config.instruction}"}
    if config.system:
        messages.insert(0, {"role": "system", "content": config.system})
    return {"prompt": messages, "question": asked, "reference": reference}


def _file_rows(config: GRPOConfig, path: str) -> list[Row]:
    rows = []
    for place, record in read_records(path):
        names = [config.prompt_column] if config.prompt_column else ["prompt", "question"]
        question = next((record[name] for name in names if record.get(name)), None)
        reference = as_reference(record.get(config.reference_column))
        if question is None or not isinstance(reference, str) or not reference.strip():
            raise ConfigurationError(
                f"{place} needs {' or '.join(names)}, and {config.reference_column} with the right answer. It has "
                f"{', '.join(record) or 'nothing'}. Set prompt_column and reference_column to the file's names."
            )
        rows.append(prompt_row(config, question, reference))
    if not rows:
        raise ConfigurationError(f"{path} holds no rows.")
    return rows
