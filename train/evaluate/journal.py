"""What a measurement has found so far, in a file that a stopped run goes on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from me2sdk._jsonl import JsonlLog, changes
from me2sdk.errors import ConfigurationError

__all__ = ["Journal"]


class Journal:
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

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._found: dict[str, dict[str, Any]] = {}
        self._written: dict[str, list[Mapping[str, Any]]] = {}
        self._settings: dict[str, Mapping[str, Any]] = {}
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._log = JsonlLog(path, self._take) if path is not None else None

    def _take(self, line: bytes, place: int) -> None:
        try:
            record = json.loads(line)
            who, settings, results = record["by"], record["settings"], dict(record["results"])
        except (ValueError, KeyError, TypeError):
            raise ConfigurationError(
                f"{self.path} holds lines that no measurement wrote. Give another file."
            ) from None
        if settings not in (seen := self._written.setdefault(who, [])):
            seen.append(settings)
        self._found.setdefault(who, {}).update(results)

    def begin(self, who: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Go on with the results of one scorer.

        Returns:
            what it found before, by item.

        Raises:
            ConfigurationError: the file holds results of the same name that were found with other settings.
        """
        settings = json.loads(json.dumps(settings))  # as they come back from the file
        for old in self._written.get(who, []):
            if old != settings:
                raise ConfigurationError(
                    f"{self.path} holds results of {who} with other settings ({changes(old, settings)}). "
                    "Go on with the same ones or give another file."
                )
        self._settings[who] = settings
        return self._found.setdefault(who, {})

    def put(self, who: str, results: Mapping[str, Any]) -> None:
        """Keep results, by item."""
        if not results:
            return
        self._found[who].update(results)
        if self._log is not None:
            self._log.append({"by": who, "settings": self._settings[who], "results": dict(results)})

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._log is not None:
            self._log.close()
