"""The server: as an application, in this thread, or in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

try:
    from me2sdk.adapters.openai_server.app import build_app
    from me2sdk.adapters.openai_server.core import Core
    from me2sdk.adapters.openai_server.run import Server, collect_signals, run
except ImportError as error:
    raise ImportError(
        f"me2sdk.adapters.openai_server needs Starlette, uvicorn and prometheus_client ({error}). "
        'Run: pip install "me2sdk[server]"'
    ) from error

from me2sdk._sync import start
from me2sdk.adapters.openai_server.config import ServerConfig

if TYPE_CHECKING:
    from starlette.applications import Starlette

__all__ = ["create_app", "serve", "serving"]


def create_app(config: ServerConfig) -> Starlette:
    """The server as an ASGI application.

    Mounted in another application, it loads its scorers on the first request, which may be one for ``/healthz``.

    Args:
        config: its configuration; ``host``, ``port`` and ``grace`` are for `serve`.

    Raises:
        ConfigurationError: a model or scorer cannot work.
    """
    return build_app(Core(config))


def serve(
    config: ServerConfig, *, on_start: Callable[[str], None] | None = None, access_log: bool = False
) -> None:
    """Run the server until SIGTERM or Ctrl-C. Running requests may then finish, within ``config.grace`` seconds.

    Args:
        config: its configuration.
        on_start: called with the server's URL once it listens.
        access_log: log each request to the logger ``uvicorn.access``.

    Raises:
        ConfigurationError: it cannot listen, or a model or scorer cannot work.
    """
    with collect_signals() as caught:

        def started(server: Server, url: str) -> None:
            server.should_exit = server.should_exit or bool(caught)
            if on_start is not None:
                on_start(url)

        asyncio.run(run(config, started, lambda url: None, access_log))


@contextmanager
def serving(config: ServerConfig) -> Iterator[str]:
    """Run the server in a background thread for the ``with`` block, as in tests and notebooks.

    Args:
        config: its configuration; ``port=0`` takes a free port.

    Yields:
        The server's URL, without ``/v1``, once everything is loaded.

    Raises:
        ConfigurationError: it cannot listen, or a model or scorer cannot work.
    """
    servers: list[Server] = []
    ready: Future[Any] = Future()
    running: Future[Any] = start(
        run(config, lambda server, url: servers.append(server), ready.set_result, False)
    )
    wait((running, ready), return_when=FIRST_COMPLETED)
    try:
        if ready.done():
            yield ready.result()
    finally:
        for server in servers:
            server.should_exit = True
        running.result()
