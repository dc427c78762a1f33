"""GRPO with gated thinking rewards (paper §5.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from me2sdk._lazy import lazy

if TYPE_CHECKING:
    from me2sdk.train.grpo.config import (
        GRPOConfig as GRPOConfig,
        GRPOReport as GRPOReport,
        HeldOut as HeldOut,
        HeldOutAnswer as HeldOutAnswer,
        HeldOutConfig as HeldOutConfig,
        ProblemConfig as ProblemConfig,
        RewardConfig as RewardConfig,
    )
    from me2sdk.train.grpo.train import train_grpo as train_grpo
    from me2sdk.train.grpo.word_problems import (
        WordProblem as WordProblem,
        make_word_problems as make_word_problems,
    )

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "config": (
            "GRPOConfig",
            "GRPOReport",
            "HeldOut",
            "HeldOutAnswer",
            "HeldOutConfig",
            "ProblemConfig",
            "RewardConfig",
        ),
        "train": ("train_grpo",),
        "word_problems": (
            "WordProblem",
            "make_word_problems",
        ),
    },
)
