"""What runs of training share: their folder, their log, their checkpoints, and how models and libraries are set up."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
import transformers
from pydantic import BaseModel
from transformers import TrainerCallback

from me2sdk._jsonl import JsonlStore, refuse_changes
from me2sdk._paths import atomic_write, user_cache_dir
from me2sdk.errors import ConfigurationError
from me2sdk.scorers.local import HUB_NAME, find_smollm2
from me2sdk.train.config import LoraConfig
from me2sdk.train.progress import OnProgress, Progress

__all__ = [
    "LogFile",
    "StepLog",
    "checkpoint_step",
    "checkpointing",
    "complete_checkpoint",
    "find_model",
    "model_name",
    "no_deprecations",
    "peft_config",
    "read_report",
    "read_settings",
    "refuse_other_settings",
    "write_json",
    "write_report",
]

_SMOLLM2 = "smollm2"
_Report = TypeVar("_Report", bound=BaseModel)


def find_model(name: str) -> str:
    """The name or folder that transformers loads a model from; "smollm2" is looked for on this machine first."""
    return find_smollm2(cache=user_cache_dir() / "models") if name == _SMOLLM2 else name


def model_name(name: str) -> str:
    """The name of a model for others: in reports, cards and adapters."""
    return HUB_NAME if name == _SMOLLM2 else name


def checkpointing(on: bool) -> dict[str, bool]:
    """The argument of a trainer that computes activations again in the backward pass."""
    renamed = hasattr(transformers.TrainingArguments, "activation_checkpointing")  # in transformers 5
    return {"activation_checkpointing" if renamed else "gradient_checkpointing": on}


@contextmanager
def no_deprecations() -> Iterator[None]:
    """Silence what the libraries warn each other of: we choose their versions, not the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def peft_config(lora: LoraConfig, model: Any, **options: Any) -> Any:
    """Adapters in the form that PEFT takes.

    Args:
        lora: the adapters.
        model: the model that gets them. Its head gets none.
        options: other arguments of PEFT's ``LoraConfig`` (``task_type``, …).

    Raises:
        ConfigurationError: peft is not installed, or the model has no such layers.
    """
    try:
        import peft
    except ImportError:
        raise ConfigurationError('Adapters need peft. Run: pip install "me2sdk[train]"') from None
    head = model.get_output_embeddings()
    linear = {
        name.rpartition(".")[2]
        for name, part in model.base_model.named_modules()
        if isinstance(part, torch.nn.Linear) and part is not head
    }
    targets = linear if lora.targets == "all-linear" else set(lora.targets)
    if unknown := targets - linear:
        raise ConfigurationError(
            f"lora.targets names {', '.join(sorted(unknown))}, but the model's linear layers are "
            f"{', '.join(sorted(linear))}."
        )
    blocks = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    if lora.layers is not None and blocks is not None and not set(lora.layers) <= set(range(blocks)):
        raise ConfigurationError(f"lora.layers are numbers from 0 to {blocks - 1}, not {lora.layers}.")
    return peft.LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=sorted(targets),
        layers_to_transform=lora.layers,
        **options,
    )


def read_settings(folder: Path) -> dict[str, Any] | None:
    """What ``settings.json`` of a run holds, or None where there is no such file.

    Raises:
        ConfigurationError: the file is damaged.
    """
    path = folder / "settings.json"
    try:
        settings: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise ConfigurationError(f"{path} is damaged. Give another output folder.") from None
    return settings


def refuse_other_settings(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to go on with a run whose settings have changed.

    Raises:
        ConfigurationError: they have; the message names each difference.
    """
    refuse_changes(f"{folder} holds a run", before, now, "another output")


def write_json(path: Path, value: Any) -> None:
    """Write a file of JSON, whole or not at all."""
    with atomic_write(path) as draft:
        draft.write_text(json.dumps(value, indent=2) + "\n", "utf-8")


def read_report(folder: Path, kind: type[_Report]) -> _Report | None:
    """What a finished run reported, or None where it is not finished."""
    path = folder / "report.json"
    return kind.model_validate_json(path.read_text("utf-8")) if path.is_file() else None


def write_report(folder: Path, report: BaseModel) -> None:
    """Write ``report.json``, which says that a run is finished."""
    with atomic_write(folder / "report.json") as draft:
        draft.write_text(report.model_dump_json(indent=2) + "\n", "utf-8")


def complete_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end, or None.

    A kill may leave half of one. The trainer writes its state last, so what has it is whole.
    """
    found = [path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    for path in sorted(found, key=lambda path: -int(path.name.rpartition("-")[2])):
        try:
            json.loads((path / "trainer_state.json").read_text("utf-8"))
            return path
        except (OSError, ValueError):
            continue
    return None


def checkpoint_step(checkpoint: Path | None) -> int | None:
    """The step of a checkpoint."""
    return None if checkpoint is None else int(checkpoint.name.rpartition("-")[2])


class _Steps(JsonlStore):
    """Records by step. Those past the step that a run resumes from are cut off."""

    foreign = "no run wrote"
    other = "another output folder"

    def __init__(self, path: Path, *, last: int, write: bool) -> None:
        self.records: list[dict[str, Any]] = []
        self._last = last
        self._past: int | None = None
        super().__init__(path, write=write)
        if self._past is not None:
            self.cut(self._past)

    def take(self, record: dict[str, Any], place: int, length: int) -> None:
        """Take up a record."""
        if self._past is None and record["step"] > self._last:
            self._past = place
        if self._past is None:
            self.records.append(record)


class StepLog(TrainerCallback):  # type: ignore[misc]
    """A JSONL file with records of a run by step, which begins where the checkpoint was written.

    The first process writes; all of them know the records. Leave the context to close the file.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._steps: _Steps | None = None
        self.closed = False

    @property
    def records(self) -> list[dict[str, Any]]:
        """What the file holds, in order."""
        return [] if self._steps is None else self._steps.records

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Open the file."""
        self._steps = _Steps(self.path, last=state.global_step, write=state.is_world_process_zero)

    def append(self, record: dict[str, Any]) -> None:
        """Append a record and put it on disk."""
        assert self._steps is not None
        self._steps.records.append(record)
        self._steps.append(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.closed = True
        if self._steps is not None:
            self._steps.close()


class LogFile(StepLog):
    """Appends what is logged while the trainer trains, and asks for a validation after the last step.

    Args:
        path: the file.
        on_progress: called with each record.
    """

    def __init__(self, path: Path, on_progress: OnProgress | None) -> None:
        super().__init__(path)
        self.on_progress = on_progress
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training so far, runs before a stop included."""
        return float(self.records[-1]["seconds"]) if self.records else 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Open the file, and let the clock go on from where it stopped."""
        super().on_train_begin(args, state, control, **rest)
        self._start = time.monotonic() - self.seconds

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **rest: Any) -> None:
        """Append a line."""
        if self.closed or ("loss" not in logs and "eval_loss" not in logs):
            return  # the summary of the whole run
        seconds = round(time.monotonic() - self._start, 1)
        known = {name: value for name, value in logs.items() if value is not None}
        record = {"step": state.global_step, "seconds": seconds, **known}
        self.append(record)
        if state.is_world_process_zero and self.on_progress:
            self.on_progress(Progress("training", state.global_step, state.max_steps, record))

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Ask for a validation after the last step, which may be the best."""
        if state.global_step >= state.max_steps and str(args.eval_strategy.value) != "no":
            control.should_evaluate = True
