"""One run of training a reward model: its folder, its parts in order, and what it measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import transformers

from me2sdk.errors import ConfigurationError
from me2sdk.scorers.local import pick_device, quiet_loading
from me2sdk.train._runs import (
    LogFile,
    checkpoint_step,
    complete_checkpoint,
    find_model,
    no_deprecations,
    peft_config,
    read_report,
    read_settings,
    refuse_other_settings,
    write_json,
    write_report,
)
from me2sdk.train.progress import OnProgress
from me2sdk.train.reward_model.card import draw_curve, model_card
from me2sdk.train.reward_model.config import Curve, PairAccuracy, RewardModelConfig, RewardModelReport
from me2sdk.train.reward_model.data import TokenizedPairs, tokenize_pairs
from me2sdk.train.reward_model.export import export
from me2sdk.train.reward_model.model import base_name, load_base, load_tokenizer
from me2sdk.train.reward_model.trainer import PairTrainer, training_arguments

__all__ = ["Run"]


class Run:
    """A run in its folder. Arguments as in `train_reward_model`."""

    def __init__(self, config: RewardModelConfig) -> None:
        self.config = config
        self.folder = Path(config.output)

    def train(self, on_progress: OnProgress | None) -> RewardModelReport:
        """Train, or go on, or read what a finished run reported."""
        config, folder = self.config, self.folder
        settings = read_settings(folder)
        if settings is not None:
            refuse_other_settings(folder, settings["config"], config.identity())
            if finished := read_report(folder, RewardModelReport):
                return finished
        device = pick_device("auto")
        arguments = training_arguments(config, folder / "checkpoints", device)
        base = find_model(config.base)
        tokenizer = load_tokenizer(base)
        data = self._data(tokenizer, arguments)
        transformers.set_seed(config.seed)  # for the head
        model = load_base(config, base, tokenizer, arguments.device)
        logs = LogFile(folder / "log.jsonl", on_progress)
        validation = None if config.validation is None else _rows(data.validation, by_length=True)
        with no_deprecations():
            trainer = PairTrainer(
                seed=config.seed,
                model=model,
                args=arguments,
                train_dataset=_rows(data.train),
                eval_dataset=validation,
                processing_class=tokenizer,
                callbacks=[logs],
                peft_config=_adapters(config, model),
            )
        for parameter in trainer.model.parameters():
            if parameter.requires_grad:  # TRL turns those beside a quantized base into bfloat16
                parameter.data = parameter.data.float()
        checkpoint = complete_checkpoint(folder / "checkpoints")
        with no_deprecations(), quiet_loading():
            with logs:
                trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            if validation is not None:
                trainer.evaluate()  # of the weights that are exported
            export(trainer, tokenizer, config, base)
        report = _report(self, data, trainer, logs, validation, checkpoint)
        if trainer.is_world_process_zero():
            draw_curve(logs.records, folder / "curve.png")
            (folder / "README.md").write_text(model_card(config, report, data), "utf-8")
            write_report(folder, report)
        return report

    def _data(self, tokenizer: Any, arguments: Any) -> TokenizedPairs:
        """Token ids on disk: the first process writes them, the others wait and read."""
        saved = self.folder / "data" / "pairs.json"
        if arguments.process_index == 0:
            saved.unlink(missing_ok=True)
            data = tokenize_pairs(self.config, tokenizer, self.folder / "data")
            settings = read_settings(self.folder)
            if settings is not None and settings["pairs"] != data.fingerprint:
                raise ConfigurationError(
                    f"The run in {self.folder} was started on other pairs: the data changed since. Restore it, or "
                    "give another output folder."
                )
            saved.write_text(data.model_dump_json(), "utf-8")
            settings = {"config": self.config.identity(), "pairs": data.fingerprint}
            write_json(self.folder / "settings.json", settings)
        arguments.distributed_state.wait_for_everyone()
        try:
            return TokenizedPairs.model_validate_json(saved.read_text("utf-8"))
        except FileNotFoundError:
            raise ConfigurationError(
                "The first process could not prepare the pairs; its message says why."
            ) from None


def _adapters(config: RewardModelConfig, model: Any) -> Any:
    if config.lora is None:
        return None
    heads = [name for name, _ in model.named_children() if name != model.base_model_prefix]
    return peft_config(config.lora, model, task_type="SEQ_CLS", modules_to_save=heads)


def _rows(path: Path, by_length: bool = False) -> Any:
    rows = datasets.Dataset.from_file(str(path))
    if not by_length:
        return rows
    lengths = list(rows["length"])
    return rows.select(sorted(range(len(lengths)), key=lambda i: -lengths[i]))


def _report(
    run: Run,
    data: TokenizedPairs,
    trainer: PairTrainer,
    logs: LogFile,
    validation: Any,
    checkpoint: Path | None,
) -> RewardModelReport:
    groups = _measure(validation, trainer.margins.tolist()) if validation is not None else {}
    curve = {
        line["step"]: Curve(
            step=line["step"],
            accuracy=line["eval_accuracy"],
            loss=line["eval_loss"],
            margin=line["eval_margin"],
        )
        for line in logs.records
        if "eval_loss" in line
    }
    best = trainer.state.best_global_step
    return RewardModelReport(
        output=run.config.output,
        base=base_name(run.config),
        train_pairs=data.total("train"),
        validation_pairs=data.total("validation") if validation is not None else 0,
        left_out=data.left_out,
        trainable=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        steps=trainer.state.global_step,
        best_step=best if validation is not None and best else trainer.state.global_step,
        resumed_from=checkpoint_step(checkpoint),
        seconds=logs.seconds,
        validation=groups.pop(("all", ""), None),
        by_category={name: found for (kind, name), found in groups.items() if kind == "category"},
        by_length={name: found for (kind, name), found in groups.items() if kind == "length"},
        curve=tuple(curve[step] for step in sorted(curve)),
    )


def _measure(rows: Any, margins: list[float]) -> dict[tuple[str, str], PairAccuracy]:
    groups: dict[tuple[str, str], list[tuple[bool, float]]] = {}
    for row, margin in zip(rows, margins, strict=True):
        more = len(row["chosen_ids"]) - len(row["rejected_ids"])
        shorter = 0.5 if more == 0 else float(more < 0)
        side = "longer" if more > 0 else "shorter" if more < 0 else "equal"
        for key in (("all", ""), ("category", row["category"]), ("length", side)):
            groups.setdefault(key, []).append((margin > 0, shorter))
    return {
        key: PairAccuracy(
            pairs=len(found),
            accuracy=sum(right for right, _ in found) / len(found),
            shorter_wins=sum(shorter for _, shorter in found) / len(found),
        )
        for key, found in sorted(groups.items())
    }
