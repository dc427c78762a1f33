"""A two-layer random language model with a token a byte, for runs of GRPO that take seconds."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

from me2sdk.testing import tiny_reward_model


def tiny_policy(path: Path, *, seed: int = 0) -> Path:
    """Write the model and its tokenizer, and return the folder."""
    tiny_reward_model(path)  # for its tokenizer
    config = transformers.LlamaConfig(
        vocab_size=259,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.LlamaForCausalLM(config)
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(path)
    save_file(model.state_dict(), path / "model.safetensors", metadata={"format": "pt"})
    return path
