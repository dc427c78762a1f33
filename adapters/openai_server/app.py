"""The ASGI application: its routes, and what each request passes through before and after its handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from me2sdk.adapters.openai_server.chat import chat
from me2sdk.adapters.openai_server.core import Core
from me2sdk.adapters.openai_server.errors import ApiError, api_error
from me2sdk.adapters.openai_server.http import (
    ClientDisconnected,
    check_key,
    in_time,
    read_body,
    read_json,
    until_disconnected,
    with_write_timeout,
)
from me2sdk.adapters.openai_server.metrics import MetricsMiddleware
from me2sdk.adapters.openai_server.openapi import document
from me2sdk.adapters.openai_server.responses import ErrorResponse, JsonResponse
from me2sdk.adapters.openai_server.responses_api import respond
from me2sdk.adapters.openai_server.scoring import embeddings, rerank, score

__all__ = ["build_app"]

Handler = Callable[[Core, Headers, dict[str, Any], float], Awaitable[Response]]
_HANDLERS: dict[str, Handler] = {
    "/v1/chat/completions": chat,
    "/v1/responses": respond,
    "/v1/score": score,
    "/v1/rerank": rerank,
    "/v1/embeddings": embeddings,
}
_PATHS = (*_HANDLERS, "/v1/models", "/openapi.json", "/healthz", "/healthz/live", "/metrics")
_MESSAGES = {404: "There is no such path here.", 405: "This path takes another method."}


def build_app(core: Core) -> Starlette:
    """Build the application.

    Args:
        core: what its requests share.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        loading = core.load()  # while requests are served, so that /healthz can be asked meanwhile
        yield
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)

    return Starlette(
        routes=[
            *(
                Route(path, _PostRoute(core, handler), methods=["POST"])
                for path, handler in _HANDLERS.items()
            ),
            Route("/v1/models", partial(_models, core)),
            Route("/v1/models/{name:path}", partial(_models, core)),
            Route("/openapi.json", _openapi),
            Route("/healthz", partial(_health, core)),
            Route("/healthz/live", partial(_live, core)),
            Route("/metrics", partial(_metrics, core)),
        ],
        lifespan=lifespan,
        middleware=[Middleware(MetricsMiddleware, metrics=core.metrics, routes=_PATHS), *_cors(core)],
        exception_handlers={HTTPException: _error_response, ApiError: _error_response},
    )


def _cors(core: Core) -> list[Middleware]:
    origins = core.config.cors_origins
    if not origins:
        return []
    seen = ("retry-after", "x-me2-abstained", "x-me2-chosen-by", "x-me2-confidence")
    # Any header, since OpenAI's client in a browser sends several of its own. No cookies: the key is in a header.
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            expose_headers=seen,
        )
    ]


class _PostRoute:
    """A route that does work: key, slot, body, deadline, handler, response. It ends as soon as the client leaves."""

    def __init__(self, core: Core, handler: Handler) -> None:
        self._core = core
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        core, headers, send = self._core, Headers(scope=scope), with_write_timeout(send)
        ends = asyncio.get_running_loop().time() + core.config.timeout
        try:
            check_key(headers, core.key)
            with core.limiter.slot() as slot:
                value = read_json(await read_body(scope, receive, core.config.max_body))
                if core.limiter.full:
                    await until_disconnected(receive, in_time(ends, slot.acquire()))
                else:
                    await slot.acquire()
                work = in_time(ends, self._handler(core, headers, value, ends))
                response = await until_disconnected(receive, work)
                await response(scope, receive, send)
        except ClientDisconnected:
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
    # An app that is mounted in another one may never get a startup event, so this request loads the scorers, too.
    task = core.load()
    failed = task.done() and not core.loaded
    state = "ok" if core.loaded else "failed" if failed else "loading"
    return JsonResponse({"status": state, "scorers": list(core.scorers)}, 200 if core.loaded else 503)


async def _openapi(request: Request) -> Response:
    return JsonResponse(document())


async def _live(core: Core, request: Request) -> Response:
    return JsonResponse({"status": "ok"})


async def _metrics(core: Core, request: Request) -> Response:
    return Response(core.metrics.render(), headers={"content-type": CONTENT_TYPE_LATEST})


async def _error_response(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        message = _MESSAGES.get(error.status_code, error.detail)
        error = ApiError(error.status_code, message, headers=dict(error.headers or {}))
    assert isinstance(error, ApiError)
    return ErrorResponse(error)
