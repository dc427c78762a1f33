"""Folders that me2sdk writes to when it is asked to keep something."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["user_cache_dir"]


def user_cache_dir() -> Path:
    """The folder behind ``cache=True``: ``$XDG_CACHE_HOME/me2sdk``, or ``~/.cache/me2sdk``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "me2sdk"
