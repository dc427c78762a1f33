"""TRL's `RewardTrainer` with exact validations, batches of like length, a log on disk, and safe resuming."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers import PrinterCallback, TrainerCallback
from trl import RewardConfig, RewardTrainer

from me2sdk.train.reward_model.config import RewardModelConfig

__all__ = ["LengthGroups", "LogFile", "PairTrainer", "complete_checkpoint", "training_arguments"]

# oneDNN keeps memory for every distinct shape that a bfloat16 pass on a CPU meets.
_CPU_BF16_MULTIPLE = 64
_BATCHES_A_GROUP = 50
# Renamed in transformers 5.
_CHECKPOINTING = (
    "activation_checkpointing"
    if hasattr(RewardConfig, "activation_checkpointing")
    else "gradient_checkpointing"
)


class LengthGroups(Sampler[int]):
    """Random batches of rows of like length, so that little is padding; the longest batch comes first.

    What would not fit the memory shows in the first step, not hours later. The order hangs on the seed and the
    epoch alone, so a resumed run meets the same batches.

    Args:
        lengths: of each row.
        batch_size: rows a batch.
        seed: of the order.
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of another epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        random = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(self.lengths), generator=random).tolist()
        group = self.batch_size * max(1, min(_BATCHES_A_GROUP, len(order) // (self.batch_size * 4)))
        grouped = [
            index
            for start in range(0, len(order), group)
            for index in sorted(order[start : start + group], key=lambda i: -self.lengths[i])
        ]
        # Only the last batch may be short, so it keeps its place.
        whole = len(grouped) - len(grouped) % self.batch_size
        batches = [grouped[start : start + self.batch_size] for start in range(0, whole, self.batch_size)]
        batches = [batches[k] for k in torch.randperm(len(batches), generator=random).tolist()]
        longest = max(range(len(batches)), key=lambda k: max(self.lengths[i] for i in batches[k]), default=0)
        batches[:1], batches[longest : longest + 1] = batches[longest : longest + 1], batches[:1]
        yield from (index for batch in [*batches, grouped[whole:]] for index in batch)


class PairTrainer(RewardTrainer):  # type: ignore[misc]
    """`RewardTrainer` whose validation figures are exact, and which keeps a checkpoint of each new best.

    TRL averages over batches, which counts the pairs of a short last batch more than others.

    Attributes:
        margins: r_chosen − r_rejected of every validation pair in order, from the last validation.
    """

    def __init__(self, *, seed: int, **arguments: Any) -> None:
        self._order_seed = seed
        self._seen: list[torch.Tensor] = []
        self.margins = torch.empty(0)
        super().__init__(**arguments)
        self.remove_callback(PrinterCallback)  # a library does not print

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        rows = self.train_dataset if train_dataset is None else train_dataset
        return LengthGroups(list(rows["length"]), self.args.train_batch_size, self._order_seed)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Bradley-Terry loss with centring, as TRL computes it (paper App. G.1)."""
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if not self.model.training:
            chosen, rejected = outputs.logits.detach().float().squeeze(-1).chunk(2)
            self._seen.append(self.accelerator.gather_for_metrics(chosen - rejected).cpu())
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, with exact figures in place of averages over batches."""
        if not self.model.training and self._seen:
            self.margins, self._seen = torch.cat(self._seen), []
            averages = self._metrics["eval"]
            averages["accuracy"] = [float((self.margins > 0).float().mean())]
            averages["margin"] = [float(self.margins.mean())]
            logs["eval_loss"] = float(-torch.nn.functional.logsigmoid(self.margins).mean())
        super().log(logs, start_time)

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        best = bool(super()._determine_best_metric(metrics, trial))
        if best:  # or the best weights would be lost unless a checkpoint happens to be due
            self.control.should_save = True
        return best

    def create_model_card(self, *args: Any, **options: Any) -> None:
        """Write no card beside each checkpoint; the export writes one."""


class LogFile(TrainerCallback):  # type: ignore[misc]
    """Appends what is logged to a JSONL file, a line at a time, and asks for a validation after the last step.

    Args:
        path: the file. Lines past the checkpoint that a run resumes from are cut off.
        tell: is given each line, too.

    Attributes:
        lines: what the file holds.
        closed: set to add nothing more.
    """

    def __init__(self, path: Path, tell: Callable[[dict[str, Any]], None] | None) -> None:
        self.path = path
        self.tell = tell
        self.lines: list[dict[str, Any]] = []
        self.closed = False
        self._start = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Take up the log where the checkpoint was written."""
        if self.path.exists():
            for line in self.path.read_text("utf-8").splitlines():
                try:
                    record = json.loads(line)
                except ValueError:  # half a line, from a kill
                    break
                if record["step"] <= state.global_step:
                    self.lines.append(record)
        before = self.lines[-1]["seconds"] if self.lines else 0.0
        self._start = time.monotonic() - before
        if state.is_world_process_zero:
            draft = self.path.with_name(self.path.name + ".part")
            draft.write_text("".join(json.dumps(record) + "\n" for record in self.lines), "utf-8")
            draft.replace(self.path)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **rest: Any) -> None:
        """Append a line and put it on disk."""
        if self.closed or ("loss" not in logs and "eval_loss" not in logs):
            return  # the summary of the whole run
        seconds = round(time.monotonic() - self._start, 1)
        record = {
            "step": state.global_step,
            "seconds": seconds,
            **{k: v for k, v in logs.items() if v is not None},
        }
        self.lines.append(record)
        if state.is_world_process_zero:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
                file.flush()
                os.fsync(file.fileno())
            if self.tell:
                self.tell(record)

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Ask for a validation after the last step, which may be the best."""
        if state.global_step >= state.max_steps and str(args.eval_strategy.value) != "no":
            control.should_evaluate = True


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


def training_arguments(config: RewardModelConfig, folder: Path, device: torch.device) -> RewardConfig:
    """The settings as TRL takes them; checkpoints go to ``folder``."""
    on_cpu = device.type == "cpu"
    low = config.dtype == "bfloat16"
    checkpointing = {_CHECKPOINTING: config.gradient_checkpointing}
    arguments = RewardConfig(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        max_steps=config.max_steps or -1,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=config.warmup,  # below 1, a share of the steps
        weight_decay=config.weight_decay,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.eval_batch_size,
        gradient_accumulation_steps=config.gradient_accumulation,
        center_rewards_coefficient=config.center_rewards_coefficient,
        max_length=None,  # longer pairs were left out and counted before
        pad_to_multiple_of=_CPU_BF16_MULTIPLE if on_cpu and low else None,
        bf16=low,
        use_cpu=on_cpu,
        seed=config.seed,
        eval_strategy="no" if config.validation is None else "steps",
        eval_steps=config.eval_steps,
        save_strategy="steps",
        save_steps=config.save_steps,
        save_total_limit=2,
        logging_steps=config.log_steps,
        logging_first_step=True,
        metric_for_best_model=None if config.validation is None else "accuracy",
        greater_is_better=True,
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=device.type == "cuda",
        report_to="none",
        disable_tqdm=True,
        **checkpointing,
    )
    # Set late: the constructor would ask that every checkpoint be a validation, too, but `PairTrainer` saves each
    # new best by itself, and on slow machines checkpoints are wanted more often than validations.
    arguments.load_best_model_at_end = config.validation is not None
    return arguments
