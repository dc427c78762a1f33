"""The model that becomes a reward model: base, score head, padding token, adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from me2sdk.errors import ConfigurationError
from me2sdk.scorers.local import (
    as_configuration_error,
    find_head,
    head_modules,
    quiet_loading,
)
from me2sdk.train._runs import model_name
from me2sdk.train.reward_model.config import RewardModelConfig

__all__ = ["FloatHead", "base_name", "load_base", "load_tokenizer"]

# Special tokens that padding may take since no text holds them: those made for it, then unused ones.
_PAD_TOKENS = (
    "<|finetune_right_pad_id|>",
    "<pad>",
    "[PAD]",
    "<|pad|>",
    "<|PAD|>",
    "<|reserved_special_token_0|>",
    "<unused0>",
    "<|extra_0|>",
    "<|vision_pad|>",
    "<empty_output>",
)


class FloatHead(nn.Linear):
    """A score head that computes in float32 whatever surrounds it: rewards in bfloat16 tie too often."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The reward at each position."""
        with torch.autocast(input.device.type, enabled=False):
            bias = None if self.bias is None else self.bias.float()
            return nn.functional.linear(input.float(), self.weight.float(), bias)


def base_name(config: RewardModelConfig) -> str:
    """The name of the base for others: in the model card and in an adapter's config."""
    return config.base_name or model_name(config.base)


def load_tokenizer(base: str) -> Any:
    """The base's tokenizer, with its own padding token.

    Many models pad with their end-of-text token. A reward is read at the last token that is not padding, so a
    text that ends in that token would be read one token early, in training and by every server.

    Raises:
        ConfigurationError: it cannot be loaded.
    """
    with as_configuration_error(base):
        tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    used = {tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token, tokenizer.cls_token} - {None}
    if tokenizer.pad_token is None or tokenizer.pad_token in used:
        vocabulary = tokenizer.get_vocab()
        free = [token for token in _PAD_TOKENS if token in vocabulary and token not in used]
        unknown = tokenizer.unk_token
        if unknown is not None and unknown not in {tokenizer.bos_token, tokenizer.eos_token}:
            free.append(unknown)
        # A token that is new takes a row of the embeddings, which `load_base` adds.
        tokenizer.add_special_tokens({"pad_token": free[0] if free else "<|pad|>"})
    tokenizer.padding_side = "right"
    tokenizer.model_max_length = int(1e30)  # or it warns about lengths that are handled elsewhere
    return tokenizer


def load_base(config: RewardModelConfig, base: str, tokenizer: Any, device: torch.device) -> Any:
    """The base as a sequence classifier with one output; a language model gets a new head.

    Raises:
        ConfigurationError: it cannot be loaded, has several outputs, lacks weights, or its context is shorter
            than ``max_length``.
    """
    if (Path(base) / "adapter_config.json").is_file():
        raise ConfigurationError(f"{base} is an adapter. Merge it first (merged: true writes {base}/merged).")
    computing = getattr(torch, config.dtype)
    with as_configuration_error(base), quiet_loading(expect_new_head=True):
        # The head of a language model has to be asked for: the default is two outputs.
        settings = transformers.AutoConfig.from_pretrained(base)
        if not _is_classifier(settings):
            settings.num_labels = 1
        if config.blocks is not None:
            _shorten(base, settings.get_text_config(), config.blocks)
        placement: dict[str, Any] = {}
        if config.quantization:
            placement["device_map"] = {"": device}
            placement["quantization_config"] = transformers.BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type=config.quantization,
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=computing,
                llm_int8_skip_modules=head_modules(settings, trust_remote_code=False),
            )
        model, report = transformers.AutoModelForSequenceClassification.from_pretrained(
            base,
            config=settings,
            # What is trained is held in float32, since bfloat16 swallows the steps of a small learning rate.
            dtype=computing if config.lora else torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            **placement,
        )
    if settings.num_labels != 1:
        raise ConfigurationError(
            f"{base} is a classifier with {settings.num_labels} labels. Name a language model or a reward model."
        )
    heads = {f"{name}." for name in head_modules(settings, trust_remote_code=False)}
    if missing := [key for key in sorted(report["missing_keys"]) if not key.startswith(tuple(heads))]:
        raise ConfigurationError(f"{base} has no weights for {', '.join(missing[:5])}. Name another base.")
    context = getattr(settings.get_text_config(), "max_position_embeddings", None)
    if context is not None and config.max_length > context:
        raise ConfigurationError(
            f"max_length={config.max_length} is more than the context of {base}, {context} tokens. "
            f"Set max_length={context}."
        )
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        if config.lora:
            raise ConfigurationError(
                f"{base} has no token that could serve as padding alone, and adapters cannot add one. Train every "
                "weight (leave lora out), or take a base with a padding token that is not its end-of-text token."
            )
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.config.pad_token_id = model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    head = find_head(base, model)
    if getattr(model, "score", None) is head:
        head.__class__ = FloatHead
    return model


def _shorten(base: str, settings: Any, blocks: int) -> None:
    if blocks > settings.num_hidden_layers:
        raise ConfigurationError(
            f"{base} has {settings.num_hidden_layers} blocks, fewer than blocks={blocks}."
        )
    settings.num_hidden_layers = blocks
    if getattr(settings, "layer_types", None):
        settings.layer_types = settings.layer_types[:blocks]


def _is_classifier(settings: Any) -> bool:
    return any(name.endswith("ForSequenceClassification") for name in settings.architectures or ())
