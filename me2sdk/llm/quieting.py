"""Keeping a library's words to itself: its log records and its warnings, in our calls alone."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

__all__ = ["hushed"]

_LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")
_MODULES = re.compile(r"(?:litellm|pydantic|pydantic_core|openai|httpx|aiohttp|tiktoken)(?:\.|\Z)")

_ours: ContextVar[bool] = ContextVar("me2sdk_hushed", default=False)
_lock = threading.Lock()
_users = 0
_lists: list[list[Any]] = []  # those that hold our filter of warnings


class _InOurCalls:
    """Stands where a warnings filter has its pattern of module names.

    A context variable decides, so that what another task or thread does meanwhile is warned of as ever. The standard
    library's own way, `warnings.catch_warnings`, would hide its warnings too.
    """

    def match(self, module: str) -> bool:
        """Whether a warning about ``module`` comes from a call of ours."""
        return _ours.get() and _MODULES.match(module) is not None


class _Records(logging.Filter):
    """Drops the records of our calls, unless somebody has asked the logger to say more than by default."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be seen."""
        asked_for = logging.NOTSET < logging.getLogger(record.name).level <= logging.INFO
        return asked_for or not _ours.get()


_WARNINGS: Any = ("ignore", None, Warning, _InOurCalls(), 0)
_RECORDS = _Records()


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Keep LiteLLM's log and the warnings inside it and its dependencies from being shown.

    It holds for what runs in this context and in the tasks started from it. The last one that leaves takes the
    filters away again.
    """
    token = _ours.set(True)
    _enter()
    try:
        yield
    finally:
        _leave()
        _ours.reset(token)


def _enter() -> None:
    global _users
    with _lock:
        _users += 1
        current: Any = warnings.filters
        if not any(known is current for known in _lists):
            _lists.append(current)
            current.insert(0, _WARNINGS)  # before the filters of the caller, which may raise
        if _users == 1:
            for name in _LOGGERS:
                logging.getLogger(name).addFilter(_RECORDS)


def _leave() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users:
            return
        # `warnings.catch_warnings` replaces the list by a copy, so the filter may stand in more than one.
        for known in (*_lists, warnings.filters):
            known[:] = [one for one in known if one is not _WARNINGS]  # type: ignore[index]
        _lists.clear()
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(_RECORDS)
