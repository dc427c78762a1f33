"""Calls, messages and scores by OpenTelemetry's semantic conventions for generative AI."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from me2sdk.adapters._shared.attributes import model_of, request_parameters
from me2sdk.llm import Answer
from me2sdk.schema import Message, Question

__all__ = ["evaluation", "messages", "request", "response"]

# The conventions' names of providers that LiteLLM names otherwise.
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "cohere_chat": "cohere",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}


def request(name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a call before it is made."""
    model, provider = model_of(name, facts)
    params = facts["params"]
    found = {f"gen_ai.request.{key}": value for key, value in request_parameters(params).items()}
    found |= {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
        "gen_ai.request.model": model,
    }
    if params.get("n", 1) != 1:
        found["gen_ai.request.choice.count"] = params["n"]
    server = urlsplit(str(params.get("api_base") or ""))
    if server.hostname:
        found["server.address"] = server.hostname
        found["server.port"] = server.port or (80 if server.scheme == "http" else 443)
    return found


def response(answer: Answer) -> dict[str, Any]:
    """Attributes of a call that was answered."""
    raw = answer.choices[0].raw
    reasons = [choice.finish_reason for choice in answer.choices]
    found = {
        "gen_ai.response.finish_reasons": reasons if all(reasons) else None,
        "gen_ai.response.id": getattr(raw, "id", None),
        "gen_ai.response.model": getattr(raw, "model", None),
        "gen_ai.usage.input_tokens": answer.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": answer.usage.completion_tokens,
    }
    return {name: value for name, value in found.items() if value is not None}


def evaluation(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of the event with a candidate's score, or with the reason why there is none."""
    failure, score = facts.get("failure"), facts["candidate"].score
    found = {
        "gen_ai.evaluation.name": facts["scorer"],
        "gen_ai.evaluation.score.value": score,
        "error.type": failure and failure.error,
    }
    return {name: value for name, value in found.items() if value is not None}


def messages(chat: Question, reasons: list[str | None] | None = None) -> str:
    """Chat messages as the JSON of ``gen_ai.input.messages``, or with finish reasons of ``gen_ai.output.messages``."""
    chat = [{"role": "user", "content": chat}] if isinstance(chat, str) else chat
    found = [{"role": str(message.get("role")), "parts": _parts(message)} for message in chat]
    for message, reason in zip(found, reasons or (), strict=False):
        message["finish_reason"] = reason or "stop"
    return json.dumps(found, ensure_ascii=False, default=str)


def _parts(message: Message) -> list[dict[str, Any]]:
    content = message.get("content")
    if message.get("role") == "tool":
        return [{"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}]
    parts = []
    if thinking := message.get("reasoning_content"):
        parts.append({"type": "reasoning", "content": thinking})
    for part in (
        content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
    ):
        if isinstance(part, dict) and part.get("type") == "text":
            parts.append({"type": "text", "content": part.get("text")})
        else:  # an image or a file: only its type, not its megabytes
            parts.append({"type": str(part.get("type")) if isinstance(part, dict) else "text"})
    if refusal := message.get("refusal"):
        parts.append({"type": "text", "content": refusal})
    legacy = message.get("function_call")
    for call in [*(message.get("tool_calls") or ()), *([{"function": legacy}] if legacy else ())]:
        function = call.get("function") or call.get("custom") or {}
        parts.append(
            {
                "type": "tool_call",
                "id": call.get("id"),
                "name": function.get("name"),
                "arguments": function.get("arguments", function.get("input")),
            }
        )
    return parts
