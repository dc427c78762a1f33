"""A causal language model of transformers in this process: one at a time, several answers to a question together."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from me2sdk._paths import user_cache_dir
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Message

__all__ = ["Answers", "Generator", "Halted", "OutOfContext", "Sampling", "Written"]

_DEFAULT_MAX_TOKENS = 1024


class Halted(Exception):
    """Generation was stopped from outside, or ran out of time."""


class OutOfContext(ConfigurationError):
    """The prompt fills the model's context."""


class Sampling(BaseModel):
    """What a call may set. What it leaves out is as the model's own generation config says.

    Attributes:
        n: answers, generated side by side.
        max_tokens: most tokens of an answer; 1,024 by default.
        temperature: 0 decodes greedily. 1 by default, where the model itself names none.
        top_p: nucleus sampling.
        top_k: samples from the k likeliest tokens; 0 from all.
        stop: texts that end an answer and are left out of it.
        seed: for the same answers again; random by default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(default=1, ge=1)
    max_tokens: int = Field(default=_DEFAULT_MAX_TOKENS, ge=1)
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    stop: tuple[str, ...] = ()
    seed: int | None = None

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else tuple(filter(None, value or ()))


class Written(NamedTuple):
    """One answer: its text, why it ended ("stop" or "length"), and its number of tokens."""

    text: str
    finish_reason: str
    tokens: int


class Answers(NamedTuple):
    """What one call brought."""

    prompt_tokens: int
    written: list[Written]


class Generator:
    """A model that is loaded when it is first asked, and then answers one call after the other in its own thread.

    Args:
        name: folder, hub name, GGUF file, or folder with one GGUF file. Weights are read from safetensors or GGUF
            alone, and no code that comes with them is run.
        device: "auto" takes a GPU where there is one.
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
        sampling: Sampling,
        halt: threading.Event,
        *,
        seconds: float | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Future[Answers]:
        """Put a call in the queue.

        Args:
            messages: the chat.
            sampling: how to answer.
            halt: set it to stop after the next token.
            seconds: how long it may take, the time in the queue included.
            on_text: called in another thread with each new piece of the first answer.

        Returns:
            a future that holds `Answers`, or `Halted`, `OutOfContext`, `ConfigurationError`, or what torch raises.
        """
        deadline = None if seconds is None else time.monotonic() + seconds

        def work() -> Answers:
            # Imported with the model: torch takes seconds.
            from me2sdk.adapters.litellm_provider import causal_model, decoding

            if self._loaded is None:
                self._loaded = causal_model.load(_source(self.name), self._device, self._dtype)
            seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
            watch = decoding.Watch(self._loaded, sampling.stop, halt, deadline, on_text)
            return decoding.decode(self._loaded, messages, sampling, seed, watch)

        return self._thread.submit(work)


def _source(name: str) -> str:
    """What transformers loads: a GGUF file is converted once and kept."""
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
