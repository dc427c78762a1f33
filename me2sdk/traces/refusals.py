"""Whether a model refused to answer, and with what words."""

from __future__ import annotations

from typing import Any

__all__ = ["refusal_of"]

_REASONS = frozenset(("refusal", "refused"))
_NO_WORDS = "The model refused to answer."


def refusal_of(message: Any, finish_reason: str | None = None) -> str | None:
    """The words with which a model refused to answer.

    Read from ``refusal`` of the message, where OpenAI's API puts it, from content parts of type ``refusal``, and from a
    finish reason that says so, as Anthropic's does.

    Args:
        message: an assistant message, a dict or an object with the attributes of OpenAI's message.
        finish_reason: why the model stopped, as the provider says it.

    Returns:
        the words, a sentence of our own where the provider sends none, or None where nothing was refused.

    Examples:
        >>> refusal_of({"content": None, "refusal": "I cannot help with that."})
        'I cannot help with that.'
    """
    extra = _get(message, "provider_specific_fields")
    content = _get(message, "content")
    parts = content if isinstance(content, (list, tuple)) else ()
    found = (
        _get(message, "refusal"),
        _get(extra, "refusal"),
        "\n".join(text for part in parts if _get(part, "type") == "refusal" and (text := _words(part))),
    )
    words = next((text.strip() for text in found if isinstance(text, str) and text.strip()), None)
    if words is not None:
        return words
    reason = finish_reason.strip().casefold() if isinstance(finish_reason, str) else ""
    if reason not in _REASONS:
        return None
    return content.strip() if isinstance(content, str) and content.strip() else _NO_WORDS


def _words(part: Any) -> str:
    text = _get(part, "refusal") or _get(part, "text")
    return text if isinstance(text, str) else ""


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)
