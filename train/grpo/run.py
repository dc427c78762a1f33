"""One run of GRPO: its folder, its parts in order, and what it measured."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from me2sdk._jsonl import changes
from me2sdk._paths import user_cache_dir
from me2sdk.errors import ConfigurationError
from me2sdk.scorers.local import HUB_NAME, as_configuration_error, find_smollm2, pick_device, quiet_loading
from me2sdk.train.grpo.config import GRPOReport, GRPOSettings
from me2sdk.train.grpo.curves import curve_point, write_curves
from me2sdk.train.grpo.data import Row, held_out_rows, training_rows
from me2sdk.train.grpo.held_out import HeldOutCallback, trainer_prompt
from me2sdk.train.reward_model import LogFile, LoraSettings, complete_checkpoint
from me2sdk.train.rewards import GatedReward

__all__ = ["CUT_STEPS", "Run"]

CUT_STEPS = 3
"""So many steps running with nearly all completions cut stop a run."""

_SMOLLM2 = "smollm2"
_CHECKPOINTING = (  # renamed in transformers 5
    "activation_checkpointing"
    if hasattr(GRPOConfig, "activation_checkpointing")
    else "gradient_checkpointing"
)
_log = logging.getLogger(__name__)


class Run:
    """A run in its folder. Arguments as in `train_grpo`."""

    def __init__(self, settings: GRPOSettings) -> None:
        self.settings = settings
        self.folder = Path(settings.output)

    def train(self, on_log: Callable[[dict[str, Any]], None] | None) -> GRPOReport:
        """Train, or go on, or read what a finished run reported."""
        settings, folder = self.settings, self.folder
        _refuse_changes(folder, settings.identity())
        report_file = folder / "report.json"
        if report_file.is_file():
            report = GRPOReport.model_validate_json(report_file.read_text("utf-8"))
            if report.steps >= settings.steps:
                return report
        source = (
            find_smollm2(cache=user_cache_dir() / "models") if settings.model == _SMOLLM2 else settings.model
        )
        tokenizer = _tokenizer(source)
        rows, left_out = _fitting(training_rows(settings), settings, tokenizer)
        measured = held_out_rows(settings)
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "settings.json", json.dumps(settings.identity(), indent=2) + "\n")
        transformers.set_seed(settings.seed)
        reward = GatedReward(
            settings.reward.scorer, alpha=settings.reward.alpha, model=settings.reward.verifier
        )
        logs = LogFile(folder / "log.jsonl", on_log)
        model = _model(settings, source)
        with _no_deprecations(), quiet_loading():  # it also draws bars while it saves
            trainer = _Trainer(
                model=model,
                reward_funcs=reward,
                args=training_arguments(settings, folder / "checkpoints"),
                train_dataset=datasets.Dataset.from_list([trainer_prompt(row, tokenizer) for row in rows]),
                processing_class=tokenizer,
                callbacks=[_CutGuard(settings), logs],
                peft_config=_lora(settings.lora, model) if settings.lora else None,
            )
            held_out = HeldOutCallback(settings, measured, tokenizer, reward, folder / "held_out.jsonl")
            trainer.add_callback(held_out)
            trainer.remove_callback(PrinterCallback)  # a library does not print
            checkpoint = complete_checkpoint(folder / "checkpoints")
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            trainer.save_model(str(folder))
        report = GRPOReport(
            output=str(folder),
            model=HUB_NAME if settings.model == _SMOLLM2 else settings.model,
            prompts=len(rows),
            left_out=left_out,
            steps=trainer.state.global_step,
            resumed_from=int(checkpoint.name.rpartition("-")[2]) if checkpoint else None,
            seconds=logs.lines[-1]["seconds"],
            score_failures=reward.score_failures,
            undecided=reward.undecided,
            curve=tuple(curve_point(line) for line in logs.lines),
            held_out=tuple(held_out.measured),
        )
        if trainer.is_world_process_zero():
            write_curves(report, folder)
            _write(report_file, report.model_dump_json(indent=2) + "\n")
        return report


class _Trainer(GRPOTrainer):  # type: ignore[misc]
    def create_model_card(self, *args: Any, **options: Any) -> None:
        """Write no card beside each checkpoint."""


class _CutGuard(TrainerCallback):  # type: ignore[misc]
    """Stops a run whose completions are nearly all cut off: they have no answer, so every reward is 0."""

    def __init__(self, settings: GRPOSettings) -> None:
        self.settings = settings
        self.running = 0
        self.warned = False

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **rest: Any) -> None:
        share = logs.get("completions/clipped_ratio")
        if share is None:
            return
        self.running = self.running + 1 if share > self.settings.max_clipped else 0
        longest = self.settings.max_completion_length
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


def training_arguments(settings: GRPOSettings, folder: Path) -> GRPOConfig:
    """The settings as TRL takes them; checkpoints go to ``folder``.

    Raises:
        ConfigurationError: TRL refuses them.
    """
    device = pick_device("auto")
    low = settings.dtype == "bfloat16"
    checkpointing = {_CHECKPOINTING: settings.gradient_checkpointing}
    try:
        return GRPOConfig(
            output_dir=str(folder),
            max_steps=settings.steps,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=settings.warmup_steps,
            per_device_train_batch_size=settings.batch_size,
            gradient_accumulation_steps=settings.gradient_accumulation,
            steps_per_generation=settings.steps_per_generation,
            num_generations=settings.generations,
            temperature=settings.temperature,
            max_completion_length=settings.max_completion_length,
            beta=settings.kl_beta,
            epsilon=settings.clip,
            delta=settings.dual_clip,
            entropy_coef=settings.entropy_coef,
            loss_type="grpo",
            scale_rewards="group",  # (r - mean) / std over the group, paper App. G.3
            pad_to_multiple_of=_multiple(settings) if device.type == "cpu" and low else None,
            bf16=low,
            use_cpu=device.type == "cpu",
            seed=settings.seed,
            save_strategy="steps",
            save_steps=settings.save_steps,
            save_total_limit=2,
            logging_steps=1,
            dataloader_pin_memory=device.type == "cuda",
            report_to="none",
            disable_tqdm=True,
            **checkpointing,
        )
    except ValueError as error:
        raise ConfigurationError(f"These settings do not fit each other: {error}") from None


def _multiple(settings: GRPOSettings) -> int:
    """oneDNN keeps memory for every distinct shape that a bfloat16 pass on a CPU meets, so there must be few."""
    return 16 if settings.max_completion_length <= 256 else 64


def _tokenizer(source: str) -> Any:
    with as_configuration_error(source):
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _fitting(rows: list[Row], settings: GRPOSettings, tokenizer: Any) -> tuple[list[Row], int]:
    """The rows whose prompts are short enough, and how many are not."""
    kept = []
    for row in rows:
        prompt = trainer_prompt(row, tokenizer)["prompt"]
        text = prompt if isinstance(prompt, str) else tokenizer.apply_chat_template(prompt, tokenize=False)
        if len(tokenizer(text)["input_ids"]) <= settings.max_prompt_length:
            kept.append(row)
    if not kept:
        raise ConfigurationError(
            f"All {len(rows)} prompts have more than max_prompt_length={settings.max_prompt_length} tokens. Raise it."
        )
    return kept, len(rows) - len(kept)


def _model(settings: GRPOSettings, source: str) -> Any:
    # What is trained is held in float32, since bfloat16 swallows the steps of a small learning rate.
    dtype = getattr(torch, settings.dtype) if settings.lora else torch.float32
    with as_configuration_error(source), quiet_loading():
        return transformers.AutoModelForCausalLM.from_pretrained(source, dtype=dtype, use_safetensors=True)


def _lora(lora: LoraSettings, model: Any) -> Any:
    try:
        from peft import LoraConfig
    except ImportError:
        raise ConfigurationError('Adapters need peft. Run: pip install "me2sdk[train]"') from None
    head = model.get_output_embeddings()
    linear = {
        name.rpartition(".")[2]
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.Linear) and part is not head
    }
    targets = linear if lora.targets == "all-linear" else set(lora.targets)
    if unknown := targets - linear:
        raise ConfigurationError(
            f"lora.targets names {', '.join(sorted(unknown))}, but the model's linear layers are "
            f"{', '.join(sorted(linear))}."
        )
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=sorted(targets),
        layers_to_transform=lora.layers,
    )


@contextmanager
def _no_deprecations() -> Iterator[None]:
    """Keep back what the libraries warn each other of; their versions are ours to choose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _refuse_changes(folder: Path, now: dict[str, Any]) -> None:
    try:
        before = json.loads((folder / "settings.json").read_text("utf-8"))
    except FileNotFoundError:
        return
    except ValueError:
        raise ConfigurationError(
            f"{folder / 'settings.json'} is damaged. Give another output folder."
        ) from None
    changed = changes(before, now)
    if changed:
        raise ConfigurationError(
            f"{folder} holds a run with other settings ({changed}). Go on with the same ones or give another output."
        )


def _write(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".part")
    draft.write_text(text, "utf-8")
    draft.replace(path)
