"""Long jobs over JSONL: read line by line, append a finished record at a time, resume after a kill."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from me2sdk.errors import ConfigurationError

__all__ = ["JsonlWriter", "fingerprint", "read_jsonl"]


def read_jsonl(path: str) -> Iterator[tuple[int, str]]:
    """Line number (from 1) and text of each line that is not blank. ``-`` is standard input.

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
            if line.strip():
                yield number, line.decode("utf-8", errors="replace")


def fingerprint(line: str) -> str:
    """A short hash that tells whether an input line is still the one that a record was made from."""
    return hashlib.sha256(line.strip().encode("utf-8", errors="replace")).hexdigest()[:16]


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
        whole = 0
        if self.path.exists():
            for line in self.path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                self._take(line)
                whole += len(line)
        self._file = self.path.open("ab")
        self._file.truncate(whole)

    def _take(self, line: bytes) -> None:
        try:
            record = json.loads(line)
            number, settings = record["line"], record["settings"]
        except (ValueError, KeyError, TypeError):
            raise ConfigurationError(
                f"{self.path} holds lines that this command did not write. Give another --output."
            ) from None
        if settings != self.settings:
            changed = ", ".join(
                f"{name}: {settings.get(name)!r} -> {self.settings.get(name)!r}"
                for name in sorted({*settings, *self.settings})
                if settings.get(name) != self.settings.get(name)
            )
            raise ConfigurationError(
                f"{self.path} was written with other settings ({changed}). "
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
        self._file.write(json.dumps(full, ensure_ascii=False).encode("utf-8", errors="replace") + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        return full

    def __enter__(self) -> JsonlWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()
