"""Loading reward models with transformers: checks, errors, and what the architecture calls its head."""

from __future__ import annotations

import importlib.util
import logging as log
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch import nn

from me2sdk.errors import ConfigurationError, ScoringError

__all__ = [
    "as_configuration_error",
    "check_labels",
    "context_length",
    "find_head",
    "first_line",
    "head_modules",
    "load_classifier",
    "no_kernels_note",
    "quantization_settings",
    "quiet_loading",
]

_LOCAL = 'Run: pip install "me2sdk[local]"'


def check_labels(model: str, config: Any) -> None:
    """Make sure that a model has one output.

    Raises:
        ConfigurationError: it has several, or none.
    """
    labels = config.num_labels
    if labels != 1:
        raise ConfigurationError(
            f"{model} has {labels} labels (num_labels); a reward model has 1. Name a sequence-classification "
            "checkpoint that was trained as a reward model."
        )


def head_modules(config: Any, trust_remote_code: bool = False) -> list[str]:
    """What the architecture puts on top of its base model: `score` for Llama, `classifier` for BERT."""
    with torch.device("meta"):
        empty = transformers.AutoModelForSequenceClassification.from_config(
            config, trust_remote_code=trust_remote_code
        )
    return [name for name, _ in empty.named_children() if name != empty.base_model_prefix]


def find_head(name: str, model: Any) -> nn.Linear:
    """The linear layer with one output that gives the score, checked to hold plain weights.

    Raises:
        ConfigurationError: there is none.
        ScoringError: it was quantized.
    """
    outside = [child for key, child in model.named_children() if key != model.base_model_prefix]
    linear = [m for child in outside for m in child.modules() if getattr(m, "out_features", None) == 1]
    if not linear:
        raise ConfigurationError(
            f"{name} ({type(model).__name__}) has no linear layer with one output, so it is no reward model "
            "that me2sdk knows how to read."
        )
    head = linear[-1]
    if type(head) is not nn.Linear or not head.weight.is_floating_point():
        raise ScoringError(
            f"The score head of {name} was quantized ({type(head).__name__}), which destroys its scores. "
            "Load the model without quantization."
        )
    return head


def context_length(model: str, config: Any, tokenizer: Any, max_tokens: int | None) -> int:
    """The longest input in tokens: ``max_tokens``, or what the model and its tokenizer allow.

    Raises:
        ConfigurationError: ``max_tokens`` is more than the context, or neither says anything.
    """
    context = getattr(config.get_text_config(), "max_position_embeddings", None)
    limit = tokenizer.model_max_length  # an astronomic number where none is known
    # Some encoders number positions from 2 on, so the tokenizer's lower limit is the one that holds.
    limits = [int(n) for n in (context, limit) if n is not None and 0 < n < 1e9]
    if max_tokens is None and not limits:
        raise ConfigurationError(f"{model} does not say how long its inputs may be. Pass max_tokens.")
    if max_tokens is not None and context is not None and 0 < context < max_tokens:
        raise ConfigurationError(
            f"max_tokens={max_tokens} is more than the context of {model}, {context} tokens."
        )
    return max_tokens if max_tokens is not None else min(limits)


def load_classifier(
    model: str,
    config: Any,
    dtype: torch.dtype,
    quantization: str | None,
    device: torch.device,
    source: dict[str, Any],
    new_head: bool = False,
) -> Any:
    """Load a sequence classifier for scoring.

    Args:
        model: hub name or folder.
        config: its config. One that says how the weights are already quantized is followed.
        dtype: of the weights that are not quantized, and of computing.
        quantization: None, "int8" or "nf4".
        device: where it goes.
        source: ``trust_remote_code`` and ``revision``.
        new_head: whether a missing head is fine, since another file brings it.

    Raises:
        ConfigurationError: weights or packages are missing, or it is quantized already.
    """
    placement: dict[str, Any] = {}
    stored = getattr(config, "quantization_config", None)
    if stored and quantization:
        raise ConfigurationError(f"{model} is quantized already. Leave quantization out.")
    if quantization or stored:
        for package in ("bitsandbytes", "accelerate"):
            if importlib.util.find_spec(package) is None:
                what = f"quantization={quantization!r}" if quantization else f"{model} is quantized and"
                raise ConfigurationError(f"{what} needs {package}. {_LOCAL}")
    if quantization:
        heads = head_modules(config, source["trust_remote_code"])
        placement["quantization_config"] = quantization_settings(quantization, dtype, heads)
    if quantization or stored or device.type != "cpu":
        placement["device_map"] = {"": device}
    with quiet_loading(expect_new_head=new_head):
        loaded, report = transformers.AutoModelForSequenceClassification.from_pretrained(
            model,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            **placement,
            **source,
        )
    heads = head_modules(config, source["trust_remote_code"]) if new_head else []
    brought = tuple(f"{name}." for name in heads)
    missing = sorted(key for key in report["missing_keys"] if not key.startswith(brought))
    if missing:
        raise ConfigurationError(
            f"{model} has no weights for {', '.join(missing[:5])}, so its scores would be random. It may be "
            "a language model without a score head: name the reward model that was trained from it."
        )
    loaded.config.use_cache = False
    return loaded.eval()


def quantization_settings(quantization: str, dtype: torch.dtype, heads: list[str]) -> Any:
    """How bitsandbytes quantizes a reward model: everything linear but the head.

    Args:
        quantization: "int8" or "nf4".
        dtype: what to compute in.
        heads: names of the modules to leave alone.
    """
    return transformers.BitsAndBytesConfig(
        load_in_8bit=quantization == "int8",
        load_in_4bit=quantization == "nf4",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        # Passing a list replaces the library's own, so the head has to be in it.
        llm_int8_skip_modules=heads,
    )


@contextmanager
def as_configuration_error(model: str) -> Iterator[None]:
    """Turn what goes wrong while ``model`` is loaded into a `ConfigurationError`."""
    try:
        yield
    except ConfigurationError:
        raise
    except torch.OutOfMemoryError as error:
        raise ConfigurationError(f'{model} does not fit this device. Try quantization="nf4".') from error
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise ConfigurationError(
            f"{model} could not be loaded: {first_line(error)} Check the name or folder: it takes a "
            "config.json, a tokenizer and weights in safetensors (pickled weights are never read)."
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of an error's message, with a full stop."""
    line = str(error).strip().partition("\n")[0].strip() or type(error).__name__
    return line if line.endswith((".", "!", "?")) else f"{line}."


@contextmanager
def no_kernels_note() -> Iterator[None]:
    """Keep bitsandbytes, which peft imports, from asking for a package on every CPU: it works without."""

    def wanted(record: log.LogRecord) -> bool:  # a new one each time, so that blocks can nest
        return "gemm_4bit_forward" not in record.getMessage()

    logger = log.getLogger("bitsandbytes.backends.cpu.ops")
    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)


@contextmanager
def quiet_loading(expect_new_head: bool = False) -> Iterator[None]:
    """Keep transformers from drawing a bar on stderr while it reads weights; the hub's download bars stay.

    Args:
        expect_new_head: whether to keep back its warnings of weights that the checkpoint does not hold, too.
    """
    logging = transformers.utils.logging
    level = logging.get_verbosity()
    before = logging.set_tqdm_hook(
        lambda factory, args, kwargs: factory(*args, **{**kwargs, "disable": True})
    )
    if expect_new_head:
        logging.set_verbosity_error()
    try:
        with no_kernels_note():
            yield
    finally:
        logging.set_verbosity(level)
        logging.set_tqdm_hook(before)
