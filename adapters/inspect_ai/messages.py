"""Inspect's messages and outputs in OpenAI's form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from me2sdk.adapters._shared import Answered, finished
from me2sdk.schema import Message

if TYPE_CHECKING:
    from inspect_ai.model import ChatMessage, ModelOutput

__all__ = ["answered", "as_message"]


def answered(output: ModelOutput) -> Answered[ModelOutput]:
    """An output in the form that `abest_native` reads."""
    return Answered(
        output,
        as_message(output.message),
        finish_reason=finished(output.stop_reason),
        prompt_tokens=output.usage.input_tokens if output.usage else None,
        completion_tokens=output.usage.output_tokens if output.usage else None,
    )


def as_message(message: ChatMessage) -> Message:
    """A message in OpenAI's form; images and other files are skipped."""
    turn: Message = {"role": message.role, "content": message.text}
    if message.role == "tool":
        turn["tool_call_id"] = message.tool_call_id
    if message.role == "assistant":
        parts = [part for part in message.content_list if part.type == "reasoning"]
        thoughts = (part.summary if part.redacted else part.reasoning for part in parts)
        refused = (part.text for part in message.content_list if part.type == "text" and part.refusal)
        turn["refusal"] = "\n".join(refused)
        turn["reasoning_content"] = "\n\n".join(filter(None, thoughts))
        turn["tool_calls"] = [
            {"id": call.id, "function": {"name": call.function, "arguments": json.dumps(call.arguments)}}
            for call in message.tool_calls or []
        ]
    return {key: value for key, value in turn.items() if value or key in ("role", "content")}
