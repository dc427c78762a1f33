"""Responses in OpenAI's form: whole, and as the events of a stream."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Iterator
from typing import Any

from me2sdk.adapters.openai_server.bodies import ResponsesBody
from me2sdk.adapters.openai_server.responses import WAITING, event
from me2sdk.adapters.openai_server.wire import ChatAnswer, pieces

__all__ = ["ResponseEvents", "ResponseForm"]

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponseForm:
    """The form in which a request is answered: what it says of itself, and one identifier.

    Args:
        body: the request.
        model: the name of the model that it asks.
    """

    def __init__(self, body: ResponsesBody, model: str) -> None:
        reasoning, text = body.reasoning, body.text
        self.head: dict[str, Any] = {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "model": model,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "output": [],
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": None,
            "reasoning": {"effort": reasoning.effort if reasoning else None, "summary": None},
            "store": False,
            "temperature": body.temperature,
            "text": {"format": (text.format if text else None) or {"type": "text"}},
            "tool_choice": body.tool_choice or "auto",
            "tools": body.tools or [],
            "top_p": body.top_p,
            "truncation": "disabled",
            "usage": None,
            "user": body.user,
        }

    def response(self, answer: ChatAnswer) -> dict[str, Any]:
        """The response."""
        candidate = answer.chosen[0]
        finish = answer.finish(candidate)
        reason = _INCOMPLETE.get(finish["finish_reason"])
        usage = answer.usage
        return {
            **self.head,
            "status": "incomplete" if reason else "completed",
            "incomplete_details": {"reason": reason} if reason else None,
            "output": _output(answer.message(candidate), finish, "incomplete" if reason else "completed"),
            "usage": usage and _usage(usage),
            "me2": answer.me2,
        }


def _output(message: dict[str, Any], finish: dict[str, Any], status: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    thoughts, text, refusal = (message.get(name) for name in ("reasoning_content", "content", "refusal"))
    calls = message.get("tool_calls") or ()
    legacy = message.get("function_call")
    if legacy:
        calls = ({"id": f"call_{uuid.uuid4().hex}", "function": legacy},)
    if isinstance(thoughts, str) and thoughts:
        content = [{"type": "reasoning_text", "text": thoughts}]
        items.append({"type": "reasoning", "id": f"rs_{uuid.uuid4().hex}", "summary": [], "content": content})
    if refusal or text or not calls:
        logprobs = (finish.get("logprobs") or {}).get("content") or []
        said = {"type": "output_text", "text": text or "", "annotations": [], "logprobs": logprobs}
        part = {"type": "refusal", "refusal": refusal} if refusal else said
        items.append(
            {
                "type": "message",
                "id": f"msg_{uuid.uuid4().hex}",
                "role": "assistant",
                "status": status,
                "content": [part],
            }
        )
    for call in calls:
        function = call.get("function") or {}
        items.append(
            {
                "type": "function_call",
                "id": f"fc_{uuid.uuid4().hex}",
                "call_id": call.get("id"),
                "name": function.get("name"),
                "arguments": function.get("arguments") or "",
                "status": status,
            }
        )
    return items


def _usage(usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "input_tokens": usage["prompt_tokens"],
        # Clients ask for these; upstreams do not report them for all candidates.
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage["total_tokens"],
    }


class ResponseEvents:
    """The events of a streamed response, numbered in the order in which they are made.

    Args:
        form: the form of the response.
    """

    def __init__(self, form: ResponseForm) -> None:
        self._form = form
        self._numbers = itertools.count()
        self._begun = False

    def waiting(self) -> bytes:
        """What is sent while candidates are sampled: the first events, then comments."""
        return WAITING if self._begun else self._begin()

    def written(self, answer: ChatAnswer) -> Iterator[bytes]:
        """The events of the answer."""
        if not self._begun:
            yield self._begin()
        response = self._form.response(answer)
        for index, item in enumerate(response["output"]):
            yield from self._item(index, item)
        yield self._event(f"response.{response['status']}", response=response)

    def _begin(self) -> bytes:
        self._begun = True
        head = self._form.head
        return self._event("response.created", response=head) + self._event(
            "response.in_progress", response=head
        )

    def _event(self, kind: str, **fields: Any) -> bytes:
        return event({"type": kind, "sequence_number": next(self._numbers), **fields}, kind)

    def _item(self, index: int, item: dict[str, Any]) -> Iterator[bytes]:
        where = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "function_call":
            empty, parts = {**item, "status": "in_progress", "arguments": ""}, []
        else:
            empty, parts = {**item, "content": []}, item["content"]
            empty |= {"status": "in_progress"} if "status" in item else {}
        yield self._event("response.output_item.added", output_index=index, item=empty)
        for place, part in enumerate(parts):
            yield from self._part({**where, "content_index": place}, part)
        if item["type"] == "function_call":
            kind, arguments = "response.function_call_arguments", item["arguments"]
            for piece in pieces(arguments):
                yield self._event(f"{kind}.delta", **where, delta=piece)
            yield self._event(f"{kind}.done", **where, name=item["name"], arguments=arguments)
        yield self._event("response.output_item.done", output_index=index, item=item)

    def _part(self, where: dict[str, Any], part: dict[str, Any]) -> Iterator[bytes]:
        kind = part["type"]
        field = "refusal" if kind == "refusal" else "text"
        more: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        yield self._event("response.content_part.added", **where, part={**part, field: ""})
        for piece in pieces(part[field]):
            yield self._event(f"response.{kind}.delta", **where, delta=piece, **more)
        more = {"logprobs": part["logprobs"]} if kind == "output_text" else {}
        yield self._event(f"response.{kind}.done", **where, **{field: part[field]}, **more)
        yield self._event("response.content_part.done", **where, part=part)
