"""Training a Thinking Reward Model on preference pairs (paper §5.1, App. G.1)."""

from __future__ import annotations

import importlib.util

from me2sdk.errors import ConfigurationError
from me2sdk.train.progress import OnProgress
from me2sdk.train.reward_model.config import RewardModelConfig, RewardModelReport

__all__ = ["train_reward_model"]

_NEEDED = ("torch", "transformers", "trl", "peft", "datasets", "pyarrow", "matplotlib")


def train_reward_model(
    config: RewardModelConfig, *, on_progress: OnProgress | None = None
) -> RewardModelReport:
    """Train a reward model with TRL's RewardTrainer, choose the checkpoint that is best on held-out pairs, export it.

    Call it again with the same settings after a stop and it continues from the last checkpoint; a finished run
    returns its report at once. Started by ``accelerate launch``, each process calls it.

    The folder ``config.output`` gets the model (`TRMScorer` loads the folder), ``README.md`` (a model card),
    ``report.json``, ``log.jsonl`` (one line every few steps), ``curve.png``, ``settings.json``, ``data/`` (token ids)
    and ``checkpoints/``; the last two can be deleted once the run is done.

    Args:
        config: the settings.
        on_progress: called with a `Progress` for each line of the log, which is its ``record``.

    Returns:
        What was trained and how well it does on the validation pairs.

    Raises:
        ConfigurationError: the settings cannot work; too many pairs are unusable; the folder holds a run with
            other settings or data; or a package of the extra ``train`` is missing.
        InvalidTraceError: a record of the data is no preference pair.

    Example:
        ```python
        from me2sdk import Trace
        from me2sdk.testing import tiny_reward_model
        from me2sdk.train import Preference, RewardModelConfig, train_reward_model, write_preferences

        good, poor = Trace.from_text("It is 4."), Trace.from_text("It is 5.")
        write_preferences("pairs.jsonl", [Preference(question="2 + 2?", chosen=good, rejected=poor)] * 4)
        base = str(tiny_reward_model("base"))  # or "smollm2"
        config = RewardModelConfig(base=base, output="trm", train=["pairs.jsonl"], validation=None, max_steps=1)
        print(train_reward_model(config).steps)  # 1
        ```
    """
    # All of them now: a package that is missing at the end would be noticed hours later.
    for package in _NEEDED:
        if importlib.util.find_spec(package) is None:
            raise ConfigurationError(
                f'Training a reward model needs {package}. Run: pip install "me2sdk[train]"'
            )
    import torch

    from me2sdk.scorers.local import no_kernels_note

    with no_kernels_note():
        from me2sdk.train.reward_model.run import Run
    if config.threads:
        torch.set_num_threads(config.threads)
    return Run(config).train(on_progress)
