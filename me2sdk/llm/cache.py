"""Answers on disk: JSON text only, safe for several processes, never an error.

diskcache stores values as pickles by default, and unpickles each row that is marked as one (CVE-2025-69872). The
`Disk` used here writes only text into the database and refuses every other kind of row, so that a row planted by
someone else is a miss and never runs.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import json
import logging
import os
import re
import sqlite3
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from pydantic import BaseModel

from me2sdk.errors import ConfigurationError
from me2sdk.llm import redaction

logger = logging.getLogger("me2sdk.llm")
T = TypeVar("T")

SCHEMA = 2
"""Version of what is stored. A change of the key or of the record raises it, so that old rows are misses."""

# Settings of the transport and of accounting: they do not change what the model answers.
_NOT_IN_KEY = frozenset(
    (
        "cache",
        "caching",
        "client",
        "http_client",
        "input_cost_per_token",
        "litellm_metadata",
        "logger_fn",
        "max_retries",
        "metadata",
        "num_retries",
        "output_cost_per_token",
        "request_timeout",
        "shared_session",
        "ssl_verify",
        "stream_timeout",
        "timeout",
        "verbose",
    )
)
# Environment variables by which LiteLLM's providers choose a server, of all providers: one too many costs a
# miss, one too few would return the answer of another server.
_ENDPOINT_VARIABLE = re.compile(
    r"_(API_BASE|API_URL|BASE_URL|API_VERSION|RUNTIME_ENDPOINT)$|^OPENAI_(ORGANIZATION|PROJECT)$"
    r"|^AWS_(DEFAULT_)?REGION(_NAME)?$|^VERTEXAI_(PROJECT|LOCATION)$|^WX_URL$|^OLLAMA_HOST$"
)
_ENDPOINT_GLOBALS = ("api_base", "api_version", "organization")


def request_text(identity: Any, messages: list[dict[str, Any]], params: Mapping[str, Any]) -> str:
    """Canonical JSON of everything that changes the answer, apart from the sample index.

    Args:
        identity: what names the model: its string, or the deployments of a Router; see `Target.identity`.
        messages: the chat messages.
        params: every parameter of the call. Keys and settings of the transport are left out.

    Raises:
        ConfigurationError: a parameter has no JSON form.
    """
    litellm = sys.modules.get("litellm")  # if nobody imported it, nobody changed its settings
    request = {
        "schema": SCHEMA,
        "model": identity,
        "endpoint": {
            **{name: v for name, v in os.environ.items() if _ENDPOINT_VARIABLE.search(name) and v},
            **{
                f"litellm.{n}": v
                for n in _ENDPOINT_GLOBALS
                if isinstance(v := getattr(litellm, n, None), str)
            },
        },
        "messages": messages,
        "params": {k: v for k, v in params.items() if k not in _NOT_IN_KEY and v is not None},
    }
    request["endpoint"] = redaction.without_secrets(request["endpoint"])
    request["params"] = redaction.without_secrets(request["params"])
    try:
        return json.dumps(request, sort_keys=True, separators=(",", ":"), default=_jsonable)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"A parameter of this call cannot be part of a cache key ({error}). Pass values that JSON can "
            "hold, or switch the cache off with cache=None."
        ) from None


def _jsonable(value: Any) -> Any:
    if isinstance(value, type) and issubclass(value, BaseModel):
        return {"class": value.__name__, "schema": value.model_json_schema()}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def key(request: str, sample_index: int) -> str:
    """The key of one sample of a request."""
    return hashlib.sha256(f"{sample_index}\n{request}".encode()).hexdigest()


class ResponseCache:
    """Answers by key, in one folder.

    A thread of its own reads and writes, so the event loop never waits for the disk and the database has one
    connection per process. A forked child starts its own.

    Args:
        folder: where the answers are; made with mode 0700 if it does not exist.
        size_bytes: size limit; the oldest rows are dropped first.

    Raises:
        ConfigurationError: the folder cannot be used.
    """

    def __init__(self, folder: Path, size_bytes: int) -> None:
        import diskcache

        self.folder = folder
        self._faults: tuple[type[Exception], ...] = (
            diskcache.Timeout,
            sqlite3.Error,
            OSError,
            TypeError,
            ValueError,
            RecursionError,
        )
        self._jobs: SimpleQueue[Any] = SimpleQueue()
        self._process: int | None = None  # the process whose thread serves these jobs
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Made here, since SQLite would make it readable for all users; its journals get the same mode.
            os.close(os.open(folder / "cache.db", os.O_CREAT | os.O_RDWR, 0o600))
            self._rows = diskcache.Cache(str(folder), disk=_text_disk(), size_limit=size_bytes)
            self._rows.close()
        except Exception as error:
            raise ConfigurationError(
                f"The cache folder {folder} cannot be used ({type(error).__name__}: {error}). Choose another "
                "folder with cache=, delete this one, or pass cache=None."
            ) from None

    async def get(self, key: str) -> dict[str, Any] | None:
        """The record under ``key``, or None for a miss; an unreadable row is one."""
        return await self._in_thread(lambda: self._read(key))

    async def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Store a record. A failure is logged and not raised, so that the answer itself is not lost."""
        await self._in_thread(lambda: self._write(key, record))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        done: concurrent.futures.Future[T] = concurrent.futures.Future()
        with _starting:
            if self._process != os.getpid():
                self._jobs, self._process = SimpleQueue(), os.getpid()
                # Asks the thread to end. A finalizer may run anywhere, so it must not wait for a lock: a
                # SimpleQueue is made for that, an executor is not.
                weakref.finalize(self, self._jobs.put, None)
                args = (self._jobs, self._rows)
                threading.Thread(target=_serve, args=args, name="me2sdk-cache", daemon=True).start()
            self._jobs.put((done, work))
        return await asyncio.wrap_future(done)

    def _read(self, key: str) -> dict[str, Any] | None:
        try:
            text = self._rows.get(key)
            record = json.loads(text) if isinstance(text, str) else None
        except self._faults as error:
            logger.warning("The cache in %s could not be read (%s); asking the model.", self.folder, error)
            return None
        if not isinstance(record, dict) or record.get("schema") != SCHEMA:
            return None
        return record if isinstance(record.get("message"), dict) else None

    def _write(self, key: str, record: Mapping[str, Any]) -> None:
        try:
            self._rows.set(key, json.dumps({"schema": SCHEMA, **record}))
        except self._faults as error:
            logger.warning("An answer could not be cached in %s (%s).", self.folder, error)


_starting = threading.Lock()


def _serve(jobs: SimpleQueue[Any], rows: Any) -> None:
    """Do each job until None comes; then close this thread's connection."""
    while job := jobs.get():
        done, work = job
        if done.set_running_or_notify_cancel():
            try:
                done.set_result(work())
            except BaseException as error:
                done.set_exception(error)
        del job, done, work  # they hold the cache, which could otherwise never be collected
    rows.close()


class _Refused(OSError):
    """A row of a kind that is never written here. diskcache reads an OSError as a miss."""


def _text_disk() -> type:
    import diskcache
    from diskcache.core import MODE_RAW

    class TextDisk(diskcache.Disk):  # type: ignore[misc]
        """Text keys and text values inside the database; nothing is pickled or unpickled."""

        def put(self, key: object) -> tuple[str, bool]:
            if not isinstance(key, str):
                raise TypeError("cache keys are strings")
            return key, True

        def get(self, key: object, raw: object) -> str:
            if not raw or not isinstance(key, str):
                raise _Refused("a key that is not plain text")
            return key

        def store(self, value: object, read: bool, key: object = None) -> tuple[int, int, None, str]:
            if read or not isinstance(value, str):
                raise TypeError("cache values are strings")
            return 0, MODE_RAW, None, value

        def fetch(self, mode: int, filename: str | None, value: object, read: bool) -> str:
            if mode != MODE_RAW or filename is not None or read or not isinstance(value, str):
                raise _Refused("a value that is not plain text")
            return value

    return TextDisk
