"""The server as an application, in this thread, or in one of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

try:
    from me2sdk.adapters.openai_server.app import build
    from me2sdk.adapters.openai_server.core import Core
    from me2sdk.adapters.openai_server.run import Server, run, signals_caught
except ImportError as error:
    raise ImportError(
        f"me2sdk.adapters.openai_server needs Starlette, uvicorn and prometheus_client ({error}). "
        'Run: pip install "me2sdk[server]"'
    ) from error

from me2sdk._sync import start
from me2sdk.adapters.openai_server.settings import ServerSettings

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["ServerSettings", "create_app", "serve", "serving"]


def create_app(settings: ServerSettings) -> Starlette:
    """The server as an ASGI application.

    Mounted in another application, it loads its scorers when the first request comes or ``/healthz`` is first asked.

    Args:
        settings: how it is set up; ``host``, ``port`` and ``grace`` are for `serve`.

    Raises:
        ConfigurationError: a model or scorer cannot work.
    """
    return build(Core(settings))


def serve(
    settings: ServerSettings, *, on_start: Callable[[str], None] | None = None, access_log: bool = False
) -> None:
    """Run the server until SIGTERM or Ctrl-C; running requests are then finished, for at most ``settings.grace`` s.

    Args:
        settings: how it is set up.
        on_start: called with the server's URL once it listens.
        access_log: log each request to the logger ``uvicorn.access``.

    Raises:
        ConfigurationError: it cannot listen, or a model or scorer cannot work.
    """
    with signals_caught() as caught:

        def started(server: Server, url: str) -> None:
            server.should_exit = server.should_exit or bool(caught)
            if on_start is not None:
                on_start(url)

        asyncio.run(run(settings, started, lambda url: None, access_log))


@contextmanager
def serving(settings: ServerSettings) -> Iterator[str]:
    """Run the server beside the caller while the ``with`` block runs, for tests and notebooks.

    Args:
        settings: how it is set up; ``port=0`` takes a free port.

    Yields:
        the server's URL, without ``/v1``, once everything is loaded.

    Raises:
        ConfigurationError: it cannot listen, or a model or scorer cannot work.
    """
    servers: list[Server] = []
    ready: Future[Any] = Future()
    running: Future[Any] = start(
        run(settings, lambda server, url: servers.append(server), ready.set_result, False)
    )
    wait((running, ready), return_when=FIRST_COMPLETED)
    try:
        if ready.done():
            yield ready.result()
    finally:
        for server in servers:
            server.should_exit = True
        running.result()
