"""LlamaIndex's messages in OpenAI's form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ThinkingBlock, ToolCallBlock
from llama_index.core.llms.llm import ToolSelection

from me2sdk.schema import Message, Question

__all__ = ["Asked", "as_message", "question"]

Asked = Sequence[ChatMessage] | str
_ROLES = {"chatbot": "assistant", "model": "assistant", "function": "tool"}


def question(asked: Asked) -> Question:
    """A chat in OpenAI's form; images and other files are skipped."""
    if isinstance(asked, str):
        return asked
    return [{**as_message(m), "role": _ROLES.get(m.role.value, m.role.value)} for m in asked]


def as_message(message: ChatMessage) -> Message:
    """A message as an assistant message in OpenAI's form."""
    thoughts = [
        block.content for block in message.blocks if isinstance(block, ThinkingBlock) and block.content
    ]
    reasoning = "\n\n".join(thoughts) or message.additional_kwargs.get("reasoning_content")
    calls = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    fields = {
        "reasoning_content": reasoning,
        "tool_calls": [_call(c) for c in calls or message.additional_kwargs.get("tool_calls") or ()],
        "refusal": message.additional_kwargs.get("refusal"),
    }
    given = {name: value for name, value in fields.items() if value}
    return {"role": "assistant", "content": message.content or "", **given}


def _call(call: Any) -> Any:
    if not isinstance(call, ToolCallBlock | ToolSelection):
        return call  # already in OpenAI's form
    given = call.tool_kwargs
    arguments = given if isinstance(given, str) else json.dumps(given, default=str)
    identifier = call.tool_call_id if isinstance(call, ToolCallBlock) else call.tool_id
    return {"id": identifier, "function": {"name": call.tool_name, "arguments": arguments}}
