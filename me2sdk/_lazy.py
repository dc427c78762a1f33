"""Packages whose names load when they are first used, so that importing the package is quick."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["lazy"]


def lazy(
    package: str, homes: dict[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a package's ``__init__`` needs to load its names late.

    Args:
        package: its ``__name__``.
        homes: module inside the package to the names that it defines.

    Returns:
        ``__getattr__``, ``__dir__`` and ``__all__``.
    """
    home = {name: module for module, names in homes.items() for name in names}

    def getattr_(name: str) -> Any:
        if name in home:
            return getattr(import_module(f"{package}.{home[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def dir_() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home})

    return getattr_, dir_, sorted(home, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
