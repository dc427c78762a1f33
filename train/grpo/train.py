"""GRPO with the gated reward (paper §5.4, App. G.3)."""

from __future__ import annotations

from me2sdk.errors import ConfigurationError
from me2sdk.train.grpo.config import GRPOConfig, GRPOReport
from me2sdk.train.progress import OnProgress

__all__ = ["train_grpo"]


def train_grpo(config: GRPOConfig, *, on_progress: OnProgress | None = None) -> GRPOReport:
    """Train a language model with TRL's GRPOTrainer on questions with known answers.

    Call it again with the same settings after a stop and it continues from the last checkpoint. A finished run
    returns its report at once, or continues where ``steps`` was raised. Started by ``accelerate launch``, each
    process calls it.

    The folder ``config.output`` gets the model or adapter, ``report.json``, ``log.jsonl`` (one line per step),
    ``curve.csv``, ``curve.png``, ``settings.json`` and ``checkpoints/``, which can be deleted once the run is done.

    Args:
        config: the settings.
        on_progress: called with a `Progress` for each line of the log, which is its ``record``.

    Returns:
        What was trained, with a record per step.

    Raises:
        ConfigurationError: the settings cannot work; the data cannot be read; the folder holds a run with other
            settings; nearly all completions are cut at ``max_completion_length``; or a package of the extra
            ``train`` is missing.
        ScoringError: the scorer is gone.

    Example:
        ```python
        import transformers
        from me2sdk.testing import tiny_reward_model
        from me2sdk.train import GRPOConfig, train_grpo

        model = str(tiny_reward_model("model"))  # for its tokenizer; the language model gets random weights
        transformers.LlamaForCausalLM(transformers.AutoConfig.from_pretrained(model)).save_pretrained(model)
        size = {"generations": 2, "batch_size": 2, "max_completion_length": 8, "max_clipped": 1}
        print(train_grpo(GRPOConfig(model=model, output="trained", steps=1, **size)).steps)  # 1
        ```
    """
    try:
        import torch

        from me2sdk.train.grpo.run import Run
    except ImportError as error:
        raise ConfigurationError(f'GRPO needs {error.name}. Run: pip install "me2sdk[train]"') from None
    if config.threads:
        torch.set_num_threads(config.threads)
    return Run(config).train(on_progress)
