"""``me2 train rm``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from me2sdk.cli.io import emit, note, out
from me2sdk.cli.options import Json, overrides, shipped_config

if TYPE_CHECKING:
    from me2sdk.train.progress import Progress

Config = Annotated[str, shipped_config("tiny, small, qlora, paper")]
Overrides = Annotated[list[str] | None, overrides("lora.r=8")]


def rm(config: Config, changes: Overrides = None, as_json: Json = False) -> None:
    """Train a reward model on preference pairs; run again to go on after a stop.

    The output folder is one that --scorer takes. On several GPUs:
    accelerate launch --config_file FILE -m me2sdk.cli train rm CONFIG
    """
    from me2sdk.train.config import load_config
    from me2sdk.train.reward_model import RewardModelConfig, train_reward_model

    settings = load_config(config, "rm", RewardModelConfig, changes or [])
    report = train_reward_model(settings, on_progress=_show)
    if not _first_process():
        return
    if as_json:
        emit(report.model_dump_json())
        return
    left = ", ".join(f"{count} {reason}" for reason, count in report.left_out.items()) or "none"
    emit(
        f"{report.train_pairs} pairs, {report.steps} steps, {report.trainable:,} weights, {report.seconds:.0f} s; "
        f"pairs left out: {left}"
    )
    if report.validation is not None:
        table = Table(title=f"validation, weights of step {report.best_step}", title_justify="left")
        table.add_column("pairs of")
        for name in ("pairs", "accuracy", "shorter wins"):
            table.add_column(name, justify="right")
        rows = {"all": report.validation, **report.by_category}
        rows |= {f"better side {side}": found for side, found in report.by_length.items()}
        for name, found in rows.items():
            table.add_row(name, str(found.pairs), f"{found.accuracy:.3f}", f"{found.shorter_wins:.3f}")
        out().print(table, markup=False)
    emit(report.output)


def _show(news: Progress) -> None:
    line = news.record
    if "eval_loss" in line:
        what = f"validation: accuracy {line['eval_accuracy']:.3f}, loss {line['eval_loss']:.4f}"
    else:
        what = f"loss {line['loss']:.4f}, accuracy {line.get('accuracy', float('nan')):.3f}"
    note(f"step {line['step']}, {line['seconds']:.0f} s: {what}")


def _first_process() -> bool:
    import os

    return os.environ.get("RANK", "0") == "0"
