"""Reading answers that are a JSON object, as models write them."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["read_object"]

_FENCE = re.compile(r"^[ \t]*```[\w-]{0,20}[ \t]*$", re.MULTILINE)
_OPENING = re.compile(r"^[ \t]*\{", re.MULTILINE)
# Models write formulas into strings, and JSON knows no "\(".
_STRAY = re.compile(r'\\(?!["\\/bfnrtu])')


def read_object(text: str) -> dict[str, Any] | None:
    """The JSON object that ends an answer, or None where it does not end with one.

    It may stand in a code fence, and behind prose: it begins where a line first begins with a brace. Time is linear in
    the text.
    """
    text = _FENCE.sub("", text).rstrip()
    start = _OPENING.search(text) if text.endswith("}") else None
    if start is None:
        return None
    for source in (text[start.start() :], _STRAY.sub(r"\\\\", text[start.start() :])):
        try:
            found = json.loads(source, strict=False)
        except (ValueError, RecursionError):
            continue
        return found if isinstance(found, dict) else None
    return None
