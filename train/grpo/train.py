"""GRPO with the gated reward (paper §5.4, App. G.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from me2sdk.errors import ConfigurationError
from me2sdk.train.grpo.config import GRPOReport, GRPOSettings

__all__ = ["train_grpo"]


def train_grpo(
    settings: GRPOSettings, *, on_log: Callable[[dict[str, Any]], None] | None = None
) -> GRPOReport:
    """Train a language model with TRL's GRPOTrainer on questions with known answers.

    Call it again with the same settings after a stop and it goes on from the last checkpoint. A finished run
    returns its report at once, or goes on where ``steps`` was raised. Started by ``accelerate launch``, each
    process calls it.

    The folder ``settings.output`` gets the model or adapter, ``report.json``, ``log.jsonl`` (a line a step),
    ``curve.csv``, ``curve.png``, ``settings.json`` and ``checkpoints/``, which can be deleted once the run is done.

    Args:
        settings: the settings.
        on_log: called with each line of the log.

    Returns:
        What was trained, with a record a step.

    Raises:
        ConfigurationError: the settings cannot work; the data cannot be read; the folder holds a run with other
            settings; nearly all completions are cut at ``max_completion_length``; or a package of the extra
            ``train`` is missing.
        ScoringError: the scorer is gone.
    """
    try:
        import torch

        from me2sdk.train.grpo.run import Run
    except ImportError as error:
        raise ConfigurationError(f'GRPO needs {error.name}. Run: pip install "me2sdk[train]"') from None
    if settings.threads:
        torch.set_num_threads(settings.threads)
    return Run(settings).train(on_log)
