"""Where the reasoning stands in an assistant message: in a field, in a part of the content, or in its text."""

from __future__ import annotations

from typing import Any

from me2sdk.traces.blocks import unwrap_answer
from me2sdk.traces.finish import is_cut_off
from me2sdk.traces.reader import Reading, join, read_text, split_text
from me2sdk.traces.tokens import strip_tokens

__all__ = ["read_choice", "read_message"]

# Where providers send reasoning. The first that holds any wins, since some of them are copies of each other.
_FIELDS = (
    "reasoning_content",
    "reasoning",
    "thinking",
    "reasoning_text",
    "thinking_blocks",
    "reasoning_details",
)
_EXTRAS = (
    "provider_specific_fields",
    "additional_kwargs",
    "model_extra",
)  # where clients keep what they do not know
_TEXTS = (
    "thinking",
    "reasoning",
    "reasoning_content",
    "reasoningText",
    "text",
    "summary",
    "content",
    "value",
)
_THINKING = frozenset(
    "thinking reasoning reasoning_content reasoning.text reasoning.summary reasoning_text thought".split()
)
_DEEPEST = 6  # parts within parts


def read_message(message: Any, finish_reason: str | None = None) -> Reading:
    """Split an assistant message (dict, or any object with the OpenAI attributes) as `read_text` does.

    Reasoning in a field or in a part of its own comes first; what of it leaked into the content joins it.

    Args:
        message: the message.
        finish_reason: why the model stopped. It decides whether reasoning without an answer is finished, and is then
            the answer as well, or was cut off, which is also what is assumed where it says nothing.
    """
    cut = is_cut_off(finish_reason)
    content, thinking = _content(_get(message, "content"))
    field = _field(message) or thinking
    content = content if content.strip() else _tool_calls(message)
    if not field:
        reading = read_text(content)
        if reading.truncated and cut is False and reading.response is None:
            return Reading(reading.reasoning, reading.reasoning, False)
        return reading._replace(truncated=reading.truncated or cut is True)
    return _read_beside(field, content, cut)


def read_choice(item: Any, finish_reason: str | None = None) -> tuple[Any, str | None, Any]:
    """Message, finish reason and ``logprobs`` of a choice of a response, or of a message that stands alone.

    Args:
        item: a choice or a message, a dict or an object with the attributes of OpenAI's.
        finish_reason: why the model stopped, if the caller knows; else what the choice says.
    """
    message, logprobs = _get(item, "message"), _get(item, "logprobs")
    if not (isinstance(message, dict) or hasattr(message, "content")) or _get(item, "content") is not None:
        return item, finish_reason, logprobs
    reason = _get(item, "finish_reason") if finish_reason is None else finish_reason
    own = _get(message, "logprobs") if logprobs is None else logprobs
    return message, reason if isinstance(reason, str) else None, own


def _read_beside(field: str, content: str, cut: bool | None) -> Reading:
    """Read content that stands beside reasoning."""
    own = split_text(field)
    reasoning, late = field, ""
    if own is not None:  # tags that a server left around the reasoning, and what it took for a part of it
        reasoning, late = join(own.thoughts), join(own.spoken)
    if not content.strip():
        if late and cut is not True:
            return Reading(reasoning or late, late, False)
        reasoning = join([reasoning, late])
        return Reading(reasoning, reasoning, False) if cut is False else Reading(reasoning, None, True)
    reasoning = join([reasoning, late]) if late else reasoning
    parts = split_text(content)
    if parts is None:
        response = unwrap_answer(strip_tokens(content))
        return Reading(reasoning.strip(), response or None, cut is True)
    leaked, response = join(parts.thoughts), join(parts.spoken)
    if leaked.startswith(reasoning.strip()) and not parts.continued:
        reasoning = leaked  # a copy
    elif parts.continued and leaked != reasoning.strip():
        reasoning = reasoning + content[: len(content) - len(content.lstrip())] + leaked
    elif leaked != reasoning.strip():
        reasoning = join([reasoning, leaked])
    if not response and cut is False:
        return Reading(reasoning.strip(), reasoning.strip(), False)
    unanswered = not response and bool(parts.spoken)  # with no part at all a tool was called
    return Reading(reasoning.strip(), response or None, parts.truncated or cut is True or unanswered)


def _get(message: Any, name: str) -> Any:
    return message.get(name) if isinstance(message, dict) else getattr(message, name, None)


def _field(message: Any) -> str:
    for holder in (message, *(_get(message, name) for name in _EXTRAS)):
        if holder is None:
            continue
        for name in _FIELDS:
            if (text := _text(_get(holder, name))).strip():
                return text
    return ""


def _text(value: Any, depth: int = 0) -> str:
    """The text of a reasoning field: a string, or parts within parts."""
    if isinstance(value, str):
        return value
    if value is None or depth > _DEEPEST or isinstance(value, (bool, int, float, bytes)):
        return ""
    if isinstance(value, (list, tuple)):
        separator = "" if depth and all(isinstance(item, str) for item in value) else "\n\n"
        return separator.join(text for item in value if (text := _text(item, depth + 1)).strip())
    return next((text for name in _TEXTS if (text := _text(_get(value, name), depth + 1)).strip()), "")


def _content(content: Any) -> tuple[str, str]:
    """The text of a content field, and the text of its thinking parts."""
    if isinstance(content, str):
        return content, ""
    parts = content if isinstance(content, (list, tuple)) else [content]
    spoken: list[str] = []
    thoughts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            spoken.append(part)
        elif _is_thinking(part):
            thoughts.append(_text(part))
        elif isinstance(text := _get(part, "text"), str):
            spoken.append(text)
        elif isinstance(value := _get(text, "value"), str):
            spoken.append(value)
    return "".join(spoken), join(thoughts)


def _is_thinking(part: Any) -> bool:
    kind = _get(part, "type")
    if isinstance(kind, str) and kind in _THINKING:
        return True
    # Gemini marks a part of text as a thought; a part without a type may be named by its one field.
    return _get(part, "thought") is True or (kind is None and bool(_get(part, "thinking")))


def tool_calls_of(message: Any) -> list[tuple[str, Any]]:
    """Name and arguments, as the model wrote them, of each tool that a message calls.

    Of functions and of custom tools, whose input is free text, and of the field that functions were called in before.
    """
    calls = _get(message, "tool_calls")
    made = (
        [_get(call, "function") or _get(call, "custom") for call in calls] if isinstance(calls, list) else []
    )
    given = [*made, _get(message, "function_call")]
    return [(str(_get(call, "name")), _given(call)) for call in given if call]


def _tool_calls(message: Any) -> str:
    """Calls as text, ``name(arguments)`` a line: the response of a message that only calls tools."""
    return "\n".join(f"{name}({arguments})" for name, arguments in tool_calls_of(message))


def _given(call: Any) -> Any:
    arguments = _get(call, "arguments")
    return _get(call, "input") if arguments is None else arguments
