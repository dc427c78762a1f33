"""What a stage has done so far: one JSONL file, an index of it in memory, and the records on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

from me2sdk._jsonl import JsonlLog, changes
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Usage

__all__ = ["Failures", "StageFile", "locked", "read_usage", "usage_record"]


_USAGE = tuple(Usage.model_fields)


class _Entry(NamedTuple):
    place: int
    length: int
    input: str
    note: Any
    usage: tuple[int | float | None, ...]  # as a tuple it takes a fifth of the memory


def usage_record(usage: Usage) -> dict[str, Any]:
    """Usage as it is stored: equal for equal calls, in whatever order they were added up."""
    cost = None if usage.cost is None else round(usage.cost, 12)
    return {**usage.model_dump(), "cost": cost}


def read_usage(record: Mapping[str, Any]) -> Usage:
    """The usage of a record."""
    return Usage.model_validate(record.get("usage") or {})


class StageFile:
    """The records of one stage by key. Only an index is held in memory, since traces may take many gigabytes.

    Args:
        path: the file; its first line holds the settings.
        stage: name of the stage.
        settings: what its records depend on.
        note: what to keep in memory of a record.

    Raises:
        ConfigurationError: the file was written with other settings, or is not of this kind.
    """

    def __init__(self, path: Path, stage: str, settings: Mapping[str, Any], note: Any) -> None:
        self.path = path
        self.spent = Usage()
        """Usage of all records, those included that nobody needs any more."""
        self._stage = stage
        self._settings = json.loads(json.dumps(settings))
        self._note = note
        self._index: dict[str, _Entry] = {}
        self._log = JsonlLog(path, self._take)
        try:
            if path.stat().st_size == 0:
                self._log.append({"stage": stage, "settings": self._settings})
            self._file = path.open("rb")
        except BaseException:
            self._log.close()
            raise

    def _take(self, line: bytes, place: int) -> None:
        try:
            record = json.loads(line)
            if place == 0:
                known = record["stage"] == self._stage and isinstance(record["settings"], dict)
            else:
                self._add(record, place, len(line))
                known = True
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise ConfigurationError(
                f"{self.path} holds lines that the stage {self._stage!r} did not write. Give another output folder."
            )
        if place == 0 and record["settings"] != self._settings:
            raise ConfigurationError(
                f"{self.path} was written with other settings ({changes(record['settings'], self._settings)}). "
                "Go on with the same ones or give another output folder."
            )

    def _add(self, record: dict[str, Any], place: int, length: int) -> None:
        usage = read_usage(record)
        known = tuple(getattr(usage, name) for name in _USAGE)
        self._index[record["key"]] = _Entry(place, length, record["input"], self._note(record), known)
        self.spent += usage

    def has(self, key: str, input: str) -> bool:
        """Whether there is a record that was made from this input."""
        entry = self._index.get(key)
        return entry is not None and entry.input == input

    def note(self, key: str) -> Any:
        """What is kept in memory of a record."""
        return self._index[key].note

    def usage(self, key: str) -> Usage:
        """What a record cost."""
        return Usage.model_validate(dict(zip(_USAGE, self._index[key].usage, strict=True)))

    def read(self, key: str) -> dict[str, Any]:
        """A record."""
        entry = self._index[key]
        self._file.seek(entry.place)
        record: dict[str, Any] = json.loads(self._file.read(entry.length))
        return record

    def write(self, key: str, input: str, record: Mapping[str, Any]) -> None:
        """Append a record."""
        full = {"key": key, "input": input, **record}
        self._add(full, *self._log.append(full))

    def close(self) -> None:
        """Close the file."""
        self._log.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Failures:
    """A log of what did not work. It stops nothing from being tried again; what it cost counts.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.spent = Usage()
        self._log = JsonlLog(path, self._take)

    def _take(self, line: bytes, place: int) -> None:
        with suppress(ValueError):
            self.spent += read_usage(json.loads(line))

    def write(self, stage: str, key: str, failure: Mapping[str, Any]) -> None:
        """Append a failure."""
        self._log.append({"stage": stage, "key": key, **failure})
        self.spent += read_usage(failure)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._log.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock while the block runs. The system gives it back when the process ends, however it ends.

    Raises:
        ConfigurationError: another process holds it.
    """
    with ExitStack() as stack:
        with suppress(ImportError):  # Windows has no fcntl, and no lock then
            import fcntl

            file = stack.enter_context(path.open("ab"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigurationError(
                    f"Another process is writing to {os.fspath(path.parent)}. Wait for it, or give another output."
                ) from None
            except OSError:  # a file system without locks
                pass
        yield
