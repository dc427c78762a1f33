"""Preference pairs in the TRL format: values, files, and a split by question.

A record holds ``prompt``, ``chosen`` and ``rejected``, each a list of chat messages, as in
``zzzhr97/TRM-Preference`` (paper App. F), and beside them ``category``, ``dimension`` and ``provenance``
(JSON as a string, so that every file has the same columns).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from me2sdk._paths import atomic_write
from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.schema import Question, Trace, Value, question_text
from me2sdk.train.data.completions import last_said
from me2sdk.train.data.records import pyarrow_parquet, read_records

__all__ = ["Preference", "question_key", "read_preferences", "split_by_question", "write_preferences"]


class Preference(Value):
    """Two traces of one question, of which the first is the better reasoned.

    Attributes:
        question: what was asked, a string or a list of chat messages.
        chosen: the better trace.
        rejected: the worse trace.
        category: what kind of pair it is ("repeated_check"), "" where nothing is known.
        dimension: the dimension of ME² that the pair differs in ("macro_efficiency"), or None.
        provenance: where the pair and its label come from: models, votes, prompt versions, cost.
    """

    question: Question
    chosen: Trace
    rejected: Trace
    category: str = ""
    dimension: str | None = None
    provenance: dict[str, Any] = Field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """The pair as a record of the TRL preference format."""
        question = self.question
        messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
        return {
            "prompt": [
                {"role": str(message.get("role", "user")), "content": question_text([message])}
                for message in messages
            ],
            "chosen": [{"role": "assistant", "content": _completion(self.chosen)}],
            "rejected": [{"role": "assistant", "content": _completion(self.rejected)}],
            "category": self.category,
            "dimension": self.dimension,
            "provenance": json.dumps(self.provenance, ensure_ascii=False, sort_keys=True),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Preference:
        """Read a record.

        Args:
            record: with ``prompt``, ``chosen`` and ``rejected``, each a text or a list of chat messages; other
                columns than ours are left out. Without a prompt, ``chosen`` and ``rejected`` must begin with
                the same messages, which then are the prompt.

        Raises:
            InvalidTraceError: it has no two traces.
        """
        chosen, rejected, prompt = record.get("chosen"), record.get("rejected"), record.get("prompt")
        if (
            prompt is None
            and isinstance(chosen, list)
            and isinstance(rejected, list)
            and chosen[:-1] == rejected[:-1]
        ):
            prompt, chosen, rejected = chosen[:-1], chosen[-1:], rejected[-1:]
        if not chosen or not rejected or not prompt:
            raise InvalidTraceError(
                "A preference record needs prompt, chosen and rejected, each a text or a list of chat messages."
            )
        question = _question(prompt)
        provenance = record.get("provenance") or {}
        return cls(
            question=question,
            chosen=_trace(chosen),
            rejected=_trace(rejected),
            category=record.get("category") or "",
            dimension=record.get("dimension"),
            provenance=json.loads(provenance) if isinstance(provenance, str) else provenance,
        )


def _completion(trace: Trace) -> str:
    if trace.response is None or trace.response == trace.reasoning:
        return trace.reasoning
    return f"<think>\n{trace.reasoning}\n</think>\n\n{trace.response}"


def _question(prompt: Any) -> Question:
    if isinstance(prompt, str):
        return prompt
    messages = [dict(message) for message in prompt]
    only_text = len(messages) == 1 and isinstance(messages[0].get("content"), str)
    return messages[0]["content"] if only_text else messages


def _trace(side: Any) -> Trace:
    if isinstance(side, str):
        return Trace.from_text(side)
    said = last_said(side)
    if not said:
        raise InvalidTraceError("A side of a preference record holds no message of the assistant.")
    return Trace.from_message(dict(said))


def question_key(question: Question) -> str:
    """A question as letters and digits alone, so that it is recognised in another data set."""
    return "".join(character for character in question_text(question).lower() if character.isalnum())


def split_by_question(
    pairs: Sequence[Preference], validation: float
) -> tuple[list[Preference], list[Preference]]:
    """Split pairs so that no question is on both sides.

    A hash of the question decides, so the same question falls on the same side in every data set and run.

    Args:
        pairs: the pairs.
        validation: expected share of questions to hold out, in [0, 1].

    Returns:
        Training pairs and validation pairs, each in the order given.

    Raises:
        ConfigurationError: ``validation`` is not in [0, 1].

    Example:
        ```python
        from me2sdk import Trace
        from me2sdk.train import Preference, split_by_question

        good, poor = Trace.from_text("It is right."), Trace.from_text("It is wrong.")
        pairs = [Preference(question=f"What is {n} + 1?", chosen=good, rejected=poor) for n in range(10)]
        train, validation = split_by_question(pairs, validation=0.2)
        print(len(train) + len(validation))  # 10
        ```
    """
    if not 0 <= validation <= 1:
        raise ConfigurationError(f"validation is a share between 0 and 1, not {validation}.")
    sides: tuple[list[Preference], list[Preference]] = ([], [])
    for pair in pairs:
        digest = hashlib.sha256(f"validation\n{question_key(pair.question)}".encode()).digest()
        sides[int.from_bytes(digest[:8]) < validation * 2**64].append(pair)
    return sides


def write_preferences(path: str | Path, pairs: Iterable[Preference]) -> int:
    """Write pairs to a ``.jsonl`` or ``.parquet`` file, all or nothing.

    Returns:
        How many were written.

    Raises:
        ConfigurationError: another ending, or Parquet without pyarrow.

    Example:
        ```python
        from me2sdk import Trace
        from me2sdk.train import Preference, write_preferences

        good, poor = Trace.from_text("It is 4."), Trace.from_text("It is 5.")
        pair = Preference(question="What is 2 + 2?", chosen=good, rejected=poor)
        print(write_preferences("pairs.jsonl", [pair]))  # 1
        ```
    """
    path = Path(path)
    records = [pair.to_record() for pair in pairs]
    if path.suffix not in (".jsonl", ".parquet"):
        raise ConfigurationError(f"Preference pairs are written to .jsonl or .parquet, not to {path.name}.")
    with atomic_write(path) as draft:
        if path.suffix == ".jsonl":
            lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            draft.write_text("".join(lines), "utf-8")
        else:
            arrow, parquet = pyarrow_parquet()
            message = arrow.list_(arrow.struct([("role", arrow.string()), ("content", arrow.string())]))
            columns = {**dict.fromkeys(("prompt", "chosen", "rejected"), message)}
            columns |= dict.fromkeys(("category", "dimension", "provenance"), arrow.string())
            parquet.write_table(arrow.Table.from_pylist(records, schema=arrow.schema(columns)), draft)
    return len(records)


def read_preferences(source: str | Path, split: str = "train") -> Iterator[Preference]:
    """Read preference pairs.

    Args:
        source: a ``.jsonl`` or ``.parquet`` file, a folder that `me2 data build` wrote, or the hub name of a data
            set (``zzzhr97/TRM-Preference``).
        split: which split of a folder or data set.

    Yields:
        The pairs in order.

    Raises:
        ConfigurationError: nothing there, or a package is missing.
        InvalidTraceError: a record is not a preference pair; the message names its place.

    Example:
        ```python
        from me2sdk import Trace
        from me2sdk.train import Preference, read_preferences, write_preferences

        good, poor = Trace.from_text("It is 4."), Trace.from_text("It is 5.")
        write_preferences("pairs.jsonl", [Preference(question="2 + 2?", chosen=good, rejected=poor)])
        print([pair.rejected.response for pair in read_preferences("pairs.jsonl")])  # ['It is 5.']
        ```
    """
    folder = Path(source) / f"{split}.jsonl"
    for place, record in read_records(folder if folder.is_file() else source, split):
        try:
            yield Preference.from_record(record)
        except (InvalidTraceError, ValueError) as error:
            raise InvalidTraceError(f"{place} is no preference pair: {error}") from None
