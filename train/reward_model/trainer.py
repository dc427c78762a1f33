"""TRL's `RewardTrainer` with exact validations and batches of similar length."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers import PrinterCallback
from trl import RewardConfig, RewardTrainer

from me2sdk.train._runs import checkpointing
from me2sdk.train.reward_model.config import RewardModelConfig

__all__ = ["LengthGroups", "PairTrainer", "training_arguments"]

# oneDNN keeps memory for every distinct shape that a bfloat16 pass on a CPU meets.
_CPU_BF16_MULTIPLE = 64
_BATCHES_PER_GROUP = 50


class LengthGroups(Sampler[int]):
    """Random batches of rows of similar length, so that there is little padding; the longest batch comes first.

    What does not fit into memory then fails in the first step, not hours later. The order depends on the seed and
    the epoch alone, so a resumed run sees the same batches. (The sampler of transformers keeps neighbouring batches
    of similar length next to each other; here the batches are shuffled, too.)

    Args:
        lengths: of each row.
        batch_size: rows per batch.
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
        group = self.batch_size * max(1, min(_BATCHES_PER_GROUP, len(order) // (self.batch_size * 4)))
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


def training_arguments(config: RewardModelConfig, folder: Path, device: torch.device) -> RewardConfig:
    """The settings as TRL takes them; checkpoints go to ``folder``."""
    on_cpu = device.type == "cpu"
    low = config.dtype == "bfloat16"
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
        **checkpointing(config.gradient_checkpointing),
    )
    # Set late: the constructor would ask that every checkpoint be a validation, too, but `PairTrainer` saves each
    # new best by itself, and on slow machines checkpoints are wanted more often than validations.
    arguments.load_best_model_at_end = config.validation is not None
    return arguments
