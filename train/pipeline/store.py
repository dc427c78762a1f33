"""What a stage has done so far: one JSONL file, an index of it in memory, and the records on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from me2sdk._jsonl import JsonlStore, refuse_changes
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


class StageFile(JsonlStore):
    """The records of one stage by key. Only an index is held in memory, since traces may take many gigabytes.

    Args:
        path: the file; its first line holds the settings.
        stage: name of the stage.
        settings: what its records depend on.
        note: what to keep in memory of a record.

    Raises:
        ConfigurationError: the file was written with other settings, or is not of this kind.
    """

    other = "another output folder"

    def __init__(self, path: Path, stage: str, settings: Mapping[str, Any], note: Any) -> None:
        self.spent = Usage()
        """Usage of all records, those that are no longer needed included."""
        self.foreign = f"the stage {stage!r} did not write"
        self._stage = stage
        self._settings = json.loads(json.dumps(settings))
        self._note = note
        self._index: dict[str, _Entry] = {}
        super().__init__(path)
        try:
            if path.stat().st_size == 0:
                self.append({"stage": stage, "settings": self._settings})
            self._reader = path.open("rb")
        except BaseException:
            super().close()
            raise

    def take(self, record: dict[str, Any], place: int, length: int) -> None:
        """Take up a record; the first line names the stage and its settings."""
        if place:
            self._add(record, place, length)
            return
        if record["stage"] != self._stage:
            raise ValueError
        refuse_changes(f"{self.path} was written", record["settings"], self._settings, self.other)

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
        self._reader.seek(entry.place)
        record: dict[str, Any] = json.loads(self._reader.read(entry.length))
        return record

    def write(self, key: str, input: str, record: Mapping[str, Any]) -> None:
        """Append a record."""
        full = {"key": key, "input": input, **record}
        self._add(full, *self.append(full))

    def close(self) -> None:
        """Close the file."""
        super().close()
        self._reader.close()


class Failures(JsonlStore):
    """A log of what did not work. It stops nothing from being tried again; what it cost counts.

    Args:
        path: the file.
    """

    foreign = "no build wrote"
    other = "another output folder"

    def __init__(self, path: Path) -> None:
        self.spent = Usage()
        super().__init__(path)

    def take(self, record: dict[str, Any], place: int, length: int) -> None:
        """Count what a failure cost."""
        self.spent += read_usage(record)

    def write(self, stage: str, key: str, failure: Mapping[str, Any]) -> None:
        """Append a failure."""
        self.append({"stage": stage, "key": key, **failure})
        self.spent += read_usage(failure)


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
