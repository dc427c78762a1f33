"""Long jobs over JSONL: read line by line, append a finished record at a time, resume after a kill."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from me2sdk.errors import ConfigurationError

__all__ = ["JsonlLog", "JsonlWriter", "changes", "fingerprint", "read_jsonl"]


def read_jsonl(path: str) -> Iterator[tuple[int, str]]:
    """Line number (from 1) and text of each line that is not blank. ``-`` is standard input.

    A byte order mark, with which some editors and spreadsheets begin a file, is left out.

    Raises:
        ConfigurationError: the file cannot be opened.
    """
    try:
        source: IO[bytes] = sys.stdin.buffer if path == "-" else Path(path).open("rb")  # noqa: SIM115
    except OSError as error:
        raise ConfigurationError(
            f"Cannot read {path}: {error.strerror}. Give the path of a file, or - for stdin."
        ) from None
    with source:
        for number, line in enumerate(source, start=1):
            text = line.decode("utf-8", errors="replace").removeprefix("\ufeff")
            if text.strip():
                yield number, text


def fingerprint(line: str) -> str:
    """A short hash that tells whether an input line is still the one that a record was made from."""
    return hashlib.sha256(line.strip().encode("utf-8", errors="replace")).hexdigest()[:16]


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What differs between two settings, for a message: ``name: old -> new``, dots reaching into nested ones."""
    before, after = _flat(old), _flat(new)
    return ", ".join(
        f"{name}: {before.get(name)!r} -> {after.get(name)!r}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        inner = isinstance(value, Mapping) and value
        flat.update(_flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value})
    return flat


class JsonlLog:
    """A file of lines of JSON that only grows, each on disk (fsync) before `append` returns.

    Opening an existing file goes on with it; half a line at its end (from a kill) is cut off.

    Args:
        path: the file.
        take: called with each whole line that is there already, and the place in bytes where it begins.
    """

    def __init__(self, path: Path, take: Callable[[bytes, int], None]) -> None:
        self._end = 0
        if path.exists():
            with path.open("rb") as lines:
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    take(line, self._end)
                    self._end += len(line)
        self._file = path.open("ab")
        self._file.truncate(self._end)

    def append(self, record: Mapping[str, Any]) -> tuple[int, int]:
        """Append a record; returns the place where its line begins and the line's length, both in bytes."""
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", errors="replace") + b"\n"
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())
        place = self._end
        self._end += len(line)
        return place, len(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class JsonlWriter:
    """Appends records to a file, each on disk (fsync) before the next is begun.

    Opening an existing file resumes it: records that are there are kept, half a line at its end (from a
    kill) is cut off, and a file that other settings wrote is refused.

    Use it as a context manager.

    Args:
        path: the file.
        settings: what the records depend on; stored with each.

    Raises:
        ConfigurationError: the file was written with other settings, or is not a file of this kind.
    """

    def __init__(self, path: str | Path, settings: dict[str, Any]) -> None:
        self.path = Path(path)
        self.settings = settings
        self.done: dict[int, dict[str, Any]] = {}
        """Records found in the file, by input line number."""
        self._log = JsonlLog(self.path, self._take)

    def _take(self, line: bytes, place: int) -> None:
        try:
            record = json.loads(line)
            number, settings = record["line"], record["settings"]
        except (ValueError, KeyError, TypeError):
            raise ConfigurationError(
                f"{self.path} holds lines that this command did not write. Give another --output."
            ) from None
        if settings != self.settings:
            raise ConfigurationError(
                f"{self.path} was written with other settings ({changes(settings, self.settings)}). "
                "Go on with the same ones or give another --output."
            )
        self.done[number] = record

    def find(self, number: int, line: str) -> dict[str, Any] | None:
        """The finished record of an input line, or None.

        Raises:
            ConfigurationError: the record at this line number was made from another input.
        """
        record = self.done.get(number)
        if record is not None and record.get("input") != fingerprint(line):
            raise ConfigurationError(
                f"Line {number} of the input is not the one that {self.path} was made from. Give another --output."
            )
        return record

    def write(self, number: int, line: str, record: dict[str, Any]) -> dict[str, Any]:
        """Append the record of an input line and return it as written."""
        full = {"line": number, "input": fingerprint(line), "settings": self.settings, **record}
        self._log.append(full)
        return full

    def __enter__(self) -> JsonlWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self._log.close()
