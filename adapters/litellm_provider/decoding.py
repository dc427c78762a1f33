"""Decoding with a causal language model: several answers together, checked after each token."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers

from me2sdk.adapters.litellm_provider.causal_model import CausalModel
from me2sdk.adapters.litellm_provider.logprobs import LogprobRecorder
from me2sdk.adapters.litellm_provider.types import (
    CompletionOutput,
    GenerationStopped,
    PromptTooLong,
    RequestOutput,
    SamplingParams,
)
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Message
from me2sdk.scorers.local import as_configuration_error

__all__ = ["Monitor", "decode"]

_EXTRA_TOKENS = (
    64  # searched for a stop text beyond its own bytes, since a token may hold less than a character
)
# Not None, since transformers would then fill in the model's own values and warn about them.
_GREEDY = {"do_sample": False, "temperature": 1.0, "top_p": 1.0, "top_k": 50}
_NEUTRAL = {"temperature": 1.0, "top_p": 1.0, "top_k": 0}


class Monitor(transformers.StoppingCriteria):  # type: ignore[misc]
    """After each token: stops if the caller or the deadline says so, finds stop texts, and streams new text.

    Args:
        loaded: the model.
        stop: texts that end an answer.
        stop_event: set by the caller to stop.
        deadline: when to stop, on the monotonic clock; None for never.
        on_text: called with new text of the first answer, or None.
    """

    def __init__(
        self,
        loaded: CausalModel,
        stop: tuple[str, ...],
        stop_event: threading.Event,
        deadline: float | None,
        on_text: Callable[[str], None] | None,
    ) -> None:
        self._loaded, self._stop, self._stop_event = loaded, stop, stop_event
        self._deadline, self._on_text = deadline, on_text
        self._window = max((len(text.encode()) for text in stop), default=0) + _EXTRA_TOKENS
        self._streamed = 0  # characters
        self.prompt_tokens = 0

    def check(self) -> None:
        """Check that the generation may go on.

        Raises:
            GenerationStopped: the caller stopped it.
            TimeoutError: the deadline has passed.
        """
        if self._stop_event.is_set():
            raise GenerationStopped("The caller stopped this generation.")
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TimeoutError(f"{self._loaded.name} did not finish in time.")

    def __call__(self, ids: Any, scores: Any, **kwargs: Any) -> Any:
        """Which answers are complete."""
        self.check()
        done = torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)
        if self._stop:
            for row, tail in enumerate(ids[:, self.prompt_tokens :][:, -self._window :].tolist()):
                done[row] = self.find_stop(self.text(tail)) is not None
        if self._on_text is not None:
            self.stream(self._final_text(ids[0, self.prompt_tokens :].tolist()))
        return done

    def text(self, tokens: list[int]) -> str:
        """The text of tokens up to the end of the answer; channel and thinking markers stay in it."""
        end = next((i for i, token in enumerate(tokens) if token in self._loaded.ends), len(tokens))
        return str(
            self._loaded.tokenizer.decode(
                tokens[:end], skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )

    def find_stop(self, text: str) -> int | None:
        """Where the first stop text begins, or None."""
        return min((place for stop in self._stop if (place := text.find(stop)) >= 0), default=None)

    def stream(self, text: str) -> None:
        """Pass on what is new in the text of the first answer."""
        if self._on_text is not None and (new := text[self._streamed :]):
            self._on_text(new)
            self._streamed = len(text)

    def _final_text(self, tokens: list[int]) -> str:
        """The text without an end that may still change: part of a character, or the start of a stop text."""
        text = self.text(tokens)
        text = text[: self.find_stop(text)].rstrip("\ufffd")
        starts = [n for stop in self._stop for n in range(1, len(stop)) if text.endswith(stop[:n])]
        return text[: len(text) - max(starts, default=0)]


def decode(
    loaded: CausalModel, messages: list[Message], params: SamplingParams, seed: int, monitor: Monitor
) -> RequestOutput:
    """Answer a chat.

    Args:
        loaded: the model.
        messages: the chat.
        params: how to sample.
        seed: seed of the random numbers.
        monitor: checks each token.

    Raises:
        PromptTooLong: the prompt leaves no room for an answer.
        GenerationStopped: the caller stopped the generation.
        TimeoutError: the deadline has passed.
        ConfigurationError: the chat template does not take the messages, or the answers do not fit in memory.
    """
    monitor.check()
    with as_configuration_error(f"The chat template of {loaded.name}"):
        prompt = loaded.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        ).to(loaded.model.device)
    monitor.prompt_tokens = prompt["input_ids"].shape[1]
    room = loaded.context - monitor.prompt_tokens
    if room < 1:
        raise PromptTooLong(
            f"The prompt has {monitor.prompt_tokens} tokens; the context of {loaded.name} has {loaded.context}."
        )
    greedy = params.temperature == 0
    rows = 1 if greedy else params.n  # greedy answers are all the same
    recorder = LogprobRecorder(params.top_logprobs) if params.logprobs else None
    devices = [loaded.model.device] if loaded.model.device.type == "cuda" else []
    try:
        with torch.inference_mode(), torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            ids = loaded.model.generate(
                input_ids=prompt["input_ids"],
                attention_mask=prompt["attention_mask"],
                **(_GREEDY if greedy else _sampling_arguments(loaded, params)),
                max_new_tokens=min(params.max_tokens, room),
                num_return_sequences=rows,
                pad_token_id=loaded.pad,
                stopping_criteria=transformers.StoppingCriteriaList([monitor]),
                logits_processor=transformers.LogitsProcessorList([recorder] if recorder else []),
            )
    except torch.OutOfMemoryError as error:
        raise ConfigurationError(
            f"{rows} answers of {loaded.name} do not fit this device together. Ask for fewer, or lower max_tokens."
        ) from error
    rows_of_tokens = ids[:, monitor.prompt_tokens :].tolist()
    outputs = [_output(monitor, loaded, row) for row in rows_of_tokens]
    if recorder:
        recorder.note(ids)
        written = [row[: output.tokens] for row, output in zip(rows_of_tokens, outputs, strict=True)]
        contents = recorder.contents(loaded.tokenizer, written)
        outputs = [o._replace(logprobs=content) for o, content in zip(outputs, contents, strict=True)]
    monitor.stream(outputs[0].text)
    return RequestOutput(monitor.prompt_tokens, outputs * (params.n if greedy else 1))


def _sampling_arguments(loaded: CausalModel, params: SamplingParams) -> dict[str, Any]:
    own = loaded.model.generation_config
    chosen: dict[str, Any] = {"do_sample": True}
    for name, neutral in _NEUTRAL.items():
        # Values of a generation config that does not sample are not meant for sampling.
        default = getattr(own, name, None) if own.do_sample else None
        given = getattr(params, name)
        chosen[name] = next(value for value in (given, default, neutral) if value is not None)
    return chosen


def _output(monitor: Monitor, loaded: CausalModel, tokens: list[int]) -> CompletionOutput:
    end = next((i for i, token in enumerate(tokens) if token in loaded.ends), None)
    text = monitor.text(tokens)
    cut = monitor.find_stop(text)
    stopped = end is not None or cut is not None
    return CompletionOutput(
        text[:cut], "stop" if stopped else "length", len(tokens) if end is None else end + 1
    )
