"""``me2 train grpo``."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from rich.table import Table

from me2sdk.cli.io import emit, err, out

Config = Annotated[
    str,
    typer.Argument(metavar="CONFIG", help="YAML file, or the name of a shipped config (tiny, small, paper)."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a setting, as in reward.alpha=0. Repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def grpo(config: Config, overrides: Overrides = None, as_json: Json = False) -> None:
    """Train a language model by GRPO with the gated reward; run again to go on after a stop.

    On several GPUs: accelerate launch --config_file FILE -m me2sdk.cli train grpo CONFIG
    """
    from me2sdk.train.config import load_config
    from me2sdk.train.grpo import GRPOSettings, train_grpo

    settings = load_config(config, "grpo", GRPOSettings, overrides or [])
    report = train_grpo(settings, on_log=_show)
    if os.environ.get("RANK", "0") != "0":
        return
    if as_json:
        emit(report.model_dump_json())
        return
    console = out()
    console.print(
        f"{report.steps} steps on {report.prompts} prompts ({report.left_out} too long), {report.seconds:.0f} s; "
        f"answers not judged: {report.undecided}, scores failed: {report.score_failures}",
        highlight=False,
    )
    if report.held_out:
        table = Table(title=f"{report.held_out[0].questions} held-out questions", title_justify="left")
        for name in ("step", "accuracy", "r_t", "tokens", "cut"):
            table.add_column(name, justify="right")
        for one in report.held_out:
            thinking = "–" if one.r_t is None else f"{one.r_t:+.2f}"
            table.add_row(
                str(one.step), f"{one.accuracy:.3f}", thinking, f"{one.length:.0f}", f"{one.clipped:.0%}"
            )
        console.print(table, markup=False)
    emit(report.output)


def _show(line: dict[str, Any]) -> None:
    thinking = "" if line.get("r_t") is None else f", r_t {line['r_t']:+.2f}"
    what = f"right {line.get('r_v', float('nan')):.3f}, reward {line['reward'] or 0:.3f}{thinking}"
    length, cut = line["completions/mean_length"], line["completions/clipped_ratio"]
    err.print(
        f"step {line['step']}, {line['seconds']:.0f} s: {what}, {length:.0f} tokens, {cut:.0%} cut",
        highlight=False,
    )
