"""Training and evaluation: preference data, reward models, GRPO with gated rewards, benchmarks of scorers.

Names load when they are first used; what trains needs ``pip install "me2sdk[train]"``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from me2sdk.train.preferences import Preference, read_preferences, split_by_question, write_preferences

_HOMES = {
    "preferences": ("Preference", "read_preferences", "split_by_question", "write_preferences"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["Preference", "read_preferences", "split_by_question", "write_preferences"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"me2sdk.train.{_HOME[name]}"), name)
    raise AttributeError(f"module 'me2sdk.train' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
