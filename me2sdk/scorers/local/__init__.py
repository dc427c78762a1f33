"""Reward models in this process. All that needs torch is here; the names load when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from me2sdk._lazy import lazy

if TYPE_CHECKING:
    from me2sdk.scorers.local.chat import (
        TEMPLATE_KEY as TEMPLATE_KEY,
        known_template as known_template,
        load_chat_template as load_chat_template,
    )
    from me2sdk.scorers.local.gguf import from_gguf as from_gguf
    from me2sdk.scorers.local.loading import (
        as_configuration_error as as_configuration_error,
        check_labels as check_labels,
        find_head as find_head,
        head_modules as head_modules,
        load_classifier as load_classifier,
        no_kernels_note as no_kernels_note,
        quantization_settings as quantization_settings,
        quiet_loading as quiet_loading,
    )
    from me2sdk.scorers.local.lora import Adapter as Adapter
    from me2sdk.scorers.local.prm import (
        PRMScorer as PRMScorer,
        is_process_reward_model as is_process_reward_model,
    )
    from me2sdk.scorers.local.reward_model import pick_device as pick_device
    from me2sdk.scorers.local.smollm2 import HUB_NAME as HUB_NAME, find_smollm2 as find_smollm2
    from me2sdk.scorers.local.trm import DType as DType, TRMScorer as TRMScorer

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "chat": (
            "TEMPLATE_KEY",
            "known_template",
            "load_chat_template",
        ),
        "gguf": ("from_gguf",),
        "loading": (
            "as_configuration_error",
            "check_labels",
            "find_head",
            "head_modules",
            "load_classifier",
            "no_kernels_note",
            "quantization_settings",
            "quiet_loading",
        ),
        "lora": ("Adapter",),
        "prm": (
            "PRMScorer",
            "is_process_reward_model",
        ),
        "reward_model": ("pick_device",),
        "smollm2": (
            "HUB_NAME",
            "find_smollm2",
        ),
        "trm": (
            "DType",
            "TRMScorer",
        ),
    },
)
