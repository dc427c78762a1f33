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

from me2sdk.adapters.litellm_provider.generator import Generator
from me2sdk.adapters.litellm_provider.types import RequestOutput, SamplingParams
from me2sdk.adapters.litellm_provider.wire import (
    chunk,
    fill_response,
    final_chunks,
    litellm_errors,
    timeout_seconds,
    usage_of,
)
from me2sdk.llm import load_litellm

__all__ = ["LocalModels", "unload_models"]

# Parameters that clients send and that mean nothing to a model without a server.
_IGNORED = ("stream", "stream_options", "max_retries", "user", "extra_body", "extra_headers")
_lock = threading.Lock()


@functools.lru_cache(maxsize=2)  # a model can take minutes to load and gigabytes of memory
def _generator(name: str, device: str, dtype: str | None) -> Generator:
    return Generator(name, device, dtype)


def unload_models() -> None:
    """Unload the models of this process."""
    _generator.cache_clear()


class _Call(NamedTuple):
    """A call by LiteLLM, checked."""

    model: str
    generator: Generator
    messages: list[dict[str, Any]]
    params: SamplingParams
    seconds: float | None
    stop_event: threading.Event

    @classmethod
    def read(cls, call: dict[str, Any], one: bool = False) -> _Call:
        """Read the arguments of a call; ``one`` allows a single answer.

        Raises:
            litellm.UnsupportedParamsError: a local model does not take a parameter.
        """
        given = call["optional_params"]
        params = {name: value for name, value in given.items() if name not in _IGNORED and value is not None}
        params |= given.get("extra_body") or {}
        device, dtype = params.pop("device", "auto"), params.pop("dtype", None)
        if "max_completion_tokens" in params:
            params["max_tokens"] = params.pop("max_completion_tokens")
        try:
            sampling = SamplingParams(**params)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            known = ", ".join((*SamplingParams.model_fields, "device", "dtype"))
            raise _unsupported(f"{wrong}. A local model takes {known}.", call["model"]) from None
        if one and sampling.n > 1:
            raise _unsupported("A stream has one answer: leave n out, or ask without stream.", call["model"])
        if one and sampling.logprobs:
            raise _unsupported(
                "A stream has no logprobs: leave them out, or ask without stream.", call["model"]
            )
        with _lock:
            generator = _generator(call["model"], device, dtype)
        seconds = timeout_seconds(call["timeout"])
        return cls(call["model"], generator, call["messages"], sampling, seconds, threading.Event())

    def submit(self, on_text: Callable[[str], None] | None = None) -> Any:
        return self.generator.submit(
            self.messages, self.params, self.stop_event, seconds=self.seconds, on_text=on_text
        )


def _unsupported(message: str, model: str) -> Exception:
    error: Exception = load_litellm().exceptions.UnsupportedParamsError(
        message, llm_provider="transformers", model=model
    )
    return error


class LocalModels:
    """Handles ``transformers/<path>``; the answers of a call with ``n`` are generated together.

    A call takes the fields of `SamplingParams`, ``device`` ("auto") and ``dtype`` (float32 on a CPU, else bfloat16).
    """

    def completion(self, **call: Any) -> Any:
        """Answer a call."""
        read = _Call.read(call)
        future = read.submit()
        try:
            with litellm_errors(read.model):
                return fill_response(call["model_response"], read.model, future.result())
        finally:
            read.stop_event.set()

    async def acompletion(self, **call: Any) -> Any:
        """Answer an awaited call; a cancelled one stops generating."""
        read = _Call.read(call)
        try:
            with litellm_errors(read.model):
                return fill_response(
                    call["model_response"], read.model, await asyncio.wrap_future(read.submit())
                )
        finally:
            read.stop_event.set()

    def streaming(self, **call: Any) -> Iterator[Any]:
        """Stream an answer while it is generated."""
        read = _Call.read(call, one=True)
        texts: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        future = read.submit(texts.put)
        future.add_done_callback(lambda _: texts.put(None))
        try:
            yield chunk(role="assistant", content="")
            while (text := texts.get()) is not None:
                yield chunk(content=text)
            with litellm_errors(read.model):
                yield from _end(future.result())
        finally:
            read.stop_event.set()  # the reader may have stopped early

    async def astreaming(self, **call: Any) -> AsyncIterator[Any]:
        """Stream an answer while it is generated."""
        read = _Call.read(call, one=True)
        texts: asyncio.Queue[str | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def put(text: str | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads the stream
                loop.call_soon_threadsafe(texts.put_nowait, text)

        future = read.submit(put)
        future.add_done_callback(lambda _: put(None))
        try:
            yield chunk(role="assistant", content="")
            while (text := await texts.get()) is not None:
                yield chunk(content=text)
            with litellm_errors(read.model):
                for last in _end(future.result()):
                    yield last
        finally:
            read.stop_event.set()


def _end(result: RequestOutput) -> Iterator[Any]:
    return final_chunks(result.outputs[0].finish_reason, usage_of(result))
