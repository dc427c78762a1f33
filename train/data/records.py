"""Records of data files: JSONL, Parquet, or a data set on the hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from me2sdk._jsonl import read_jsonl
from me2sdk.errors import ConfigurationError

__all__ = ["pyarrow_parquet", "read_records"]


def read_records(
    source: str | Path, split: str = "train", subset: str | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read records one at a time.

    Args:
        source: a ``.jsonl`` or ``.parquet`` file, or the folder or hub name of a data set.
        split: which split of a data set.
        subset: which configuration of a data set.

    Yields:
        Where the record stands, in words for messages ("Line 3 of pairs.jsonl"), and the record.

    Raises:
        ConfigurationError: nothing there, it cannot be read, a line is not a JSON object, or a package is missing.
    """
    path = Path(source)
    if path.suffix == ".jsonl":
        yield from _lines(path)
    elif path.suffix == ".parquet":
        for number, record in enumerate(_rows(path), start=1):
            yield f"Row {number} of {source}", record
    else:
        for number, record in enumerate(_data_set(str(source), split, subset), start=1):
            yield f"Row {number} of {source}", dict(record)


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in read_jsonl(str(path)):
        place = f"Line {number} of {path}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ConfigurationError(f"{place} is not JSON: {error}") from None
        if not isinstance(record, dict):
            raise ConfigurationError(f"{place} is not a JSON object.")
        yield place, record


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    pyarrow, parquet = pyarrow_parquet()
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(1024):
                yield from batch.to_pylist()
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise ConfigurationError(f"Cannot read {path}: {str(error).splitlines()[0]}") from None


def _data_set(source: str, split: str, subset: str | None) -> Iterator[dict[str, Any]]:
    try:
        import datasets
    except ImportError:
        raise ConfigurationError(
            'Reading a data set from the hub needs datasets. Run: pip install "me2sdk[train]"'
        ) from None
    try:
        yield from datasets.load_dataset(source, subset, split=split)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{source} is neither a .jsonl or .parquet file nor a data set that can be loaded: "
            f"{str(error).partition(chr(10))[0]}"
        ) from error


def pyarrow_parquet() -> tuple[Any, Any]:
    """The modules ``pyarrow`` and ``pyarrow.parquet``.

    Raises:
        ConfigurationError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigurationError('Parquet needs pyarrow. Run: pip install "me2sdk[train]"') from None
    return pyarrow, pyarrow.parquet
