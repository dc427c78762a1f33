"""Hiding the log records and warnings of LiteLLM and its dependencies, in our calls alone."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

__all__ = ["muted"]

_LOGGERS = tuple(map(logging.getLogger, ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")))
_MODULES = re.compile(r"(?:litellm|pydantic|pydantic_core|openai|httpx|aiohttp|tiktoken)(?:\.|\Z)")

_ours: ContextVar[bool] = ContextVar("me2sdk_muted", default=False)
_lock = threading.Lock()
_users = 0
_lists: list[list[Any]] = []  # lists of warnings filters that hold ours


class _InOurCalls:
    """Used as the pattern of module names in a warnings filter.

    A context variable decides, so that other tasks and threads see their warnings as usual. The standard library's
    `warnings.catch_warnings` would hide those too.
    """

    def match(self, module: str) -> bool:
        """Whether a warning about ``module`` comes from a call of ours."""
        return _ours.get() and _MODULES.match(module) is not None


class _Records(logging.Filter):
    """Drops the records of our calls, unless the logger was set to a lower level than its default."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show the record."""
        asked_for = logging.NOTSET < logging.getLogger(record.name).level <= logging.INFO
        return asked_for or not _ours.get()


_WARNINGS: Any = ("ignore", None, Warning, _InOurCalls(), 0)
_RECORDS = _Records()


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """Hide LiteLLM's log and the warnings that it and its dependencies raise.

    This holds for what runs in this context and in the tasks started from it. The last one to leave removes the
    filters.
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
            for logger in _LOGGERS:
                logger.addFilter(_RECORDS)


def _leave() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users:
            return
        # `warnings.catch_warnings` replaces the list by a copy, so the filter may be in more than one.
        for known in (*_lists, warnings.filters):
            known[:] = [one for one in known if one is not _WARNINGS]  # type: ignore[index]
        _lists.clear()
        for logger in _LOGGERS:
            logger.removeFilter(_RECORDS)
