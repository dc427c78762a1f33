"""What a measurement has found so far, in a file that resumes a stopped run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from me2sdk._jsonl import JsonlStore, refuse_changes

__all__ = ["Journal"]


class Journal(JsonlStore):
    """Results by who found them (a scorer, a judge) and item (a fingerprint of what was judged).

    A line of the file holds one batch of results, with the settings that they depend on, and is on disk before the
    next is begun. Others may be added to a file later; what was found with other settings is refused. Failures are
    not kept, so that they are tried again.

    Use it as a context manager.

    Args:
        path: the file, made if need be; None to keep nothing.

    Raises:
        ConfigurationError: the file holds something else.
    """

    foreign = "no measurement wrote"
    other = "another file"

    def __init__(self, path: str | Path | None) -> None:
        self._found: dict[str, dict[str, Any]] = {}
        self._written: dict[str, list[Mapping[str, Any]]] = {}
        self._settings: dict[str, Mapping[str, Any]] = {}
        if path is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path)

    def take(self, record: dict[str, Any], place: int, length: int) -> None:
        """Take up results."""
        who, settings, results = record["by"], record["settings"], dict(record["results"])
        if settings not in (seen := self._written.setdefault(who, [])):
            seen.append(settings)
        self._found.setdefault(who, {}).update(results)

    def begin(self, who: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Go on with the results of one scorer.

        Returns:
            What it found before, by item.

        Raises:
            ConfigurationError: the file holds results of the same name that were found with other settings.
        """
        settings = json.loads(json.dumps(settings))  # as they come back from the file
        for old in self._written.get(who, []):
            refuse_changes(f"{self.path} holds results of {who}", old, settings, self.other)
        self._settings[who] = settings
        return self._found.setdefault(who, {})

    def put(self, who: str, results: Mapping[str, Any]) -> None:
        """Keep results, by item."""
        if not results:
            return
        self._found[who].update(results)
        self.append({"by": who, "settings": self._settings[who], "results": dict(results)})
