"""A real OpenAI-compatible HTTP server on 127.0.0.1 that can be told to fail.

::

    with OpenAIServer("The answer is 42.") as server:                     # always the same text
        LLM("openai/test", api_base=server.url, api_key="sk-test")

    OpenAIServer([error(429, retry_after=2), "fine"])                     # in order of arrival, then "42"
    OpenAIServer(lambda request: Reply(f"You said {request.text}"))       # decided by the request

A behaviour is a text, a `Reply`, an `Error`, or one of `HANG` (no answer until the server closes or the
client leaves), `CUT` (the connection breaks in the middle of the body), `MALFORMED` (a body that is not JSON)
and `EMPTY` (a completion without choices). Afterwards `server.requests` holds what arrived, and
`server.max_in_flight` how many were being answered at once. `server.gate.clear()` keeps every request waiting
until `server.gate.set()`; `server.wait_for(lambda: server.in_flight == 4)` waits for a state without
sleeping.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from me2sdk.testing import FakeModel

HANG, CUT, MALFORMED, EMPTY = "\0hang", "\0cut", "\0malformed", "\0empty"
_PATIENCE = 60.0  # seconds after which a wait in a test counts as failed


@dataclass(frozen=True)
class Reply:
    """A completion.

    Attributes:
        content: the text of the first choice, or one text a choice.
        fields: more fields of the message, e.g. ``{"reasoning_content": "..."}`` or ``{"tool_calls":
            [...]}``.
        finish_reason: why the model stopped.
        usage: tokens of the prompt and of one choice, or None to report no usage.
        honours_n: False for a server that ignores ``n`` and returns one choice.
        choice: more fields of each choice, e.g. ``{"native_finish_reason": "MAX_TOKENS"}``.
    """

    content: str | list[str] | None = "42"
    fields: dict[str, Any] = field(default_factory=dict)
    finish_reason: str = "stop"
    usage: tuple[int, int] | None = (7, 5)
    honours_n: bool = True
    choice: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Error:
    """An HTTP error with an OpenAI-style body."""

    status: int
    message: str
    headers: dict[str, str] = field(default_factory=dict)


def error(status: int, message: str = "injected fault", *, retry_after: float | str | None = None) -> Error:
    """An HTTP error. ``retry_after``: seconds or an HTTP date. "{key}" in the message echoes the API key."""
    return Error(status, message, {} if retry_after is None else {"Retry-After": str(retry_after)})


@dataclass(frozen=True)
class Request:
    """One request as it arrived: its number (from 0), JSON body and headers (names in lower case)."""

    number: int
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def text(self) -> str:
        """The content of the last message."""
        return str(self.body["messages"][-1]["content"])

    @property
    def key(self) -> str:
        """The API key that the client sent."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")


Behaviour = str | Reply | Error


def answering(model: FakeModel) -> Callable[[Request], str]:
    """The behaviour of a server that answers as ``model``."""
    return lambda request: model.answer(**request.body)


class OpenAIServer:
    """The server; use it as a context manager. See the module's docstring."""

    def __init__(
        self, behaviour: Behaviour | Iterable[Behaviour] | Callable[[Request], Behaviour] = "42"
    ) -> None:
        self._behaviour = (
            behaviour if isinstance(behaviour, (str, Reply, Error)) or callable(behaviour) else None
        )
        self._script = list(behaviour) if self._behaviour is None else []  # type: ignore[arg-type]
        self.requests: list[Request] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self.left = 0  # requests whose client went away while they hung
        self.gate = threading.Event()
        self.gate.set()
        self._closing = threading.Event()
        self._changed = threading.Condition()
        self._connections: set[socket.socket] = set()
        self._http = _HTTPServer(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """What to pass as ``api_base``."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> OpenAIServer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.set()
        self.gate.set()
        self._http.shutdown()
        self._thread.join()
        with self._changed:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):  # the client closed it first
                connection.shutdown(socket.SHUT_RDWR)
        self._http.server_close()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition()`` holds; it is looked at whenever a request comes or goes."""
        with self._changed:
            if not self._changed.wait_for(condition, _PATIENCE):
                raise AssertionError(
                    f"waited {_PATIENCE} s; {self.in_flight} requests in flight, {self.left} left"
                )

    def _arrive(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[Request, Behaviour]:
        with self._changed:
            request = Request(len(self.requests), body, headers)
            self.requests.append(request)
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            self._changed.notify_all()
            if callable(self._behaviour):
                return request, self._behaviour(request)
            if self._behaviour is not None:
                return request, self._behaviour
            return request, self._script.pop(0) if self._script else Reply()

    def _leave(self, gone: bool) -> None:
        with self._changed:
            self.in_flight -= 1
            self.left += gone
            self._changed.notify_all()


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 256  # the default of 5 refuses bursts
    owner: OpenAIServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that leave early are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _HTTPServer
    _special: ClassVar[tuple[str, ...]] = (HANG, CUT, MALFORMED, EMPTY)

    def setup(self) -> None:
        super().setup()
        with self.server.owner._changed:
            self.server.owner._connections.add(self.connection)

    def finish(self) -> None:
        with self.server.owner._changed:
            self.server.owner._connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test output clean."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        owner = self.server.owner
        request, behaviour = owner._arrive(
            body, {name.lower(): value for name, value in self.headers.items()}
        )
        gone = False
        try:
            owner.gate.wait(_PATIENCE)
            if not self.path.endswith("/chat/completions"):
                behaviour = error(404, f"no such path: {self.path}")
            if behaviour == HANG:
                gone = self._hang()
                self.close_connection = True
                return
            status, headers, payload = _render(request, behaviour)
        finally:
            # Over before the answer leaves, so that the client's next request cannot overlap with it.
            owner._leave(gone)
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        headers = {"Content-Type": "application/json", **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} x\r\n{head}Content-Length: {len(data)}\r\n\r\n"
        if behaviour == CUT:
            data = data[: len(data) // 2]
            self.close_connection = True
        self.connection.sendall(head.encode() + data)

    def _hang(self) -> bool:
        """Wait for the server to close (False) or the client to leave (True)."""
        started = time.monotonic()
        while not self.server.owner._closing.is_set() and time.monotonic() - started < _PATIENCE:
            readable, _, _ = select.select([self.connection], [], [], 0.02)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                return True
        return False


def _render(request: Request, behaviour: Behaviour) -> tuple[int, dict[str, str], Any]:
    if isinstance(behaviour, Error):
        message = behaviour.message.replace("{key}", request.key)
        return (
            behaviour.status,
            behaviour.headers,
            {"error": {"message": message, "type": "injected", "code": None}},
        )
    if behaviour == MALFORMED:
        return 200, {}, b'{"id": "x", "choices": [{"mess'
    reply = (
        behaviour if isinstance(behaviour, Reply) else Reply("42" if behaviour in (CUT, EMPTY) else behaviour)
    )
    count = request.body.get("n") or 1 if reply.honours_n else 1
    texts = reply.content if isinstance(reply.content, list) else [reply.content] * count
    choices = [
        {
            "index": index,
            "finish_reason": reply.finish_reason,
            "message": {"role": "assistant", "content": text, **reply.fields},
            **reply.choice,
        }
        for index, text in enumerate(texts[:count])
    ]
    completion: dict[str, Any] = {
        "id": f"chatcmpl-{request.number}",
        "object": "chat.completion",
        "created": 1,
        "model": request.body["model"],
        "choices": [] if behaviour == EMPTY else choices,
    }
    if reply.usage is not None:
        prompt, each = reply.usage
        total = each * len(choices)
        completion["usage"] = {
            "prompt_tokens": prompt,
            "completion_tokens": total,
            "total_tokens": prompt + total,
        }
    if request.body.get("stream"):
        return 200, {"Content-Type": "text/event-stream"}, _events(completion)
    return 200, {}, completion


def _events(completion: dict[str, Any]) -> bytes:
    """A completion as server-sent events: the text of each choice in two halves, the usage last."""
    head = {**completion, "object": "chat.completion.chunk"}
    usage = head.pop("usage", None)
    chunks = []
    for choice in completion["choices"]:
        fields = dict(choice["message"])
        text = fields.pop("content") or ""
        calls = [{"index": i, **call} for i, call in enumerate(fields.pop("tool_calls", None) or [])]
        halves = [{"content": half} for half in (text[: len(text) // 2], text[len(text) // 2 :]) if half]
        deltas = [fields, *halves, *([{"tool_calls": calls}] if calls else [])]
        parts = [{"index": choice["index"], "delta": delta, "finish_reason": None} for delta in deltas]
        parts.append({"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]})
        chunks += [{**head, "choices": [part]} for part in parts]
    chunks += [{**head, "choices": [], "usage": usage}] if usage else []
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()
