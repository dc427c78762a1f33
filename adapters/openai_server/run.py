"""Running the application: a socket, uvicorn, signals."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn

from me2sdk.adapters.openai_server.app import build
from me2sdk.adapters.openai_server.core import Core
from me2sdk.adapters.openai_server.settings import ServerSettings
from me2sdk.errors import ConfigurationError

__all__ = ["Server", "listen", "run", "signals_caught"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_BACKLOG = 2048
OnStart = Callable[["Server", str], None]
OnReady = Callable[[str], None]


class Server(uvicorn.Server):
    """uvicorn's server, which tells when it listens.

    Args:
        config: as uvicorn takes it.
        on_start: called then.

    Attributes:
        listening: set then, too.
    """

    def __init__(self, config: uvicorn.Config, on_start: Callable[[Server], None]) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self._on_start(self)
        self.listening.set()


async def run(settings: ServerSettings, on_start: OnStart, on_ready: OnReady, access_log: bool) -> None:
    """Serve until the server is told to exit, or a scorer cannot be loaded.

    Args:
        settings: how it is set up.
        on_start: called with uvicorn's server and the URL once it listens.
        on_ready: called with the URL once everything is loaded, too.
        access_log: log each request.

    Raises:
        ConfigurationError: it cannot listen, or a model or scorer cannot work.
    """
    core = Core(settings)
    config = uvicorn.Config(
        build(core),
        ws="none",
        log_config=None,
        access_log=access_log,
        server_header=False,
        # Longer than clients keep idle connections, or they would send into one that is being closed.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(settings.grace)),
    )
    listener = listen(settings)
    url = _url(listener)
    server = Server(config, lambda server: on_start(server, url))

    async def settle() -> None:
        await server.listening.wait()
        await core.ready()
        on_ready(url)

    serving, settling = asyncio.create_task(server.serve(sockets=[listener])), asyncio.create_task(settle())
    await asyncio.wait((serving, settling), return_when=asyncio.FIRST_COMPLETED)
    server.should_exit |= settling.done() and settling.exception() is not None
    await serving
    settling.cancel()
    with suppress(asyncio.CancelledError):
        await settling


def listen(settings: ServerSettings) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        ConfigurationError: it cannot.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named, since asyncio sends small packets at once for such sockets alone; else an answer's head
    # and body would be 40 ms apart.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"Cannot listen on {settings.host}, port {settings.port}: {error.strerror or error}. "
            "Choose another host or port."
        ) from None
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextmanager
def signals_caught() -> Iterator[list[int]]:
    """Collect the signals that ask to stop, in the main thread.

    uvicorn sees them while it runs; it raises them again afterwards, which would end the process with their codes.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {number: signal.signal(number, lambda number, _: caught.append(number)) for number in _SIGNALS}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
