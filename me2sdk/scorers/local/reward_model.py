"""A Hugging Face sequence-classification reward model: loading, truncation, batches, pooling.

Imports torch and transformers, so it is itself imported only when such a model is first loaded.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import transformers

from me2sdk.errors import ConfigurationError, ScoringError
from me2sdk.schema import Question, Scores
from me2sdk.scorers.local.chat import ChatTemplate, choose_template
from me2sdk.scorers.local.loading import (
    as_configuration_error,
    check_labels,
    context_length,
    find_head,
    first_line,
    load_classifier,
    quiet_loading,
)
from me2sdk.scorers.local.lora import Adapter
from me2sdk.scorers.local.packed import PackedModel
from me2sdk.scorers.local.padded import PaddedModel
from me2sdk.scorers.text import Template, question_prefix

__all__ = ["RewardModel", "cpu_dtype", "pick_device"]

_log = logging.getLogger(__name__)
# oneDNN keeps memory for every distinct shape that a bfloat16 forward on a CPU meets; few shapes, little
# memory.
_CPU_BF16_MULTIPLE = 64
_BLOCK_CHARACTERS = 65_536  # tokenized at a time: more than a pass holds, and little time
_CPU_TOKENS, _DEVICE_TOKENS = 2048, 16384  # of a pass; on a CPU, larger ones fall out of its caches


class _Row(NamedTuple):
    """The tokens of a text, how many of them precede the trace, and how many of the trace were left out."""

    ids: list[int]
    start: int
    left_out: int


class RewardModel:
    """A reward model on one device. Arguments as in `TRMScorer`; not safe for several threads at once.

    Attributes:
        template: "plain" or "chat", what it reads.
    """

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
        template: Template = "auto",
    ) -> None:
        self.name = model
        self.device = pick_device(device)
        on_cpu = self.device.type == "cpu"
        budget = batch_tokens or (_CPU_TOKENS if on_cpu else _DEVICE_TOKENS)
        source: dict[str, Any] = {"trust_remote_code": trust_remote_code, "revision": revision}
        if model.endswith(".gguf"):
            raise ConfigurationError(
                f"{model} is a GGUF file, which holds no score head that could be read. Name the folder or hub name "
                "of a reward model, or an adapter and this file as its base (base=)."
            )
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
            self.template = choose_template(model, template, config, self._tokenizer)
            self._chat = ChatTemplate(model, self._tokenizer) if self.template == "chat" else None
            quantized = bool(quantization or getattr(config, "quantization_config", None))
            usual = cpu_dtype() if on_cpu and not quantized else torch.bfloat16
            chosen = getattr(torch, dtype) if dtype else usual
            self._model = load_classifier(
                base or model, config, chosen, quantization, self.device, source, new_head=adapter is not None
            )
            if adapter is not None:
                self._model = adapter.attach(self._model, merge=not quantized)
        self._head = find_head(model, self._model)
        self.max_tokens = context_length(model, config, self._tokenizer, max_tokens)
        self._tokenizer.model_max_length = int(1e30)  # or it warns about lengths that are handled here
        # int8 treats a column apart if any token of a pass stands out in it, so whatever else a pass held, padding
        # too, would change a score.
        isolated = bool(getattr(self._model, "is_loaded_in_8bit", False))
        multiple = _CPU_BF16_MULTIPLE if on_cpu and chosen is torch.bfloat16 and not isolated else 1
        with _no_cast_warnings():
            packed = PackedModel.of(model, self._model, self._head, self.device, budget, multiple, isolated)
        self._runner: PackedModel | PaddedModel = packed or PaddedModel(
            model,
            self._model,
            self._head,
            self.device,
            1 if isolated else budget,
            multiple,
            max_tokens=self.max_tokens,
            pad=self._tokenizer.pad_token_id,
        )

    def parts(self, inputs: Sequence[tuple[Question | None, str]]) -> list[tuple[str, str]]:
        """Questions and answers as the model reads them, in the two parts that `score` takes."""
        if self._chat is not None:
            return self._chat.parts(inputs)
        return [(question_prefix(question), answer) for question, answer in inputs]

    def score(self, parts: Sequence[tuple[str, str]], stop: threading.Event) -> Scores:
        """Score texts.

        Args:
            parts: what precedes the trace, and the trace, of each text; from `parts`.
            stop: set from another thread to give up before the next batch.

        Returns:
            the raw logits, and how many tokens of each were left out.

        Raises:
            ScoringError: what precedes a trace fills ``max_tokens``; a logit is not finite; the device is out
                of memory; or ``stop`` was set.
        """
        prefixes = {prefix: self._ids(prefix) for prefix in {prefix for prefix, _ in parts}}
        values, truncated = [math.nan] * len(parts), [0] * len(parts)
        # Texts are tokenized beside scoring, and faster than it.
        tokenizing = ThreadPoolExecutor(1, thread_name_prefix="me2sdk-tokenizer")
        try:
            blocks = _blocks(parts)
            futures = [tokenizing.submit(self._encode, parts, block, prefixes) for block in blocks]
            with _no_cast_warnings():
                for block, future in zip(blocks, futures, strict=True):
                    rows = future.result()
                    for index, row in zip(block, rows, strict=True):
                        truncated[index] = row.left_out
                    shared = [row.ids[: row.start] for row in rows]
                    for scored in self._runner.scores([row.ids for row in rows], shared):
                        for place, value in scored.items():
                            values[block[place]] = value
                        if stop.is_set():
                            raise ScoringError("Scoring was cancelled.")
                        _raise_early(futures)
        finally:
            tokenizing.shutdown(cancel_futures=True)
        if any(truncated):
            _log.warning(
                "%d of %d traces do not fit %d tokens; up to %d tokens were left out of the middle of one.",
                sum(map(bool, truncated)), len(parts), self.max_tokens, max(truncated),
            )  # fmt: skip
        bad = [index for index, value in enumerate(values) if not math.isfinite(value)]
        if bad:
            raise ScoringError(
                f"{self.name} gave no finite score for trace {', '.join(map(str, bad))}. "
                'Try dtype="float32"; if that does not help, the weights are damaged.'
            )
        return Scores(values, truncated)

    def _encode(
        self, parts: Sequence[tuple[str, str]], block: Sequence[int], prefixes: dict[str, list[int]]
    ) -> list[_Row]:
        texts = self._ids([prefix + trace for prefix, trace in (parts[i] for i in block)])
        rows = []
        for index, ids in zip(block, texts, strict=True):
            start = _common(prefixes[parts[index][0]], ids)
            fitting = self._fit(ids, start, index)
            rows.append(_Row(fitting, start, len(ids) - len(fitting)))
        return rows

    def _ids(self, text: Any) -> Any:
        """The tokens of a text, or of each of a list; a chat template has put the special ones into the text."""
        return self._tokenizer(text, add_special_tokens=self._chat is None)["input_ids"]

    def _fit(self, ids: list[int], question: int, index: int) -> list[int]:
        """``ids``, short of tokens from the middle of the trace where there are more than ``max_tokens``.

        Args:
            ids: tokens of what precedes the trace, and of the trace.
            question: how many belong to what precedes it.
            index: of the trace, for messages.
        """
        if len(ids) <= self.max_tokens:
            return ids
        room = self.max_tokens - question
        if room < 1:
            raise ScoringError(
                f"The question of trace {index} alone takes {question} of {self.max_tokens} tokens, which "
                "leaves no room for the trace. Raise max_tokens, shorten the question, or take another model."
            )
        first = room // 2
        return ids[: question + first] + ids[len(ids) - (room - first) :]


def _blocks(parts: Sequence[tuple[str, str]]) -> list[list[int]]:
    """Indexes of texts by question, in lists of which each is worth tokenizing at a time."""
    firsts: dict[str, int] = {}
    order = sorted(range(len(parts)), key=lambda index: firsts.setdefault(parts[index][0], index))
    blocks: list[list[int]] = []
    room = 0
    for index in order:
        if room <= 0:
            blocks.append([])
            room = _BLOCK_CHARACTERS
        blocks[-1].append(index)
        room -= len(parts[index][0]) + len(parts[index][1])
    return blocks


def _raise_early(futures: Sequence[Future[Any]]) -> None:
    """Raise what went wrong with texts that come later, before more time is spent."""
    for future in futures:
        if future.done():
            future.result()


def _common(alone: list[int], ids: list[int]) -> int:
    """How many tokens of a text are those of its beginning alone.

    It is not all of them where a token straddles the place where the trace begins or a closing special token follows.
    """
    return next((n for n, (a, b) in enumerate(zip(alone, ids, strict=False)) if a != b), len(alone))


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


def cpu_dtype() -> torch.dtype:
    """bfloat16 where the processor has units for its products (AMX), else float32."""
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)  # not in the oldest versions
    return torch.bfloat16 if supported is not None and supported() else torch.float32


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
