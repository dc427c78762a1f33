"""The handler of ``transformers/<path>``: models that answer in this process."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

from pydantic import ValidationError

from me2sdk.adapters.litellm_provider.generator import Answers, Generator, Sampling
from me2sdk.adapters.litellm_provider.wire import (
    fill,
    last_pieces,
    piece,
    seconds_of,
    typed_errors,
    usage_of,
)
from me2sdk.llm import load

__all__ = ["Local", "forget_models"]

# Of the parameters that clients send, those that mean nothing to a model without a server.
_NOTHING_HERE = ("stream", "stream_options", "max_retries", "user", "extra_body", "extra_headers")
_lock = threading.Lock()


@functools.lru_cache(maxsize=2)  # loading one can take minutes, holding one gigabytes
def _generator(name: str, device: str, dtype: str | None) -> Generator:
    return Generator(name, device, dtype)


def forget_models() -> None:
    """Let go of the models that were loaded."""
    _generator.cache_clear()


class _Call(NamedTuple):
    """A call as LiteLLM tells of it, checked."""

    model: str
    generator: Generator
    messages: list[dict[str, Any]]
    sampling: Sampling
    seconds: float | None
    halt: threading.Event

    @classmethod
    def read(cls, call: dict[str, Any], one: bool = False) -> _Call:
        """Raises LiteLLM's UnsupportedParamsError for what a local model does not take."""
        given = call["optional_params"]
        params = {
            name: value for name, value in given.items() if name not in _NOTHING_HERE and value is not None
        }
        params |= given.get("extra_body") or {}
        where = params.pop("device", "auto"), params.pop("dtype", None)
        if "max_completion_tokens" in params:
            params["max_tokens"] = params.pop("max_completion_tokens")
        try:
            sampling = Sampling(**params)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            known = ", ".join((*Sampling.model_fields, "device", "dtype"))
            raise _unsupported(f"{wrong}. A local model takes {known}.", call["model"]) from None
        if one and sampling.n > 1:
            raise _unsupported("A stream has one answer: leave n out, or ask without stream.", call["model"])
        with _lock:
            generator = _generator(call["model"], *where)
        halt = threading.Event()
        return cls(call["model"], generator, call["messages"], sampling, seconds_of(call["timeout"]), halt)

    def submit(self, on_text: Callable[[str], None] | None = None) -> Any:
        return self.generator.submit(
            self.messages, self.sampling, self.halt, seconds=self.seconds, on_text=on_text
        )


def _unsupported(message: str, model: str) -> Exception:
    error: Exception = load().exceptions.UnsupportedParamsError(
        message, llm_provider="transformers", model=model
    )
    return error


class Local:
    """Handles ``transformers/<path>``; the answers of a call with ``n`` are generated together.

    Args of a call: those of `Sampling`, ``device`` ("auto") and ``dtype`` (float32 on a CPU, else bfloat16).
    """

    def completion(self, **call: Any) -> Any:
        """Answer a call."""
        read = _Call.read(call)
        future = read.submit()
        try:
            with typed_errors(read.model):
                return fill(call["model_response"], read.model, future.result())
        finally:
            read.halt.set()

    async def acompletion(self, **call: Any) -> Any:
        """Answer an awaited call; a cancelled one stops generating."""
        read = _Call.read(call)
        try:
            with typed_errors(read.model):
                return fill(call["model_response"], read.model, await asyncio.wrap_future(read.submit()))
        finally:
            read.halt.set()

    def streaming(self, **call: Any) -> Iterator[Any]:
        """Stream an answer while it is generated."""
        read = _Call.read(call, one=True)
        texts: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        future = read.submit(texts.put)
        future.add_done_callback(lambda _: texts.put(None))
        try:
            yield piece(role="assistant", content="")
            while (text := texts.get()) is not None:
                yield piece(content=text)
            with typed_errors(read.model):
                yield from _end(future.result())
        finally:
            read.halt.set()  # nobody may have read on

    async def astreaming(self, **call: Any) -> AsyncIterator[Any]:
        """Stream an answer while it is generated."""
        read = _Call.read(call, one=True)
        texts: asyncio.Queue[str | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def put(text: str | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads on
                loop.call_soon_threadsafe(texts.put_nowait, text)

        future = read.submit(put)
        future.add_done_callback(lambda _: put(None))
        try:
            yield piece(role="assistant", content="")
            while (text := await texts.get()) is not None:
                yield piece(content=text)
            with typed_errors(read.model):
                for each in _end(future.result()):
                    yield each
        finally:
            read.halt.set()


def _end(answers: Answers) -> Iterator[Any]:
    return last_pieces(answers.written[0].finish_reason, usage_of(answers))
