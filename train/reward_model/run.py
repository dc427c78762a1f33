"""One run of training a reward model: its folder, its parts in order, and what it measured."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import transformers

from me2sdk.errors import ConfigurationError
from me2sdk.scorers.local import pick_device, quiet_loading
from me2sdk.train.reward_model.card import draw_curve, model_card
from me2sdk.train.reward_model.config import Curve, PairAccuracy, RewardModelConfig, RewardModelReport
from me2sdk.train.reward_model.data import TokenizedPairs, tokenize_pairs
from me2sdk.train.reward_model.export import export
from me2sdk.train.reward_model.model import base_name, find_base, load_base, load_tokenizer, lora_config
from me2sdk.train.reward_model.trainer import (
    LogFile,
    PairTrainer,
    complete_checkpoint,
    training_arguments,
)

__all__ = ["Run"]


class Run:
    """A run in its folder. Arguments as in `train_reward_model`."""

    def __init__(self, config: RewardModelConfig) -> None:
        self.config = config
        self.folder = Path(config.output)

    def train(self, on_log: Callable[[dict[str, Any]], None] | None) -> RewardModelReport:
        """Train, or go on, or read what a finished run reported."""
        config, folder = self.config, self.folder
        settings = self._settings()
        if settings is not None:
            _refuse_changes(folder, settings["config"], config.identity())
        report_file = folder / "report.json"
        if settings is not None and report_file.is_file():
            return RewardModelReport.model_validate_json(report_file.read_text("utf-8"))
        device = pick_device("auto")
        arguments = training_arguments(config, folder / "checkpoints", device)
        base = find_base(config)
        tokenizer = load_tokenizer(base)
        data = self._data(tokenizer, arguments)
        transformers.set_seed(config.seed)  # for the head
        model = load_base(config, base, tokenizer, arguments.device)
        logs = LogFile(folder / "log.jsonl", on_log)
        validation = None if config.validation is None else _rows(data.validation, by_length=True)
        with _no_deprecations():
            trainer = PairTrainer(
                seed=config.seed,
                model=model,
                args=arguments,
                train_dataset=_rows(data.train),
                eval_dataset=validation,
                processing_class=tokenizer,
                callbacks=[logs],
                peft_config=lora_config(config.lora, model) if config.lora else None,
            )
        for parameter in trainer.model.parameters():
            if parameter.requires_grad:  # TRL turns those beside a quantized base into bfloat16
                parameter.data = parameter.data.float()
        checkpoint = complete_checkpoint(folder / "checkpoints")
        with _no_deprecations(), quiet_loading():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            logs.closed = True
            if validation is not None:
                trainer.evaluate()  # of the weights that are exported
            export(trainer, tokenizer, config, base)
        report = _report(self, data, trainer, logs, validation, checkpoint)
        if trainer.is_world_process_zero():
            draw_curve(logs.lines, folder / "curve.png")
            (folder / "README.md").write_text(model_card(config, report, data), "utf-8")
            report_file.write_text(report.model_dump_json(indent=2) + "\n", "utf-8")
        return report

    def _settings(self) -> dict[str, Any] | None:
        try:
            settings: dict[str, Any] = json.loads((self.folder / "settings.json").read_text("utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:
            raise ConfigurationError(
                f"{self.folder / 'settings.json'} is damaged. Give another output folder."
            ) from None
        return settings

    def _data(self, tokenizer: Any, arguments: Any) -> TokenizedPairs:
        """Token ids on disk: the first process writes them, the others wait and read."""
        saved = self.folder / "data" / "pairs.json"
        if arguments.process_index == 0:
            saved.unlink(missing_ok=True)
            data = tokenize_pairs(self.config, tokenizer, self.folder / "data")
            settings = self._settings()
            if settings is not None and settings["pairs"] != data.fingerprint:
                raise ConfigurationError(
                    f"The run in {self.folder} was started on other pairs: the data changed since. Restore it, or "
                    "give another output folder."
                )
            saved.write_text(data.model_dump_json(), "utf-8")
            _write(
                self.folder / "settings.json", {"config": self.config.identity(), "pairs": data.fingerprint}
            )
        arguments.distributed_state.wait_for_everyone()
        try:
            return TokenizedPairs.model_validate_json(saved.read_text("utf-8"))
        except FileNotFoundError:
            raise ConfigurationError(
                "The first process could not prepare the pairs; its message says why."
            ) from None


@contextmanager
def _no_deprecations() -> Iterator[None]:
    """Keep back what the libraries warn each other of; their versions are ours to choose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _write(path: Path, value: Any) -> None:
    draft = path.with_name(path.name + ".part")
    draft.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
    draft.replace(path)


def _refuse_changes(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    if before == now:
        return
    changed = ", ".join(
        f"{name}: {before.get(name)!r} -> {now.get(name)!r}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    )
    raise ConfigurationError(
        f"{folder} holds a run with other settings ({changed}). Go on with the same ones or give another output."
    )


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
        for line in logs.lines
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
        resumed_from=int(checkpoint.name.rpartition("-")[2]) if checkpoint else None,
        seconds=logs.lines[-1]["seconds"] if logs.lines else 0.0,
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
