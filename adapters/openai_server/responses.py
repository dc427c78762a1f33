"""Responses: JSON, errors in OpenAI's form, and server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from me2sdk.adapters.openai_server.errors import ApiError, api_error
from me2sdk.adapters.openai_server.http import ClientDisconnected, until_disconnected

__all__ = ["WAITING", "ErrorResponse", "EventStream", "JsonResponse", "event"]

WAITING = b": sampling candidates\n\n"
"""A comment, which keeps proxies from hanging up."""


class JsonResponse(Response):
    """JSON in UTF-8. A lone surrogate, which no encoding can carry, becomes a question mark."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The body."""
        return _encode(content)


class ErrorResponse(JsonResponse):
    """An error in OpenAI's form."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.body, error.status, error.headers)


def _encode(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def event(value: Any, name: str | None = None) -> bytes:
    """A server-sent event; JSON without indentation holds no line breaks."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + _encode(value) + b"\n\n"


class EventStream(Response):
    """Server-sent events. An error after the first event is sent as an event, too.

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
        """Send the events.

        Raises:
            ClientDisconnected: the client left.
        """
        async with aclosing(self._rest):
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await until_disconnected(receive, self._send_events(send))
            await send({"type": "http.response.body", "body": b""})

    async def _send_events(self, send: Send) -> None:
        async def send_data(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        await send_data(self._first)
        try:
            async for data in self._rest:
                await send_data(data)
        except ClientDisconnected:
            raise
        except Exception as error:
            await send_data(event(api_error(error).body, "error"))
