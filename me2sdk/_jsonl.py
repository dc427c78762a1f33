"""Long jobs over JSONL: read line by line, append a finished record at a time, resume after a kill."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Self

from me2sdk.errors import ConfigurationError

__all__ = ["JsonlStore", "JsonlWriter", "fingerprint", "read_jsonl", "refuse_changes"]


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


def refuse_changes(found: str, before: Mapping[str, Any], now: Mapping[str, Any], other: str) -> None:
    """Refuse to mix what was made with different settings. The message names each difference, also in nested ones.

    Args:
        found: what is there already, for the message ("runs/a holds a run").
        before: the settings that it was made with.
        now: the settings of this run.
        other: what to give instead, for the message ("another output folder").

    Raises:
        ConfigurationError: the settings differ.
    """
    old, new = _flat(before), _flat(now)
    changed = ", ".join(
        f"{name}: {old.get(name)!r} -> {new.get(name)!r}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    )
    if changed:
        raise ConfigurationError(
            f"{found} with other settings ({changed}). Go on with the same ones or give {other}."
        )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        inner = isinstance(value, Mapping) and value
        flat.update(_flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value})
    return flat


class JsonlStore:
    """A file of JSON records that only grows, each on disk (fsync) before `append` returns.

    Opening an existing file resumes it: `take` gets each record, half a line at the end (from a kill) is cut off, and
    a file that something else wrote is refused and left as it is. Subclasses define `take` and the two texts.

    Use it as a context manager.

    Args:
        path: the file, made if need be; None to keep nothing.
        write: False to read the file and keep nothing, for a process beside the one that writes.

    Raises:
        ConfigurationError: the file holds something else.
    """

    foreign = "this command did not write"
    """What is wrong with a file of another kind, for the message."""
    other = "another --output"
    """What to give instead, for messages."""

    def __init__(self, path: str | Path | None, *, write: bool = True) -> None:
        self.path = None if path is None else Path(path)
        self._end = 0
        self._file: IO[bytes] | None = None
        if self.path is None:
            return
        if self.path.exists():
            with self.path.open("rb") as lines:
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    self._read(line)
                    self._end += len(line)
        if write:
            try:
                self._file = self.path.open("ab")
            except OSError as error:
                raise ConfigurationError(f"Cannot write {self.path}: {error.strerror}.") from None
            self.cut(self._end)

    def _read(self, line: bytes) -> None:
        try:
            self.take(json.loads(line), self._end, len(line))
        except ConfigurationError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ConfigurationError(
                f"{self.path} holds lines that {self.foreign}. Give {self.other}."
            ) from None

    def take(self, record: dict[str, Any], place: int, length: int) -> None:
        """Take up a record that is in the file already.

        Args:
            record: the record.
            place: where its line begins, in bytes.
            length: of its line, in bytes.

        Raises:
            ValueError, KeyError, TypeError: it is no record of this kind.
            ConfigurationError: it was made with other settings.
        """
        raise NotImplementedError

    def append(self, record: Mapping[str, Any]) -> tuple[int, int]:
        """Append a record; returns the place where its line begins and the line's length, both in bytes."""
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", errors="replace") + b"\n"
        if self._file is not None:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        place = self._end
        self._end += len(line)
        return place, len(line)

    def cut(self, place: int) -> None:
        """Drop what the file holds from this place on."""
        self._end = place
        if self._file is not None:
            self._file.truncate(place)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class JsonlWriter(JsonlStore):
    """The records of a command, one for each line of its input; see `JsonlStore`.

    Args:
        path: the file.
        settings: what the records depend on; stored with each.

    Raises:
        ConfigurationError: the file was written with other settings, or is not a file of this kind.
    """

    def __init__(self, path: str | Path, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.done: dict[int, dict[str, Any]] = {}
        """Records found in the file, by input line number."""
        super().__init__(path)

    def take(self, record: dict[str, Any], place: int, length: int) -> None:
        """Take up a record."""
        number, settings = record["line"], record["settings"]
        refuse_changes(f"{self.path} was written", settings, self.settings, self.other)
        self.done[number] = record

    def find(self, number: int, line: str) -> dict[str, Any] | None:
        """The finished record of an input line, or None.

        Raises:
            ConfigurationError: the record at this line number was made from another input.
        """
        record = self.done.get(number)
        if record is not None and record.get("input") != fingerprint(line):
            raise ConfigurationError(
                f"Line {number} of the input is not the one that {self.path} was made from. Give {self.other}."
            )
        return record

    def write(self, number: int, line: str, record: dict[str, Any]) -> dict[str, Any]:
        """Append the record of an input line and return it as written."""
        ours = {"line": number, "input": fingerprint(line), "settings": self.settings}
        # A row may have fields of these names, which must not stand for ours.
        full = {**ours, **{name: value for name, value in record.items() if name not in ours}}
        self.append(full)
        return full
