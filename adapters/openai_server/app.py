"""The ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from me2sdk.adapters.openai_server.answers import ErrorResponse
from me2sdk.adapters.openai_server.core import Core
from me2sdk.adapters.openai_server.errors import ApiError
from me2sdk.adapters.openai_server.metrics import Measured
from me2sdk.adapters.openai_server.routes import PATHS, routes

__all__ = ["build"]

_SAID = {404: "There is no such path here.", 405: "This path takes another method."}


def build(core: Core) -> Starlette:
    """The application over what its requests share."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        loading = core.load()  # beside requests, so that /healthz can be asked meanwhile
        yield
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)

    return Starlette(
        routes=routes(core),
        lifespan=lifespan,
        middleware=[Middleware(Measured, metrics=core.metrics, routes=PATHS)],
        exception_handlers={HTTPException: _refuse, ApiError: _refuse},
    )


async def _refuse(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        said = _SAID.get(error.status_code, error.detail)
        error = ApiError(error.status_code, said, headers=dict(error.headers or {}))
    assert isinstance(error, ApiError)
    return ErrorResponse(error)
