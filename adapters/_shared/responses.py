"""Items of OpenAI's Responses API as chat messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from me2sdk.schema import Message
from me2sdk.traces import refusal_of

__all__ = ["as_assistant", "as_chat", "is_cut_off"]


def as_chat(
    instructions: str | None, items: str | Iterable[Any], read: Callable[[Any], Any] | None = None
) -> list[Message]:
    """A request as chat messages: text, reasoning, function calls and their outputs.

    Calls of tools that run at the provider are skipped.

    Args:
        instructions: the system's instructions, or None.
        items: the request's input: text, or items as dicts or pydantic models.
        read: what becomes of the content of a message, or of a function's output; by default its text alone, without
            images and files.
    """
    read = read or _text
    chat: list[Message] = [{"role": "system", "content": instructions}] if instructions else []
    if isinstance(items, str):
        return [*chat, {"role": "user", "content": items}]
    turn: list[dict[str, Any]] = []  # consecutive items of the assistant are one message
    for item in map(_as_dict, items):
        role, kind = item.get("role"), item.get("type")
        if role == "assistant" or kind in ("reasoning", "function_call"):
            turn.append(item)
            continue
        chat += _message(turn)
        turn = []
        if kind == "function_call_output":
            chat.append(
                {"role": "tool", "tool_call_id": item.get("call_id"), "content": read(item.get("output"))}
            )
        elif role:
            role = "system" if role == "developer" else role
            chat.append({"role": role, "content": read(item.get("content"))})
    return chat + _message(turn)


def as_assistant(items: Iterable[Any]) -> Message:
    """A response's output as one assistant message with its ``reasoning_content``, ``tool_calls`` and ``refusal``."""
    turn = [
        item for item in map(_as_dict, items) if item.get("type") in ("message", "reasoning", "function_call")
    ]
    message = (_message(turn) or [{"role": "assistant", "content": ""}])[0]
    refusal = refusal_of({"content": [part for item in turn for part in _parts(item.get("content"))]})
    return message if refusal is None else {**message, "refusal": refusal}


def is_cut_off(items: Iterable[Any]) -> bool:
    """Whether the output was cut off."""
    return any(_as_dict(item).get("status") == "incomplete" for item in items)


def _message(turn: list[dict[str, Any]]) -> list[Message]:
    """Consecutive items of the assistant as one message, or none if there are none."""
    if not turn:
        return []
    texts = [
        _text(item.get("content")) for item in turn if item.get("type") not in ("reasoning", "function_call")
    ]
    thoughts = [
        _text(item.get("content")) or _text(item.get("summary"))
        for item in turn
        if item.get("type") == "reasoning"
    ]
    calls = [
        {
            "id": item.get("call_id"),
            "type": "function",
            "function": {"name": item.get("name"), "arguments": item.get("arguments")},
        }
        for item in turn
        if item.get("type") == "function_call"
    ]
    message: Message = {"role": "assistant", "content": "\n\n".join(filter(None, texts))}
    if any(thoughts):
        message["reasoning_content"] = "\n\n".join(filter(None, thoughts))
    if calls:
        message["tool_calls"] = calls
    return [message]


def _as_dict(item: Any) -> dict[str, Any]:
    return item if isinstance(item, dict) else item.model_dump()


def _parts(content: Any) -> list[dict[str, Any]]:
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    texts = (part.get("text") or part.get("refusal") for part in _parts(content))
    return "\n".join(text for text in texts if isinstance(text, str))
