"""A request of the Responses API as one of chat completions. Pure functions."""

from __future__ import annotations

from typing import Any

from me2sdk.adapters._shared import as_chat
from me2sdk.adapters.openai_server.bodies import ChatBody, ResponsesBody
from me2sdk.adapters.openai_server.errors import ApiError
from me2sdk.schema import Message

__all__ = ["chat_value"]

_SAME = (
    "best_of", "scorer", "select", "answer", "stop_sampling", "min_confidence", "escalate", "deadline",
    "model", "temperature", "top_p", "top_logprobs", "parallel_tool_calls", "service_tier", "safety_identifier",
    "prompt_cache_key", "user",
)  # fmt: skip
_LOGPROBS = "message.output_text.logprobs"


def chat_value(body: ResponsesBody) -> dict[str, Any]:
    """The body of a chat completion that asks for the same.

    Reasoning that comes back in the input is left out, as in chat completions.

    Raises:
        ApiError: it cannot be said in a chat completion.
    """
    extra = body.model_extra or {}
    if misplaced := sorted(extra.keys() & ChatBody.model_fields.keys()):
        raise ApiError(
            400,
            f"{misplaced[0]} is a field of chat completions, not of responses.",
            param=misplaced[0],
            code="unknown_parameter",
        )
    items: Any = body.input
    if isinstance(items, list):
        items = [item for item in items if item.get("type") != "reasoning"]
    text, reasoning = body.text, body.reasoning
    logprobs = body.top_logprobs is not None or _LOGPROBS in (body.include or ())
    found = {
        **extra,
        **{name: getattr(body, name) for name in _SAME},
        "messages": as_chat(body.instructions, items, _content),
        "max_completion_tokens": body.max_output_tokens,
        "logprobs": True if logprobs else None,
        "tools": [_tool(tool) for tool in body.tools or ()] or None,
        "tool_choice": _tool_choice(body.tool_choice),
        "response_format": _format(text.format if text else None),
        "verbosity": text.verbosity if text else None,
        "reasoning_effort": reasoning.effort if reasoning else None,
        "me2": body.me2.model_dump() if body.me2 else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _tool(tool: Message) -> Message:
    function = {name: tool.get(name) for name in ("name", "description", "parameters", "strict")}
    return {
        "type": "function",
        "function": {name: value for name, value in function.items() if value is not None},
    }


def _tool_choice(choice: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    if not isinstance(choice, dict):
        return choice
    if choice.get("type") != "function":
        raise ApiError(400, "tool_choice is auto, none, required or a function.", param="tool_choice")
    return {"type": "function", "function": {"name": choice.get("name")}}


def _format(given: dict[str, Any] | None) -> dict[str, Any] | None:
    if given is None or given.get("type") in (None, "text"):
        return None
    if given["type"] != "json_schema":
        return given
    return {"type": "json_schema", "json_schema": {name: given[name] for name in given if name != "type"}}


def _content(content: Any) -> Any:
    """The content of a message: text, or the parts of a chat message where there is more than text."""
    if not isinstance(content, list):
        return content
    parts = [_part(part) for part in content]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _part(part: Any) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("input_text", "output_text", "text") and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        return {
            "type": "image_url",
            "image_url": {"url": part["image_url"], "detail": part.get("detail") or "auto"},
        }
    if kind == "input_file" and isinstance(part.get("file_data"), str):
        return {
            "type": "file",
            "file": {name: part[name] for name in ("filename", "file_data") if part.get(name)},
        }
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": part.get("input_audio")}
    raise ApiError(
        400,
        f"A part of the input is of type {str(kind)[:50]}, or refers to a stored file. Send text, images by URL, or "
        "files by their data.",
        param="input",
        code="invalid_field",
    )
