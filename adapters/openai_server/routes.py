"""The routes of the server, and what each request goes through before and after its handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from me2sdk.adapters.openai_server.answers import ErrorResponse, JsonResponse
from me2sdk.adapters.openai_server.chat import chat
from me2sdk.adapters.openai_server.core import Core
from me2sdk.adapters.openai_server.errors import api_error
from me2sdk.adapters.openai_server.http import (
    Gone,
    check_key,
    in_time,
    patient,
    read_body,
    read_json,
    until_gone,
)
from me2sdk.adapters.openai_server.scoring import embeddings, rerank, score

__all__ = ["PATHS", "routes"]

Handler = Callable[[Core, Headers, dict[str, Any], float], Awaitable[Response]]
_HANDLERS: dict[str, Handler] = {
    "/v1/chat/completions": chat,
    "/v1/score": score,
    "/v1/rerank": rerank,
    "/v1/embeddings": embeddings,
}
PATHS = (*_HANDLERS, "/v1/models", "/healthz", "/healthz/live", "/metrics")


class _Work:
    """A route that does work: key, place, body, deadline, handler, answer; and an end as soon as the client leaves."""

    def __init__(self, core: Core, handler: Handler) -> None:
        self._core = core
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        core, headers, send = self._core, Headers(scope=scope), patient(send)
        ends = asyncio.get_running_loop().time() + core.settings.timeout
        try:
            check_key(headers, core.key)
            with core.gate.visit() as visit:
                value = read_json(await read_body(scope, receive, core.settings.max_body))
                await until_gone(receive, in_time(ends, visit.enter()))
                response = await until_gone(receive, in_time(ends, self._handler(core, headers, value, ends)))
                await response(scope, receive, send)
        except Gone:
            raise
        except Exception as error:
            await ErrorResponse(api_error(error))(scope, receive, send)


async def _models(core: Core, request: Request) -> Response:
    check_key(request.headers, core.key)
    name = request.path_params.get("name")
    if name is None:
        return JsonResponse({"object": "list", "data": [_model(name) for name in core.models]})
    core.model(name)
    return JsonResponse(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "me2sdk"}


async def _health(core: Core, request: Request) -> Response:
    # An app that is mounted in another one may never be told that it starts, so a question starts it, too.
    task = core.load()
    failed = task.done() and not core.loaded
    state = "ok" if core.loaded else "failed" if failed else "loading"
    return JsonResponse({"status": state, "scorers": list(core.scorers)}, 200 if core.loaded else 503)


async def _live(core: Core, request: Request) -> Response:
    return JsonResponse({"status": "ok"})


async def _metrics(core: Core, request: Request) -> Response:
    return Response(core.metrics.render(), headers={"content-type": CONTENT_TYPE_LATEST})


def routes(core: Core) -> list[Route]:
    """The routes of an app."""
    return [
        *(Route(path, _Work(core, handler), methods=["POST"]) for path, handler in _HANDLERS.items()),
        Route("/v1/models", partial(_models, core)),
        Route("/v1/models/{name:path}", partial(_models, core)),
        Route("/healthz", partial(_health, core)),
        Route("/healthz/live", partial(_live, core)),
        Route("/metrics", partial(_metrics, core)),
    ]
