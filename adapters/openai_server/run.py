"""Running the application: a socket, uvicorn, signals."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn

from me2sdk.adapters.openai_server.app import build_app
from me2sdk.adapters.openai_server.config import ServerConfig
from me2sdk.adapters.openai_server.core import Core
from me2sdk.errors import ConfigurationError

__all__ = ["Server", "collect_signals", "listen", "run"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_BACKLOG = 2048
OnStart = Callable[["Server", str], None]
OnReady = Callable[[str], None]


class Server(uvicorn.Server):
    """uvicorn's server, with a callback for when it listens.

    Args:
        config: as uvicorn takes it.
        on_start: called when it listens.

    Attributes:
        listening: set when it listens.
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


async def run(config: ServerConfig, on_start: OnStart, on_ready: OnReady, access_log: bool) -> None:
    """Serve until ``should_exit`` is set or a scorer cannot be loaded.

    Args:
        config: its configuration.
        on_start: called with uvicorn's server and the URL once it listens.
        on_ready: called with the URL once it listens and everything is loaded.
        access_log: log each request.

    Raises:
        ConfigurationError: it cannot listen, or a model or scorer cannot work.
    """
    core = Core(config)
    password = config.ssl_keyfile_password
    uvicorn_config = uvicorn.Config(
        build_app(core),
        ssl_certfile=config.ssl_certfile,
        ssl_keyfile=config.ssl_keyfile,
        ssl_keyfile_password=password.get_secret_value() if password else None,
        ssl_ca_certs=config.ssl_ca_certs,
        ssl_cert_reqs=ssl.CERT_REQUIRED if config.ssl_ca_certs else ssl.CERT_NONE,
        ws="none",
        log_config=None,
        access_log=access_log,
        server_header=False,
        # Longer than clients keep idle connections, so that none sends into one that is being closed.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(config.grace)),
    )
    try:
        uvicorn_config.load()
    except OSError as error:  # errors of TLS are some of these
        raise ConfigurationError(
            f"The certificate or its key cannot be used: {error}. Check the ssl options."
        ) from None
    listener = listen(config)
    url = _url(listener, "https" if config.ssl_certfile else "http")
    server = Server(uvicorn_config, lambda server: on_start(server, url))

    async def announce() -> None:
        await server.listening.wait()
        await core.ready()
        on_ready(url)

    serving, loading = asyncio.create_task(server.serve(sockets=[listener])), asyncio.create_task(announce())
    await asyncio.wait((serving, loading), return_when=asyncio.FIRST_COMPLETED)
    # A server that is stopped while it loads cancels the loading, which is not a failure.
    server.should_exit |= loading.done() and not loading.cancelled() and loading.exception() is not None
    await serving
    loading.cancel()
    with suppress(asyncio.CancelledError):
        await loading


def listen(config: ServerConfig) -> socket.socket:
    """A socket that listens at the host and port of ``config``.

    Raises:
        ConfigurationError: it cannot.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # asyncio sets TCP_NODELAY only on sockets whose protocol is named; without it, the head and the body of a response
    # would be 40 ms apart.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((config.host, config.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"Cannot listen on {config.host}, port {config.port}: {error.strerror or error}. "
            "Choose another host or port."
        ) from None
    return listener


def _url(listener: socket.socket, scheme: str) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


@contextmanager
def collect_signals() -> Iterator[list[int]]:
    """Collect the signals that ask to stop, in the main thread.

    uvicorn handles them while it runs and raises them again afterwards, which would end the process with their codes.
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
