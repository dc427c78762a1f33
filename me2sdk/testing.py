"""Test doubles for applications that use me2sdk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from me2sdk.errors import ConfigurationError

__all__ = ["tiny_process_reward_model", "tiny_reward_model"]

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
    _need_transformers("tiny_reward_model")
    import torch
    import transformers
    from safetensors.torch import save_file

    bos, eos = "<bos>", "<eos>"
    template = {"llama": f"{bos} $A", "qwen2": "$A", "bert": f"{bos} $A {eos}"}[architecture]
    tokenizer, size = _byte_tokenizer([bos, eos, "<pad>"], template)

    config_class = {
        "llama": transformers.LlamaConfig,
        "qwen2": transformers.Qwen2Config,
        "bert": transformers.BertConfig,
    }[architecture]
    config = config_class(
        vocab_size=size,
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


# As Qwen's own: a default system message where none is given.
_CHAT_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
)


def tiny_process_reward_model(path: str | os.PathLike[str], *, seed: int = 0) -> Path:
    """Write a tiny process reward model with random weights, for tests. `PRMScorer(path)` loads it in no time.

    Its architecture and the names of its weights are those of Qwen2.5-Math-PRM-7B. Its probabilities mean nothing,
    but they are deterministic and differ from text to text. One token is one byte, and the context is 8192 tokens.
    Needs ``pip install "me2sdk[local]"``; nothing is downloaded.

    Args:
        path: the folder to write, created if need be: config, safetensors and tokenizer.
        seed: of the weights. The same seed gives the same weights.

    Returns:
        ``path``.

    Raises:
        ConfigurationError: torch and transformers are not installed.
    """
    _need_transformers("tiny_process_reward_model")
    import torch
    import transformers
    from safetensors.torch import save_file

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<extra_0>"]
    tokenizer, size = _byte_tokenizer(specials, "$A", eos="<|im_end|>", pad="<|endoftext|>")
    tokenizer.chat_template = _CHAT_TEMPLATE
    config = transformers.Qwen2Config(
        vocab_size=size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=_CONTEXT,
        tie_word_embeddings=False,
        initializer_range=0.3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        base = transformers.AutoModel.from_config(config)
        head = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))
    weights = {f"model.{name}": weight for name, weight in base.state_dict().items()}
    weights |= {f"score.{name}": weight for name, weight in head.state_dict().items()}
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    config.architectures = ["Qwen2ForProcessRewardModel"]
    config.auto_map = {"AutoModel": "modeling_qwen2_rm.Qwen2ForProcessRewardModel"}
    config.save_pretrained(folder)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(folder)
    return folder


def _need_transformers(name: str) -> None:
    try:
        import tokenizers  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f'{name} needs torch and transformers ({error}). Run: pip install "me2sdk[local]"'
        ) from error


def _byte_tokenizer(specials: list[str], template: str, **roles: str) -> tuple[Any, int]:
    """A tokenizer of bytes and special tokens, and the size of its vocabulary.

    Args:
        specials: the special tokens; without ``roles`` the first three are those for beginning, end and padding.
        template: how a text is framed.
        **roles: "eos" and "pad", where the model has other tokens for them and none for the beginning.
    """
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    symbols = specials + sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={symbol: index for index, symbol in enumerate(symbols)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(token, index) for index, token in enumerate(specials[:2])]
    )
    core.add_special_tokens(specials)
    roles = roles or dict(zip(("bos", "eos", "pad"), specials, strict=False))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=_CONTEXT,
        **{f"{role}_token": token for role, token in roles.items()},
    )
    return tokenizer, len(symbols)
