"""A real HTTP server on 127.0.0.1 that speaks the protocols of SGLang, vLLM and TEI, and can misbehave."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@dataclass
class ScoringServer:
    """Use as a context manager; ``url`` is its address.

    Attributes:
        score: the logits of some texts, or of whatever else the requests hold: lists of token ids, or one chat.
        fault: how every answer is to go wrong, or None: "500", "503", "429", "cut" (the connection closes
            within the answer), "short" (one score too few), "reversed" (out of order, with right indices),
            "activated" (a sigmoid that cannot be switched off), "nan", "null", "embedding" (many numbers),
            "bad-index", "html", "too-long" (refused with 400), "hang" (no answer until `release` is set).
        times: how many answers go wrong; None means all.
        api_key: the bearer token to ask for, or None.
        requests: (path, body) of all requests.
        peak: most requests that were in work at the same time.
        barrier: if set, no request is answered before that many are in work.
    """

    score: Callable[[list[Any]], list[float]]
    fault: str | None = None
    times: int | None = None
    api_key: str | None = None
    barrier: threading.Barrier | None = None
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    peak: int = 0
    release: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._busy = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        # The default, half a second, would be waited for at the end of every test.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> ScoringServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    def _take_fault(self) -> str | None:
        with self._lock:
            if self.fault is None or self.times == 0:
                return None
            if self.times is not None:
                self.times -= 1
            return self.fault

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            self.requests.append((handler.path, body))
            self._busy += 1
            self.peak = max(self.peak, self._busy)
        self.arrived.set()
        if self.barrier is not None:
            self.barrier.wait(timeout=10)
        try:
            self._reply(handler, body)
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True
        finally:
            with self._lock:
                self._busy -= 1

    def _reply(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        given = handler.headers.get("Authorization")
        if self.api_key is not None and given != f"Bearer {self.api_key}":
            return _send(handler, 401, {"error": f"no access with {given}"})
        fault = self._take_fault()
        if fault == "hang":
            self.release.wait(timeout=30)
            return _send(handler, 503, {"error": "too late"})
        if fault in ("500", "503", "429"):
            return _send(handler, int(fault), {"error": f"broken, and {given} was sent"})
        if fault == "too-long":
            return _send(handler, 400, {"error": "the input has 9000 tokens, the context 8192"})
        if fault == "html":
            return _send(handler, 200, "<html>a proxy's page</html>")
        build = {"/v1/embeddings": self._sglang, "/classify": self._vllm, "/predict": self._tei}.get(
            handler.path
        )
        if build is None:
            return _send(handler, 404, {"error": "no such path"})
        payload = json.dumps(build(body, fault)).encode()
        if fault == "cut":
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(payload)))
            handler.end_headers()
            handler.wfile.write(payload[: len(payload) // 2])
            handler.wfile.flush()
            handler.close_connection = True
            return None
        return _send(handler, 200, payload)

    def _logits(self, texts: list[Any], fault: str | None) -> list[float]:
        values = self.score(texts)
        if fault == "activated":
            values = [_sigmoid(value) for value in values]
        if fault in ("nan", "null"):
            values[-1] = math.nan
        return values[:-1] if fault == "short" else values

    def _sglang(self, body: dict[str, Any], fault: str | None) -> Any:
        assert isinstance(body["model"], str)
        width = 3 if fault == "embedding" else 1
        return self._data("embedding", body["input"], fault, width)

    def _vllm(self, body: dict[str, Any], fault: str | None) -> Any:
        # As the real server: without the field, a sigmoid is applied.
        fault = fault or (None if body.get("use_activation") is False else "activated")
        inputs = [body["messages"]] if "messages" in body else body["input"]
        return self._data("probs", inputs, fault, 3 if fault == "embedding" else 1)

    def _data(self, key: str, texts: list[Any], fault: str | None, width: int) -> Any:
        items = [
            {"index": index, key: [None if fault == "null" and math.isnan(value) else value] * width}
            for index, value in enumerate(self._logits(texts, fault))
        ]
        if fault == "bad-index":
            items[0]["index"] = 7
        return {"data": items[::-1] if fault == "reversed" else items}

    def _tei(self, body: dict[str, Any], fault: str | None) -> Any:
        texts = [sequence for (sequence,) in body["inputs"]]
        assert body["truncate"] is False
        fault = fault or (None if body.get("raw_scores") is True else "activated")
        width = 3 if fault == "embedding" else 1
        return [
            [
                {"score": None if fault == "null" and math.isnan(value) else value, "label": f"L{k}"}
                for k in range(width)
            ]
            for value in self._logits(texts, fault)
        ]


def _send(handler: BaseHTTPRequestHandler, status: int, body: Any) -> None:
    payload = (
        body
        if isinstance(body, bytes)
        else body.encode()
        if isinstance(body, str)
        else json.dumps(body).encode()
    )
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(payload)))
    handler.end_headers()
    handler.wfile.write(payload)
