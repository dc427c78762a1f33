"""Reading prompts with a reference answer, from a file, the hub, or the settings themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from me2sdk._jsonl import fingerprint
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Question, question_text
from me2sdk.traces import clean, last_answer
from me2sdk.train.data import read_records
from me2sdk.train.pipeline.config import PromptConfig

__all__ = ["Prompt", "Prompts", "read_prompts"]

_LONGEST = 1000  # characters of a reference without a mark; a longer one is no answer but a solution


class Prompt(NamedTuple):
    """A question and its right answer.

    Attributes:
        key: a hash of both, which names the prompt in all records.
        question: the question.
        reference: the right answer.
    """

    key: str
    question: Question
    reference: str


class Prompts(NamedTuple):
    """Prompts in the order of their source.

    Attributes:
        prompts: those that can be used, each once.
        skipped: records without a question or an answer.
        repeated: records that were there before.
    """

    prompts: list[Prompt]
    skipped: int
    repeated: int


def read_prompts(settings: PromptConfig) -> Prompts:
    """Read the prompts.

    Raises:
        ConfigurationError: the source is not there or cannot be read, a column is missing, or no prompt is left.
    """
    found: dict[str, Prompt] = {}
    skipped = repeated = 0
    for record in settings.records or _records(settings):
        if settings.limit is not None and len(found) == settings.limit:
            break
        missing = [name for name in (settings.question, settings.reference) if name not in record]
        if missing:
            raise ConfigurationError(
                f"The prompts have no column {' and no column '.join(map(repr, missing))}; they have "
                f"{', '.join(map(str, record)) or 'none'}. Set prompts.question and prompts.reference."
            )
        question, reference = _question(record[settings.question]), _reference(record[settings.reference])
        if not question_text(question).strip() or not reference:
            skipped += 1
            continue
        key = fingerprint(json.dumps([question, reference], sort_keys=True))
        repeated += key in found
        found.setdefault(key, Prompt(key, question, reference))
    if not found:
        raise ConfigurationError(
            f"There are no prompts with a question and an answer ({skipped} records without). Check prompts.source, "
            "prompts.question and prompts.reference."
        )
    return Prompts(list(found.values()), skipped, repeated)


def _question(value: Any) -> Question:
    if isinstance(value, (list, tuple)):
        return [
            {name: clean(part) if isinstance(part, str) else part for name, part in dict(message).items()}
            for message in value
        ]
    return clean(str(value if value is not None else "").strip())


def _reference(value: Any) -> str:
    text = clean(str(value if value is not None else "").strip())
    answer = last_answer(text) or text
    return answer if len(answer) <= _LONGEST else ""


def _records(settings: PromptConfig) -> Iterator[dict[str, Any]]:
    yield from (record for _, record in read_records(str(settings.source), settings.split, settings.subset))
