"""DSPy's requests, answers and predictions as chat messages."""

from __future__ import annotations

import json
import re
from typing import Any

from dspy import lm15

from me2sdk.adapters._shared import Answered, finished
from me2sdk.schema import Message

__all__ = ["answered", "as_message", "question"]

_MARKER = re.compile(r"^\[\[ ## (\w+) ## \]\][ \t]*", re.MULTILINE)


def as_message(outputs: dict[str, str], reasoning: str | None) -> Message:
    """Output fields as an assistant message; a single field besides the reasoning is the final answer."""
    filled = {name: value for name, value in outputs.items() if value.strip()}
    thought = {"reasoning_content": filled.pop(reasoning)} if reasoning in filled else {}
    if reasoning in outputs and len(filled) == 1:
        content = f"Final answer: {next(iter(filled.values()))}"
    else:
        content = "\n".join(f"{name}: {value}" for name, value in filled.items())
    return {"role": "assistant", "content": content, **thought}


def question(request: Any) -> list[Message]:
    """A request as a chat in OpenAI's form."""
    system = request.system if isinstance(request.system, str) else _text(request.system or ())
    chat = [{"role": "system", "content": system}] if system else []
    return [*chat, *({"role": m.role, "content": _text(m.parts)} for m in request.messages)]


def _text(parts: Any) -> str:
    """The text of a message's parts and of tools' results; images and other files are skipped."""
    texts = [
        _text(part.content) if part.type == "tool_result" else getattr(part, "text", "") for part in parts
    ]
    return "\n".join(filter(None, texts))


def answered(response: Any) -> Answered[Any]:
    """A response of DSPy in the form that `abest_native` reads."""
    parts = response.message.parts
    texts = [part.text for part in parts if isinstance(part, lm15.TextPart)]
    thoughts = [part.text for part in parts if isinstance(part, lm15.ThinkingPart) and part.text]
    texts += [json.dumps(part.value, ensure_ascii=False) for part in parts if isinstance(part, lm15.DataPart)]
    calls = [
        {"id": call.id, "function": {"name": call.name, "arguments": json.dumps(call.input)}}
        for call in response.tool_calls
    ]
    message = _read("".join(texts))
    if thoughts:
        message["reasoning_content"] = "\n\n".join(thoughts)
    if refused := [part.text for part in parts if part.type == "refusal"]:
        message["refusal"] = "\n".join(refused)
    return Answered(
        response,
        {**message, **({"tool_calls": calls} if calls else {})},
        finish_reason=finished(response.finish_reason),
        prompt_tokens=response.usage.input_tokens,
        completion_tokens=response.usage.output_tokens,
    )


def _read(text: str) -> Message:
    """A completion as a message: fields in the format of DSPy's chat or JSON adapter, or plain text."""
    pieces = _MARKER.split(text)
    found: Any = dict(zip(pieces[1::2], (piece.strip() for piece in pieces[2::2]), strict=True))
    if not found:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):  # models write anything
            found = None
    if not isinstance(found, dict) or "reasoning" not in found:
        return {"role": "assistant", "content": text}
    found.pop("completed", None)
    return as_message({name: str(value) for name, value in found.items()}, "reasoning")
