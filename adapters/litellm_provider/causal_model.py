"""Loading a causal language model with transformers."""

from __future__ import annotations

from typing import Any, NamedTuple

from me2sdk.errors import ConfigurationError

try:
    import torch
    import transformers
except ImportError as error:
    raise ConfigurationError(
        f'A local model needs {error.name}. Run: pip install "me2sdk[litellm]"'
    ) from error

from me2sdk.scorers.local import as_configuration_error, pick_device, quiet_loading

__all__ = ["CausalModel", "load_causal_model"]


class CausalModel(NamedTuple):
    """A model and what decoding needs to know about it.

    Attributes:
        name: folder or hub name.
        model: transformers' model, ready to generate.
        tokenizer: its tokenizer, with a chat template.
        context: most tokens of a prompt and its answer together.
        ends: tokens that end an answer: ends of text, and padding.
        pad: token that fills answers that end before others.
    """

    name: str
    model: Any
    tokenizer: Any
    context: int
    ends: frozenset[int]
    pad: int


def load_causal_model(name: str, device: str, dtype: str | None) -> CausalModel:
    """Load a model from safetensors.

    Args:
        name: folder or hub name.
        device: "auto", "cpu", "cuda" or "cuda:1".
        dtype: name of a torch dtype; by default float32 on a CPU and bfloat16 elsewhere.

    Raises:
        ConfigurationError: it cannot be loaded, or has no chat template.
    """
    where = pick_device(device)
    kind = getattr(torch, dtype or ("float32" if where.type == "cpu" else "bfloat16"), None)
    if not isinstance(kind, torch.dtype) or not kind.is_floating_point:
        raise ConfigurationError(
            f"dtype={dtype!r} is no dtype to compute in. Use float32, bfloat16 or float16."
        )
    with as_configuration_error(name), quiet_loading():
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            name, dtype=kind, use_safetensors=True, trust_remote_code=False
        )
        model = model.to(where).eval()
    if not tokenizer.chat_template:
        raise ConfigurationError(f"{name} has no chat template. Name a model that was trained to chat.")
    ends = model.generation_config.eos_token_id
    ends = {ends} if isinstance(ends, int) else set(ends or ())
    if tokenizer.eos_token_id is not None:
        ends.add(tokenizer.eos_token_id)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else min(ends, default=0)
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 1 << 30
    return CausalModel(name, model, tokenizer, context, frozenset(ends | {pad}), pad)
