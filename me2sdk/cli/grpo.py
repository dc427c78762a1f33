"""``me2 train grpo``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

from rich.table import Table

from me2sdk.cli.io import emit, note, out
from me2sdk.cli.options import Json, overrides, shipped_config

if TYPE_CHECKING:
    from me2sdk.train.progress import Progress

Config = Annotated[str, shipped_config("tiny, small, paper")]
Overrides = Annotated[list[str] | None, overrides("reward.alpha=0")]


def grpo(config: Config, changes: Overrides = None, as_json: Json = False) -> None:
    """Train a language model by GRPO with the gated reward; run again to go on after a stop.

    On several GPUs: accelerate launch --config_file FILE -m me2sdk.cli train grpo CONFIG
    """
    from me2sdk.train.config import load_config
    from me2sdk.train.grpo import GRPOConfig, train_grpo

    settings = load_config(config, "grpo", GRPOConfig, changes or [])
    report = train_grpo(settings, on_progress=_show)
    if os.environ.get("RANK", "0") != "0":
        return
    if as_json:
        emit(report.model_dump_json())
        return
    emit(
        f"{report.steps} steps on {report.prompts} prompts ({report.left_out} too long), {report.seconds:.0f} s; "
        f"answers not judged: {report.undecided}, scores failed: {report.score_failures}"
    )
    if report.held_out:
        table = Table(title=f"{report.held_out[0].questions} held-out questions", title_justify="left")
        for name in ("step", "accuracy", "r_t", "tokens", "cut"):
            table.add_column(name, justify="right")
        for held_out in report.held_out:
            thinking = "–" if held_out.r_t is None else f"{held_out.r_t:+.2f}"
            table.add_row(
                str(held_out.step),
                f"{held_out.accuracy:.3f}",
                thinking,
                f"{held_out.length:.0f}",
                f"{held_out.clipped:.0%}",
            )
        out().print(table, markup=False)
    emit(report.output)


def _show(news: Progress) -> None:
    line = news.record
    thinking = "" if line.get("r_t") is None else f", r_t {line['r_t']:+.2f}"
    what = f"right {line.get('r_v', float('nan')):.3f}, reward {line['reward'] or 0:.3f}{thinking}"
    length, cut = line["completions/mean_length"], line["completions/clipped_ratio"]
    note(f"step {line['step']}, {line['seconds']:.0f} s: {what}, {length:.0f} tokens, {cut:.0%} cut")
