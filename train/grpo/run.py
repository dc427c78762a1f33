"""One run of GRPO: its folder, its parts in order, and what it measured."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
import trl
from transformers import PrinterCallback, TrainerCallback

from me2sdk.errors import ConfigurationError
from me2sdk.scorers.local import as_configuration_error, pick_device, quiet_loading
from me2sdk.train._runs import (
    LogFile,
    checkpoint_step,
    checkpointing,
    complete_checkpoint,
    find_model,
    model_name,
    no_deprecations,
    peft_config,
    read_report,
    read_settings,
    refuse_other_settings,
    write_json,
    write_report,
)
from me2sdk.train.grpo.config import GRPOConfig, GRPOReport
from me2sdk.train.grpo.curves import curve_point, write_curves
from me2sdk.train.grpo.data import Row, held_out_rows, training_rows
from me2sdk.train.grpo.held_out import HeldOutCallback, trainer_prompt
from me2sdk.train.progress import OnProgress
from me2sdk.train.rewards import GatedReward

__all__ = ["CUT_STEPS", "Run"]

CUT_STEPS = 3
"""A run stops after so many steps in a row in which nearly all completions were cut."""

_log = logging.getLogger(__name__)


class Run:
    """A run in its folder. Arguments as in `train_grpo`."""

    def __init__(self, config: GRPOConfig) -> None:
        self.config = config
        self.folder = Path(config.output)

    def train(self, on_progress: OnProgress | None) -> GRPOReport:
        """Train, or go on, or read what a finished run reported."""
        config, folder = self.config, self.folder
        before = read_settings(folder)
        if before is not None:
            refuse_other_settings(folder, before, config.identity())
        finished = read_report(folder, GRPOReport)
        if finished is not None and finished.steps >= config.steps:
            return finished
        source = find_model(config.model)
        tokenizer = _tokenizer(source)
        rows, left_out = _fitting(training_rows(config), config, tokenizer)
        measured = held_out_rows(config)
        arguments = training_arguments(config, folder / "checkpoints")
        if arguments.process_index == 0:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / "settings.json", config.identity())
        transformers.set_seed(config.seed)
        reward = GatedReward(config.reward.scorer, alpha=config.reward.alpha, model=config.reward.verifier)
        logs = LogFile(folder / "log.jsonl", on_progress)
        model = _model(config, source)
        with no_deprecations(), quiet_loading():  # it also draws bars while it saves
            trainer = _Trainer(
                model=model,
                reward_funcs=reward,
                args=arguments,
                train_dataset=datasets.Dataset.from_list([trainer_prompt(row, tokenizer) for row in rows]),
                processing_class=tokenizer,
                callbacks=[_CutGuard(config), logs],
                peft_config=peft_config(config.lora, model, task_type="CAUSAL_LM") if config.lora else None,
            )
            held_out = HeldOutCallback(config, measured, tokenizer, reward, folder / "held_out.jsonl")
            trainer.add_callback(held_out)
            trainer.remove_callback(PrinterCallback)  # a library does not print
            checkpoint = complete_checkpoint(folder / "checkpoints")
            with logs, held_out:
                trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            trainer.save_model(str(folder))
        report = GRPOReport(
            output=str(folder),
            model=model_name(config.model),
            prompts=len(rows),
            left_out=left_out,
            steps=trainer.state.global_step,
            resumed_from=checkpoint_step(checkpoint),
            seconds=logs.seconds,
            score_failures=reward.score_failures,
            undecided=reward.undecided,
            curve=tuple(curve_point(line) for line in logs.records),
            held_out=tuple(held_out.measured),
        )
        if trainer.is_world_process_zero():
            write_curves(report, folder)
            write_report(folder, report)
        return report


class _Trainer(trl.GRPOTrainer):  # type: ignore[misc]
    def create_model_card(self, *args: Any, **options: Any) -> None:
        """Write no card beside each checkpoint."""


class _CutGuard(TrainerCallback):  # type: ignore[misc]
    """Stops a run whose completions are nearly all cut off: they have no answer, so every reward is 0."""

    def __init__(self, config: GRPOConfig) -> None:
        self.config = config
        self.running = 0
        self.warned = False

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **rest: Any) -> None:
        share = logs.get("completions/clipped_ratio")
        if share is None:
            return
        self.running = self.running + 1 if share > self.config.max_clipped else 0
        longest = self.config.max_completion_length
        if self.running >= CUT_STEPS:
            raise ConfigurationError(
                f"{share:.0%} of the completions were cut at max_completion_length={longest} in each of the last "
                f"{CUT_STEPS} steps. What is cut has no answer, so its reward is 0 and nothing is learnt. Raise "
                "max_completion_length, or ask for shorter answers (instruction)."
            )
        if share > 0.5 and not self.warned:
            self.warned = True
            _log.warning(
                "%.0f%% of the completions of step %d were cut at max_completion_length=%d and count as wrong.",
                100 * share,
                state.global_step,
                longest,
            )


def training_arguments(config: GRPOConfig, folder: Path) -> trl.GRPOConfig:
    """The settings as TRL takes them; checkpoints go to ``folder``.

    Raises:
        ConfigurationError: TRL refuses them.
    """
    device = pick_device("auto")
    low = config.dtype == "bfloat16"
    try:
        return trl.GRPOConfig(
            output_dir=str(folder),
            max_steps=config.steps,
            learning_rate=config.learning_rate,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=config.warmup_steps,
            per_device_train_batch_size=config.batch_size,
            gradient_accumulation_steps=config.gradient_accumulation,
            steps_per_generation=config.steps_per_generation,
            num_generations=config.generations,
            temperature=config.temperature,
            max_completion_length=config.max_completion_length,
            beta=config.kl_beta,
            epsilon=config.clip,
            delta=config.dual_clip,
            entropy_coef=config.entropy_coef,
            loss_type="grpo",
            scale_rewards="group",  # (r - mean) / std over the group, paper App. G.3
            pad_to_multiple_of=_multiple(config) if device.type == "cpu" and low else None,
            bf16=low,
            use_cpu=device.type == "cpu",
            seed=config.seed,
            save_strategy="steps",
            save_steps=config.save_steps,
            save_total_limit=2,
            logging_steps=1,
            dataloader_pin_memory=device.type == "cuda",
            report_to="none",
            disable_tqdm=True,
            **checkpointing(config.gradient_checkpointing),
        )
    except ValueError as error:
        raise ConfigurationError(f"These settings do not fit each other: {error}") from None


def _multiple(config: GRPOConfig) -> int:
    """oneDNN keeps memory for every distinct shape that a bfloat16 pass on a CPU meets, so there must be few."""
    return 16 if config.max_completion_length <= 256 else 64


def _tokenizer(source: str) -> Any:
    with as_configuration_error(source):
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _fitting(rows: list[Row], config: GRPOConfig, tokenizer: Any) -> tuple[list[Row], int]:
    """The rows whose prompts are short enough, and how many are not."""
    kept = []
    for row in rows:
        prompt = trainer_prompt(row, tokenizer)["prompt"]
        text = prompt if isinstance(prompt, str) else tokenizer.apply_chat_template(prompt, tokenize=False)
        if len(tokenizer(text)["input_ids"]) <= config.max_prompt_length:
            kept.append(row)
    if not kept:
        raise ConfigurationError(
            f"All {len(rows)} prompts have more than max_prompt_length={config.max_prompt_length} tokens. Raise it."
        )
    return kept, len(rows) - len(kept)


def _model(config: GRPOConfig, source: str) -> Any:
    # What is trained is held in float32, since bfloat16 swallows the steps of a small learning rate.
    dtype = getattr(torch, config.dtype) if config.lora else torch.float32
    with as_configuration_error(source), quiet_loading():
        return transformers.AutoModelForCausalLM.from_pretrained(source, dtype=dtype, use_safetensors=True)
