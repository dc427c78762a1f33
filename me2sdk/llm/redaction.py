"""Keeping secrets out of sight: API keys in parameters, in the environment, and in what providers answer."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

_NAME = re.compile(
    r"api[_-]?key|secret|passw|credential|authorization|cookie|(access|private|subscription)[_-]?key"
    r"|(^|auth|access|session|security|bearer|refresh|identity|[_-]id|[_-]ad|api|hf)[_-]?token(_provider)?$",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"_(API_KEY|TOKEN|SECRET_KEY|SECRET_ACCESS_KEY|CLIENT_SECRET)$")
# Parameters whose value is a mapping of parameters or headers. Other mappings (a JSON schema, say) are content.
_NESTED = frozenset(("headers", "extra_headers", "default_headers", "extra_body"))
_SHORTEST = 6  # shorter values are placeholders ("EMPTY", "none"); replacing them would garble messages

_USER_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")
_KEY_IN_URL = re.compile(
    r"([?&](?:api[_-]?key|key|token|access_token|sig|signature)=)[^&\s\"']+", re.IGNORECASE
)
_PATTERNS = (
    re.compile(r"\b(?:sk|pk|gsk|hf|xai|pplx|r8|ghp|gho|fw|csk|nvapi)[-_][\w*.…-]{6,}"),
    re.compile(r"\bAIza[\w-]{20,}|\bAKIA[A-Z0-9]{12,}"),
    re.compile(r"(?<=\bBearer )\S+|(?<=\bBasic )[\w+/=]{8,}", re.IGNORECASE),
    re.compile(r"(?<=key provided: )\S+", re.IGNORECASE),
    re.compile(
        r"(?:(?<=api[_-]key)|(?<=apikey)|(?<=authorization))([\"']?\s*[:=]\s*[\"']?)[^\s\"',}]{6,}",
        re.IGNORECASE,
    ),
)
_HIDDEN = "[hidden]"
_LONGEST = 1000


def without_secrets(params: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``params`` without keys, and without users and keys in URLs."""
    kept: dict[str, Any] = {}
    for name, value in params.items():
        if _NAME.search(name):
            continue
        if name in _NESTED and isinstance(value, Mapping):
            kept[name] = without_secrets(value)
        elif isinstance(value, str) and "://" in value:
            kept[name] = _KEY_IN_URL.sub(r"\1", _USER_IN_URL.sub("", value))
        else:
            kept[name] = value
    return kept


def secret_values(params: Mapping[str, Any]) -> set[str]:
    """The keys that ``params`` hold."""
    found: set[str] = set()
    for name, value in params.items():
        if name in _NESTED and isinstance(value, Mapping):
            found |= secret_values(value)
        elif isinstance(value, str) and _NAME.search(name):
            found |= {value, value.removeprefix("Bearer ")}
    return found


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without keys: those given, those in the environment, and all that looks like a key.

    At most 1,000 characters are kept, since providers answer with whole web pages.
    """
    in_environment = (value for name, value in os.environ.items() if _VARIABLE.search(name))
    known = {value for value in (*secrets, *in_environment) if len(value) >= _SHORTEST}
    for value in sorted(known | {quote(value, safe="") for value in known}, key=len, reverse=True):
        text = text.replace(value, _HIDDEN)
    text = _KEY_IN_URL.sub(rf"\1{_HIDDEN}", _USER_IN_URL.sub(f"{_HIDDEN}@", text))
    for pattern in _PATTERNS:
        text = pattern.sub(lambda found: (found[1] if found.re.groups else "") + _HIDDEN, text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
