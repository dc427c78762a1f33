"""What every route checks of a request: its body, its bearer token, and whether the client is still connected."""

from __future__ import annotations

import asyncio
import hmac
import json
import math
from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any, TypeVar

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from me2sdk.adapters.openai_server.errors import ApiError, timed_out
from me2sdk.llm import clean_json

__all__ = [
    "ClientDisconnected",
    "check_key",
    "in_time",
    "read_body",
    "read_json",
    "until_disconnected",
    "with_write_timeout",
]

_READ_SECONDS = 60.0  # in which a body must arrive
_WRITE_SECONDS = 60.0  # in which a client must read what is sent to it
T = TypeVar("T")


class ClientDisconnected(Exception):
    """The client left, so nobody waits for the response."""


async def until_disconnected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Do ``work``, and cancel it if the client leaves meanwhile. The request's body must have been read.

    Raises:
        ClientDisconnected: the client left.
    """
    task, watch = asyncio.create_task(work), asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnected
        return task.result()
    finally:
        for one in (task, watch):
            one.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def in_time(ends: float, work: Awaitable[T]) -> T:
    """Do ``work``, but no longer than until ``ends``, on the event loop's clock.

    Raises:
        ApiError: it takes longer.
    """
    try:
        async with asyncio.timeout_at(ends) as limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise timed_out() from None
        raise


def with_write_timeout(send: Send) -> Send:
    """``send``, which raises `ClientDisconnected` for a client that does not read what it is sent."""

    async def send_in_time(message: Message) -> None:
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                await send(message)
        except (TimeoutError, OSError):  # some ASGI servers raise an OSError when the client has left
            raise ClientDisconnected from None

    return send_in_time


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The body of a request.

    Args:
        scope: the request's ASGI scope.
        receive: the request's ASGI channel.
        limit: bytes that it may have.

    Raises:
        ApiError: it is larger, does not arrive, or its content type is not JSON.
        ClientDisconnected: the client left.
    """
    too_large = ApiError(413, f"The body is larger than {limit} bytes. Send less.", code="body_too_large")
    if not Headers(scope=scope).get("content-type", "").lower().startswith("application/json"):
        # A web page can send other types from a visitor's browser without a CORS preflight.
        raise ApiError(415, "Send the body as JSON, with 'Content-Type: application/json'.")
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise too_large
    parts, size, more = [], 0, True
    try:
        async with asyncio.timeout(_READ_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnected
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                more = message.get("more_body", False)
                if size > limit:
                    raise too_large
    except TimeoutError:
        raise ApiError(408, f"The body did not arrive within {_READ_SECONDS:g} s. Send it again.") from None
    return b"".join(parts)


def read_json(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; lone surrogates become U+FFFD.

    Raises:
        ApiError: it is anything else.
    """
    try:
        value = clean_json(json.loads(body, parse_constant=_refuse, parse_float=_finite))
    except (ValueError, RecursionError) as error:
        reason = (
            "nested too deeply" if isinstance(error, RecursionError) else f"{type(error).__name__}: {error}"
        )
        raise ApiError(400, f"The body is not valid JSON ({reason[:200]}).", code="invalid_json") from None
    if not isinstance(value, dict):
        raise ApiError(
            400, f"The body is a JSON {type(value).__name__}; send an object.", code="invalid_json"
        )
    return value


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large")
    return value


def check_key(headers: Mapping[str, str], key: str | None) -> None:
    """Compare the bearer token with ``key``, in constant time.

    Raises:
        ApiError: they differ.
    """
    if key is None:
        return
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(errors="replace"), key.encode()):
        raise ApiError(
            401,
            "The API key is missing or wrong. Send the server's key as 'Authorization: Bearer …'.",
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )
