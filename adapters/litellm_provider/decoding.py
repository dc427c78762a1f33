"""Decoding with a causal language model: several rows together, watched token by token."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers

from me2sdk.adapters.litellm_provider.causal_model import CausalModel
from me2sdk.adapters.litellm_provider.generator import (
    Answers,
    Halted,
    OutOfContext,
    Sampling,
    Written,
)
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Message
from me2sdk.scorers.local import as_configuration_error

__all__ = ["Watch", "decode"]

_SLACK = 64  # tokens looked at for a stop text beyond its own bytes, since one may hold less than a character
# Not None, or the model's own numbers would be filled in, and warned of.
_GREEDY = {"do_sample": False, "temperature": 1.0, "top_p": 1.0, "top_k": 50}
_NEUTRAL = {"temperature": 1.0, "top_p": 1.0, "top_k": 0}


class Watch(transformers.StoppingCriteria):  # type: ignore[misc]
    """Looks at each new token: is anyone still waiting, has a stop text come, who wants to read along.

    Arguments as in `Generator.submit`.
    """

    def __init__(
        self,
        loaded: CausalModel,
        stop: tuple[str, ...],
        halt: threading.Event,
        deadline: float | None,
        on_text: Callable[[str], None] | None,
    ) -> None:
        self._loaded, self._stop, self._halt = loaded, stop, halt
        self._deadline, self._on_text = deadline, on_text
        self._window = max((len(text.encode()) for text in stop), default=0) + _SLACK
        self._shown = 0
        self.prompt = 0  # tokens before the first new one

    def check(self) -> None:
        """Raise `Halted` where nobody waits any more, TimeoutError where the time is over."""
        if self._halt.is_set():
            raise Halted("Nobody waits for this answer any more.")
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TimeoutError(f"{self._loaded.name} did not finish in time.")

    def __call__(self, ids: Any, scores: Any, **kwargs: Any) -> Any:
        """Which rows are done."""
        self.check()
        done = torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)
        if self._stop:
            for row, tail in enumerate(ids[:, self.prompt :][:, -self._window :].tolist()):
                done[row] = self.cut(self.text(tail)) is not None
        if self._on_text is not None:
            self.show(self._ready(ids[0, self.prompt :].tolist()))
        return done

    def text(self, tokens: list[int]) -> str:
        """Tokens up to the end of the answer as text; markers of channels and thoughts stay in it."""
        end = next((i for i, token in enumerate(tokens) if token in self._loaded.ends), len(tokens))
        return str(
            self._loaded.tokenizer.decode(
                tokens[:end], skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )

    def cut(self, text: str) -> int | None:
        """Where the first stop text begins, or None."""
        return min((place for stop in self._stop if (place := text.find(stop)) >= 0), default=None)

    def show(self, text: str) -> None:
        """Pass on what is new in the text of the first row."""
        if self._on_text is not None and (new := text[self._shown :]):
            self._on_text(new)
            self._shown = len(text)

    def _ready(self, tokens: list[int]) -> str:
        """Text without what may still change: half a character, and what may become a stop text."""
        text = self.text(tokens)
        text = text[: self.cut(text)].rstrip("\ufffd")
        held = [n for stop in self._stop for n in range(1, len(stop)) if text.endswith(stop[:n])]
        return text[: len(text) - max(held, default=0)]


def decode(
    loaded: CausalModel, messages: list[Message], sampling: Sampling, seed: int, watch: Watch
) -> Answers:
    """Answer a chat. Raises `OutOfContext`, and what `Watch.check` does."""
    watch.check()
    with as_configuration_error(f"The chat template of {loaded.name}"):
        prompt = loaded.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        ).to(loaded.model.device)
    watch.prompt = prompt["input_ids"].shape[1]
    room = loaded.context - watch.prompt
    if room < 1:
        raise OutOfContext(
            f"The prompt has {watch.prompt} tokens; the context of {loaded.name} has {loaded.context}."
        )
    greedy = sampling.temperature == 0
    rows = 1 if greedy else sampling.n  # greedy answers are all the same
    devices = [loaded.model.device] if loaded.model.device.type == "cuda" else []
    try:
        with torch.inference_mode(), torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            ids = loaded.model.generate(
                input_ids=prompt["input_ids"],
                attention_mask=prompt["attention_mask"],
                **(_GREEDY if greedy else _random(loaded, sampling)),
                max_new_tokens=min(sampling.max_tokens, room),
                num_return_sequences=rows,
                pad_token_id=loaded.pad,
                stopping_criteria=transformers.StoppingCriteriaList([watch]),
            )
    except torch.OutOfMemoryError as error:
        raise ConfigurationError(
            f"{rows} answers of {loaded.name} do not fit this device together. Ask for fewer, or lower max_tokens."
        ) from error
    written = [_written(watch, loaded, row) for row in ids[:, watch.prompt :].tolist()]
    watch.show(written[0].text)
    return Answers(watch.prompt, written * (sampling.n if greedy else 1))


def _random(loaded: CausalModel, sampling: Sampling) -> dict[str, Any]:
    own = loaded.model.generation_config
    chosen: dict[str, Any] = {"do_sample": True}
    for name, neutral in _NEUTRAL.items():
        # One that does not sample names no numbers that were meant for sampling.
        said = getattr(own, name, None) if own.do_sample else None
        given = getattr(sampling, name)
        chosen[name] = next(value for value in (given, said, neutral) if value is not None)
    return chosen


def _written(watch: Watch, loaded: CausalModel, tokens: list[int]) -> Written:
    end = next((i for i, token in enumerate(tokens) if token in loaded.ends), None)
    text = watch.text(tokens)
    cut = watch.cut(text)
    stopped = end is not None or cut is not None
    return Written(text[:cut], "stop" if stopped else "length", len(tokens) if end is None else end + 1)
