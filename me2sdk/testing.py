"""Test doubles for applications that use me2sdk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from me2sdk.errors import ConfigurationError

__all__ = ["tiny_reward_model"]

_CONTEXT = 8192


def tiny_reward_model(
    path: str | os.PathLike[str], *, architecture: Literal["llama", "qwen2", "bert"] = "llama", seed: int = 0
) -> Path:
    """Write a tiny reward model with random weights, for tests. `TRMScorer(path)` loads it in no time.

    Its scores mean nothing, but they are deterministic and differ from text to text. One token is one byte,
    and the context is 8192 tokens. Needs ``pip install "me2sdk[local]"``; nothing is downloaded.

    Args:
        path: the folder to write, created if need be: config, safetensors and tokenizer.
        architecture: "llama" (as TRM-8B: the text gets a leading special token), "qwen2" (no special tokens)
            or "bert" (an encoder, with special tokens at both ends).
        seed: of the weights. The same seed gives the same weights.

    Returns:
        ``path``.

    Raises:
        ConfigurationError: the architecture is unknown, or torch and transformers are not installed.
    """
    if architecture not in ("llama", "qwen2", "bert"):
        raise ConfigurationError(f'architecture is "llama", "qwen2" or "bert", not {architecture!r}.')
    try:
        import torch
        import transformers
        from safetensors.torch import save_file
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    except ImportError as error:
        raise ConfigurationError(
            f'tiny_reward_model needs torch and transformers ({error}). Run: pip install "me2sdk[local]"'
        ) from error

    bos, eos, pad = specials = ["<bos>", "<eos>", "<pad>"]
    symbols = specials + sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={symbol: index for index, symbol in enumerate(symbols)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    template = {"llama": f"{bos} $A", "qwen2": "$A", "bert": f"{bos} $A {eos}"}[architecture]
    core.post_processor = processors.TemplateProcessing(single=template, special_tokens=[(bos, 0), (eos, 1)])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=bos, eos_token=eos, pad_token=pad, model_max_length=_CONTEXT
    )

    config_class = {
        "llama": transformers.LlamaConfig,
        "qwen2": transformers.Qwen2Config,
        "bert": transformers.BertConfig,
    }[architecture]
    config = config_class(
        vocab_size=len(symbols),
        # Multiples of 64, which 4-bit quantization needs.
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=_CONTEXT,
        num_labels=1,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        # Wide enough that different texts get clearly different scores.
        initializer_range=0.3,
        **({} if architecture == "bert" else {"num_key_value_heads": 2}),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classes = transformers.AutoModelForSequenceClassification
        model = classes.from_config(config)
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    # Not model.save_pretrained, which draws a progress bar.
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(folder)
    return folder
