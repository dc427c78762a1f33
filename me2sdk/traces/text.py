"""Text that can be encoded, sent and stored."""

from __future__ import annotations

import re

__all__ = ["clean"]

_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """``text`` with each lone surrogate (which no encoding can carry) replaced by U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
