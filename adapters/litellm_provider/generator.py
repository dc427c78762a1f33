"""A causal language model of transformers in this process: one call at a time, all answers of a call together."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from me2sdk._paths import user_cache_dir
from me2sdk.adapters.litellm_provider.types import RequestOutput, SamplingParams
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Message

__all__ = ["Generator"]


class Generator:
    """Loads a model on the first call, and answers one call after the other in a thread of its own.

    Args:
        name: folder, hub name, GGUF file, or folder with one GGUF file. Weights are read from safetensors or GGUF
            alone, and no code that comes with them is run.
        device: "auto" takes a GPU if there is one.
        dtype: name of a torch dtype; by default float32 on a CPU and bfloat16 elsewhere.
    """

    def __init__(self, name: str, device: str = "auto", dtype: str | None = None) -> None:
        self.name = name
        self._device, self._dtype = device, dtype
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="me2sdk-transformers")
        self._loaded: Any = None

    def submit(
        self,
        messages: list[Message],
        params: SamplingParams,
        stop_event: threading.Event,
        *,
        seconds: float | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Future[RequestOutput]:
        """Put a call in the queue.

        Args:
            messages: the chat.
            params: how to sample.
            stop_event: set it to stop after the next token.
            seconds: how long the call may take, including its time in the queue.
            on_text: called in another thread with each new part of the first answer.

        Returns:
            A future. It holds the `RequestOutput`, or one of `GenerationStopped`, TimeoutError, `PromptTooLong`,
            `ConfigurationError` and what torch raises.
        """
        deadline = None if seconds is None else time.monotonic() + seconds

        def work() -> RequestOutput:
            # Imported only now, since torch takes seconds.
            from me2sdk.adapters.litellm_provider import causal_model, decoding

            if self._loaded is None:
                self._loaded = causal_model.load_causal_model(_source(self.name), self._device, self._dtype)
            seed = secrets.randbits(63) if params.seed is None else params.seed
            monitor = decoding.Monitor(self._loaded, params.stop, stop_event, deadline, on_text)
            return decoding.decode(self._loaded, messages, params, seed, monitor)

        return self._thread.submit(work)


def _source(name: str) -> str:
    """What transformers can load: a GGUF file is converted once, and the result is kept."""
    path = Path(name).expanduser()
    if path.is_dir() and not (path / "config.json").exists():
        found = sorted(path.glob("*.gguf"))
        if len(found) != 1:
            raise ConfigurationError(
                f"{path} holds no config.json and {len(found) or 'no'} GGUF files. Name a model's folder or file."
            )
        path = found[0]
    if not path.is_file():
        return str(path) if path.is_dir() else name
    from me2sdk.scorers.local import from_gguf, quiet_loading

    with quiet_loading():
        return from_gguf(path, cache=user_cache_dir() / "models")
