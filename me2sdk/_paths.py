"""Where me2sdk writes what it is asked to keep, and how a file is written as a whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_write", "user_cache_dir"]


def user_cache_dir() -> Path:
    """The folder behind ``cache=True``: ``$XDG_CACHE_HOME/me2sdk``, or ``~/.cache/me2sdk``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "me2sdk"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file or a folder whole or not at all.

    The block writes to the path that it gets, ``<name>.part`` in the same folder. It takes the place of ``path`` when
    the block ends, and is removed when the block raises.

    Args:
        path: what to write. A file that is there is replaced; a folder has to be empty.
    """
    draft = path.with_name(path.name + ".part")
    _remove(draft)  # from a kill
    try:
        yield draft
        if path.is_dir():
            path.rmdir()
        draft.replace(path)
    finally:
        _remove(draft)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
