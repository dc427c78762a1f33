"""A Hugging Face sequence-classification reward model: loading, truncation, batches, pooling.

Imports torch and transformers, so it is itself imported only when such a model is first loaded.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import transformers
from torch import nn

from me2sdk.errors import ConfigurationError, ScoringError
from me2sdk.schema import Scores
from me2sdk.scorers._adapters import Adapter
from me2sdk.scorers._loading import (
    as_configuration_error,
    check_labels,
    context_length,
    find_head,
    first_line,
    load_classifier,
    quiet_loading,
)

__all__ = ["RewardModel", "make_batches", "pick_device", "run_in_halves"]

_Row = TypeVar("_Row")
_Out = TypeVar("_Out")

_log = logging.getLogger(__name__)
# oneDNN keeps memory for every distinct shape that a bfloat16 forward on a CPU meets; few shapes, little
# memory.
_CPU_BF16_MULTIPLE = 64
# Padding costs as much time as text, so short rows do not ride along with long ones.
_MAX_PADDING = 0.25


class RewardModel:
    """A reward model on one device. Arguments as in `TRMScorer`; not safe for several threads at once."""

    def __init__(
        self,
        model: str,
        *,
        quantization: str | None,
        device: str,
        dtype: str | None,
        max_tokens: int | None,
        batch_tokens: int | None,
        trust_remote_code: bool,
        revision: str | None,
        base: str | None = None,
    ) -> None:
        self.name = model
        self.device = pick_device(device)
        on_cpu = self.device.type == "cpu"
        self.batch_tokens = batch_tokens or (2048 if on_cpu else 16384)
        source: dict[str, Any] = {"trust_remote_code": trust_remote_code, "revision": revision}
        with as_configuration_error(model), quiet_loading():
            adapter = Adapter.find(model, revision)
            if base is not None and adapter is None:
                raise ConfigurationError(f"{model} is no adapter, so it has no base. Leave base out.")
            if adapter is None:
                config = transformers.AutoConfig.from_pretrained(model, **source)
                self._tokenizer = transformers.AutoTokenizer.from_pretrained(model, **source)
            else:
                source["revision"] = None if base else adapter.base_revision
                base = adapter.find_base(base)
                config, self._tokenizer = _of_adapter(adapter, base, source)
            check_labels(model, config)
            quantized = bool(quantization or getattr(config, "quantization_config", None))
            chosen = (
                getattr(torch, dtype)
                if dtype
                else torch.float32
                if on_cpu and not quantized
                else torch.bfloat16
            )
            self._model = load_classifier(
                base or model, config, chosen, quantization, self.device, source, new_head=adapter is not None
            )
            if adapter is not None:
                self._model = adapter.attach(self._model, merge=not quantized)
        self._head = find_head(model, self._model)
        # Decoders keep their head in `score` and read it at the last token; encoders pool in ways of their
        # own.
        self._reads_last_token = getattr(self._model, "score", None) is self._head
        self.max_tokens = context_length(model, config, self._tokenizer, max_tokens)
        self._tokenizer.model_max_length = int(1e30)  # or it warns about lengths that are handled here
        pad = self._tokenizer.pad_token_id
        self._pad = pad if pad is not None else 0
        # A model that pools by itself may look for padding by its id, so without one nothing is padded.
        self._max_padding = _MAX_PADDING if self._reads_last_token or pad is not None else 0.0
        self._multiple = _CPU_BF16_MULTIPLE if on_cpu and chosen is torch.bfloat16 else 1

    def score(self, parts: Sequence[tuple[str, str]], stop: threading.Event) -> Scores:
        """Score texts.

        Args:
            parts: what precedes the trace, and the trace, of each text.
            stop: set from another thread to give up before the next batch.

        Returns:
            the raw logits, and how many tokens of each were left out.

        Raises:
            ScoringError: what precedes a trace fills ``max_tokens``; a logit is not finite; the device is out
                of memory; or ``stop`` was set.
        """
        encoded = self._tokenizer([prefix + trace for prefix, trace in parts])["input_ids"]
        rows, truncated = [], []
        for index, (prefix, _) in enumerate(parts):
            row = self._fit(encoded[index], prefix, index)
            rows.append(row)
            truncated.append(len(encoded[index]) - len(row))
        if any(truncated):
            _log.warning(
                "%d of %d traces do not fit %d tokens; up to %d tokens were left out of the middle of one.",
                sum(map(bool, truncated)), len(rows), self.max_tokens, max(truncated),
            )  # fmt: skip
        values = [math.nan] * len(rows)
        lengths = [len(row) for row in rows]
        for batch in make_batches(lengths, self.batch_tokens, self._pad_length, self._max_padding):
            if stop.is_set():
                raise ScoringError("Scoring was cancelled.")
            with _no_cast_warnings():
                scored = run_in_halves(self._forward, [rows[i] for i in batch], len, self.name, self.device)
            for index, value in zip(batch, scored, strict=True):
                values[index] = value
        bad = [index for index, value in enumerate(values) if not math.isfinite(value)]
        if bad:
            raise ScoringError(
                f"{self.name} gave no finite score for trace {', '.join(map(str, bad))}. "
                'Try dtype="float32"; if that does not help, the weights are damaged.'
            )
        return Scores(values, truncated)

    def _fit(self, ids: list[int], prefix: str, index: int) -> list[int]:
        """``ids``, short of tokens from the middle of the trace where there are more than ``max_tokens``."""
        if len(ids) <= self.max_tokens:
            return ids
        # The tokens of the prefix, short of where a token straddles the seam or a closing special token
        # follows.
        alone = self._tokenizer(prefix)["input_ids"]
        question = next((n for n, (a, b) in enumerate(zip(alone, ids, strict=False)) if a != b), len(alone))
        room = self.max_tokens - question
        if room < 1:
            raise ScoringError(
                f"The question of trace {index} alone takes {question} of {self.max_tokens} tokens, which "
                "leaves no room for the trace. Raise max_tokens, shorten the question, or take another model."
            )
        first = room // 2
        return ids[: question + first] + ids[len(ids) - (room - first) :]

    def _pad_length(self, length: int) -> int:
        return min(math.ceil(length / self._multiple) * self._multiple, max(length, self.max_tokens))

    def _forward(self, rows: list[list[int]]) -> list[float]:
        lengths = torch.tensor([len(row) for row in rows])
        width = int(lengths.max())
        if self._max_padding:
            width = self._pad_length(width)
        ids = torch.full((len(rows), width), self._pad)
        for line, row in zip(ids, rows, strict=True):
            line[: len(row)] = torch.tensor(row)
        mask = (torch.arange(width) < lengths[:, None]).long()
        inputs = {"input_ids": ids.to(self.device), "attention_mask": mask.to(self.device)}
        with torch.inference_mode():
            if self._reads_last_token:
                # The model's own pooling looks for the last token that is not the padding token, and so takes
                # the wrong one for a text that ends in a token which also serves as padding.
                hidden = self._model.base_model(**inputs).last_hidden_state
                last = hidden[torch.arange(len(rows)), lengths - 1].float()
                bias = None if self._head.bias is None else self._head.bias.float()
                logits = nn.functional.linear(last, self._head.weight.float(), bias)
            else:
                logits = self._model(**inputs).logits
        return [float(value) for value in logits[:, 0].float().cpu()]


def _of_adapter(adapter: Adapter, base: str, source: dict[str, Any]) -> tuple[Any, Any]:
    """Config and tokenizer of an adapter, whose files may stand beside it or with its base."""
    try:
        of_base = transformers.AutoConfig.from_pretrained(base, **source)
        config = transformers.AutoConfig.from_pretrained(adapter.source("config.json", base), **source)
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            adapter.source("tokenizer.json", base), **source
        )
    except (OSError, ValueError) as error:
        raise adapter.no_base(base, first_line(error)) from error
    config.quantization_config = getattr(of_base, "quantization_config", None)
    if config.quantization_config is None:
        del config.quantization_config
    if not any(name.endswith("ForSequenceClassification") for name in config.architectures or ()):
        config.num_labels = 1  # of a language model, whose new head the adapter brings
    return config, tokenizer


def run_in_halves(
    forward: Callable[[list[_Row]], list[_Out]],
    rows: list[_Row],
    tokens: Callable[[_Row], int],
    name: str,
    device: torch.device,
) -> list[_Out]:
    """Run ``forward`` over rows, in halves where the device has too little memory for all of them.

    Args:
        forward: gives one result a row.
        rows: the rows.
        tokens: the length of a row, for messages.
        name: the model's name, for messages.
        device: where ``forward`` runs.

    Raises:
        ScoringError: there is too little memory for a single row, or ``forward`` failed.
    """
    try:
        return forward(rows)
    except torch.OutOfMemoryError as error:
        if len(rows) == 1:
            raise ScoringError(
                f"{device} has too little memory for one trace of {tokens(rows[0])} tokens. "
                'Set a lower max_tokens, or quantization="nf4".'
            ) from error
    except RuntimeError as error:
        raise ScoringError(f"{name} failed on {device}: {first_line(error)}") from error
    # Outside of the handler, since the exception keeps the failed pass's tensors alive.
    if device.type == "cuda":
        torch.cuda.empty_cache()
    half = len(rows) // 2
    return [
        result
        for part in (rows[:half], rows[half:])
        for result in run_in_halves(forward, part, tokens, name, device)
    ]


def make_batches(
    lengths: Sequence[int], budget: int, pad: Callable[[int], int], max_padding: float
) -> Iterator[list[int]]:
    """Group indices of rows, longest first, so that a group padded to its longest row stays within
    ``budget``.

    Args:
        lengths: tokens of each row.
        budget: most tokens of a group, padding included. A longer row stands alone.
        pad: the padded length of a row, from its length.
        max_padding: largest share of a group that may be padding up to its longest row; with 0, only rows of
            the same length share a group.

    Yields:
        indices into ``lengths``; each occurs once.
    """
    batch: list[int] = []
    longest = total = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        length, rows = lengths[index], len(batch) + 1
        padding = longest * rows - total - length
        if batch and (pad(longest) * rows > budget or padding > max_padding * longest * rows):
            yield batch
            batch = []
        if not batch:
            longest, total = length, 0
        batch.append(index)
        total += length
    if batch:
        yield batch


def pick_device(device: str) -> torch.device:
    """The device that a name stands for; "auto" is CUDA, else MPS, else the CPU.

    Raises:
        ConfigurationError: it cannot be used here.
    """
    if device == "auto":
        device = (
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).partition("\n")[0]
        raise ConfigurationError(f'Device {device!r} cannot be used ({first}). Try device="auto".') from error
    return chosen


def _is_no_cast_warning(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("MatMul8bitLt: inputs will be cast")


@contextmanager
def _no_cast_warnings() -> Iterator[None]:
    """Keep bitsandbytes from warning, in every layer at every pass, that int8 computes in float16."""
    log = logging.getLogger("bitsandbytes.autograd._functions")
    log.addFilter(_is_no_cast_warning)
    try:
        yield
    finally:
        log.removeFilter(_is_no_cast_warning)
