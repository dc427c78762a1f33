"""A trained reward model as a folder that `TRMScorer` loads: safetensors, config, tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from me2sdk.scorers.local import TEMPLATE_KEY, Adapter, load_classifier
from me2sdk.train._runs import write_json
from me2sdk.train.reward_model.config import RewardModelConfig
from me2sdk.train.reward_model.model import base_name

__all__ = ["export"]


def export(trainer: Any, tokenizer: Any, config: RewardModelConfig, base: str) -> None:
    """Write the trainer's model to ``config.output``. With several processes, each has to call this.

    Adapters are written as such, with the score head; ``config.merged`` adds a whole checkpoint in ``merged/``.

    Args:
        trainer: holds the model.
        tokenizer: with the padding token that the model was trained with.
        config: the settings of the run.
        base: what the base was loaded from.
    """
    folder = Path(config.output)
    accelerator = trainer.accelerator
    if trainer.is_fsdp_enabled:  # gather the shards
        accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    weights = accelerator.get_state_dict(trainer.model)
    if not accelerator.is_main_process:
        return
    model = accelerator.unwrap_model(trainer.model)
    tokenizer.save_pretrained(folder)
    # Or the base's chat template would be taken for what it reads.
    setattr(model.config, TEMPLATE_KEY, "plain")
    if config.lora is None:
        model.config.architectures = [type(model).__name__]
        model.save_pretrained(folder, state_dict=weights)
        return
    # Whether the vocabulary grew would be looked up on the hub; it did not.
    model.save_pretrained(folder, state_dict=weights, save_embedding_layers=False)
    # The number of blocks and the padding token. How the base was quantized is no property of the adapter.
    settings = model.config.to_dict()
    settings.pop("quantization_config", None)
    settings["architectures"] = [type(model.base_model.model).__name__]
    settings.pop("_name_or_path", None)
    write_json(folder / "config.json", settings)
    recorded = folder / "adapter_config.json"
    adapter = json.loads(recorded.read_text("utf-8"))
    write_json(recorded, {**adapter, "base_model_name_or_path": base_name(config)})
    if config.merged:
        _merge(folder, tokenizer, base, getattr(torch, config.dtype), type(model.config).from_dict(settings))


def _merge(folder: Path, tokenizer: Any, base: str, dtype: torch.dtype, settings: Any) -> None:
    plain = {"trust_remote_code": False, "revision": None}
    model = load_classifier(base, settings, dtype, None, torch.device("cpu"), plain, new_head=True)
    merged = Adapter(str(folder), folder / "adapter_config.json").attach(model, merge=True)
    merged.save_pretrained(folder / "merged")
    tokenizer.save_pretrained(folder / "merged")
