"""What goes out: JSON, errors in OpenAI's form, and server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from me2sdk.adapters.openai_server.errors import ApiError, api_error
from me2sdk.adapters.openai_server.http import Gone, until_gone

__all__ = ["ErrorResponse", "EventStream", "JsonResponse", "event"]


class JsonResponse(Response):
    """JSON in UTF-8; a lone surrogate, which no encoding can carry, becomes a question mark."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The body."""
        return encode(content)


class ErrorResponse(JsonResponse):
    """An error in OpenAI's form."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.body, error.status, error.headers)


def encode(value: Any) -> bytes:
    """A value as JSON."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def event(value: Any, name: str | None = None) -> bytes:
    """A server-sent event; ``encode`` leaves no line breaks in it."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + encode(value) + b"\n\n"


class EventStream(Response):
    """Server-sent events. What fails once the first has been sent goes out as an event, too.

    Args:
        first: the first event.
        rest: the others.
    """

    media_type = "text/event-stream"

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._first, self._rest = first, rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; `Gone` if the client goes away."""
        async with aclosing(self._rest):
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await until_gone(receive, self._pump(send))
            await send({"type": "http.response.body", "body": b""})

    async def _pump(self, send: Send) -> None:
        async def out(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        await out(self._first)
        try:
            async for data in self._rest:
                await out(data)
        except Gone:
            raise
        except Exception as error:
            await out(event(api_error(error).body, "error"))
