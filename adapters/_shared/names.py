"""Names under which models and scorers are offered to clients, and what clients may say of answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["by_name", "check_answer", "own_name"]

# The operator may also set a regular expression. One that a client sends could keep the process busy for hours.
_ANSWERS = re.compile(r"auto|text|similar|json(:.+)?|tool_calls(:name)?")


def by_name(value: Any) -> Any:
    """A mapping as it is; one item or several under their own names."""
    if isinstance(value, Mapping):
        return value
    many = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return {own_name(item): item for item in many}


def own_name(item: Any) -> str:
    """The name by which clients know a model or scorer without a given name. It shows no addresses or folders."""
    if not isinstance(item, str):
        return str(getattr(item, "name", None) or getattr(item, "__name__", None) or type(item).__name__)
    if item.startswith(("http://", "https://")):
        return "remote"
    folder = Path(item.removeprefix("prm:"))
    return folder.name if folder.is_dir() else item


def check_answer(answer: str) -> str:
    """What a client says is to be compared.

    Raises:
        ValueError: it is none of the names.
    """
    if not _ANSWERS.fullmatch(answer):
        raise ValueError(
            "it is auto, text, similar, json, json:field.path, tool_calls or tool_calls:name; a regular expression can "
            "only be set by the operator"
        )
    return answer
