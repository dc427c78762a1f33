"""Questions from a file: JSONL, CSV, Parquet, or a data set."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from me2sdk._jsonl import read_jsonl
from me2sdk.cli.io import parse_record
from me2sdk.errors import ConfigurationError, InvalidTraceError

if TYPE_CHECKING:
    from me2sdk.schema import Question


class Row(NamedTuple):
    """A row of a file.

    Attributes:
        number: its place, from 1; of a JSONL file the line.
        text: the row as a JSON object, which may be broken where the file is JSONL.
    """

    number: int
    text: str


def read_rows(source: str, split: str, subset: str | None) -> Iterator[Row]:
    """The rows of a file or a data set.

    Args:
        source: a ``.jsonl``, ``.csv`` or ``.parquet`` file, the folder or hub name of a data set, or ``-`` for JSONL
            from standard input.
        split: which split of a data set.
        subset: which configuration of a data set.

    Raises:
        ConfigurationError: it cannot be read, or a package is missing.
    """
    path = Path(source)
    if source == "-" or path.suffix in (".jsonl", ".ndjson"):
        yield from (Row(number, text) for number, text in read_jsonl(source))
    else:
        records = _csv(path) if path.suffix == ".csv" else _records(path, source, split, subset)
        for number, record in enumerate(records, start=1):
            yield Row(number, json.dumps(record, ensure_ascii=False, default=str))


def _records(path: Path, source: str, split: str, subset: str | None) -> Iterator[dict[str, Any]]:
    from me2sdk.train.data import read_records

    if path.suffix != ".parquet" and path.is_file():
        raise ConfigurationError(
            f"Cannot read {source}: questions come from .jsonl, .csv or .parquet files, or from a data set."
        )
    saved = [name for name in ("state.json", "dataset_dict.json") if (path / name).is_file()]
    if saved:
        yield from _saved(source, split, several=saved == ["dataset_dict.json"])
    else:
        yield from (record for _, record in read_records(source, split, subset))


def _saved(source: str, split: str, *, several: bool) -> Iterator[dict[str, Any]]:
    """The rows of a folder that ``save_to_disk`` wrote."""
    try:
        from datasets import load_from_disk
    except ImportError:
        raise ConfigurationError(
            f'{source} is a data set, which needs datasets. Run: pip install "me2sdk[train]"'
        ) from None
    found = load_from_disk(source)
    if several and split not in found:
        raise ConfigurationError(f"{source} has no split {split!r}; it has {', '.join(found)}. Set --split.")
    yield from found[split] if several else found


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            for record in csv.DictReader(file):
                if None in record:  # a comma that is not quoted has cut a text in two
                    raise ConfigurationError(
                        f"A row of {path} that begins with {next(iter(record.values()))!r:.80} has more cells than the "
                        'head has names. Put texts that hold commas in quotes: "…".'
                    )
                yield record
    except OSError as error:
        raise ConfigurationError(f"Cannot read {path}: {error.strerror}. Give the path of a file.") from None
    except csv.Error as error:
        raise ConfigurationError(f"Cannot read {path}: {error}. Give the questions as JSONL.") from None


def check_field(source: str, first: Row, field: str) -> None:
    """Refuse a file in whose first row a field is missing, before each row complains.

    Raises:
        ConfigurationError: it is missing.
    """
    try:
        record = parse_record(first.text)
    except InvalidTraceError:  # of this row alone
        return
    if field not in record:
        names = ", ".join(map(repr, record)) or "none"
        raise ConfigurationError(
            f"The first row of {source} has no field {field!r}; it has {names}. Set --question-field."
        )


def question_of(record: dict[str, Any], field: str) -> Question:
    """The question of a row.

    Raises:
        InvalidTraceError: the field is missing, empty, or neither a text nor chat messages.
    """
    question = record.get(field)
    if isinstance(question, list) and question and all(isinstance(message, dict) for message in question):
        return question
    if not isinstance(question, str) or not question.strip():
        raise InvalidTraceError(f"needs {field!r}: a text that is not empty, or a list of chat messages")
    return question
