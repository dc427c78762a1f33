"""``me2 data build``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from me2sdk.cli.io import PARTIAL, emit, err, out, progress
from me2sdk.cli.model import spent

if TYPE_CHECKING:
    from me2sdk.train.pipeline import BuildEstimate, BuildReport

Config = Annotated[
    str, typer.Argument(metavar="CONFIG", help="YAML file, or the name of a shipped config (paper, small).")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Change a setting, as in sampling.samples=8. Repeatable."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Estimate calls, tokens and cost; ask no model and write nothing.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def build(
    config: Config, overrides: Overrides = None, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Build preference data: sample, verify, annotate, judge, keep what is consistent.

    Run it again to go on after a stop or a failure; what is finished is kept.
    """
    from me2sdk.train.config import load_config
    from me2sdk.train.pipeline import DataConfig, build_preferences, estimate_build

    settings = load_config(config, "data", DataConfig, overrides or [])
    if dry_run:
        estimate = estimate_build(settings)
        if as_json:
            emit(estimate.model_copy(update={"stages": (*estimate.stages, estimate.total)}).model_dump_json())
        else:
            _show_estimate(estimate)
        return
    with progress("prompts", None) as bar:

        def show(stage: str, done: int, total: int) -> None:
            bar.update(bar.task_ids[0], description=stage, completed=done, total=total)

        report = build_preferences(settings, on_progress=show)
    if as_json:
        emit(report.model_dump_json())
    else:
        _show_report(report)
    if not report.complete:
        err.print(
            f"Some items are missing; {report.output / 'stages' / 'failures.jsonl'} says why. Run it again to try them "
            "again.",
            style="red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(PARTIAL)


def _show_estimate(estimate: BuildEstimate) -> None:
    table = Table()
    table.add_column("stage")
    for name in ("items", "calls", "prompt tokens", "completion tokens", "US dollars"):
        table.add_column(name, justify="right")
    for stage in (*estimate.stages, estimate.total):
        counts = (stage.items, stage.calls, stage.prompt_tokens, stage.completion_tokens)
        cells = ["" if stage.stage == "all" and place == 0 else _short(n) for place, n in enumerate(counts)]
        table.add_row(stage.stage, *cells, "unknown" if stage.usd is None else f"{stage.usd:,.2f}")
    console = out()
    console.print(table)
    console.print("It is assumed that:", highlight=False)
    for assumption in estimate.assumptions:
        console.print(f"- {assumption}", markup=False, highlight=False, soft_wrap=True)


def _short(count: int) -> str:
    return f"{count:,}" if count < 10_000_000 else f"{count / 1e6:,.0f}M"


def _show_report(report: BuildReport) -> None:
    table = Table()
    table.add_column("stage")
    for name in ("wanted", "kept", "done", "failed", "left", "calls", "tokens"):
        table.add_column(name, justify="right")
    for stage in report.stages:
        counts = (stage.wanted, stage.kept, stage.done, stage.failed, stage.left, stage.usage.calls)
        tokens = stage.usage.total_tokens
        table.add_row(
            stage.stage, *(f"{n:,}" for n in counts), "unknown" if tokens is None else _short(tokens)
        )
    console = out()
    console.print(table)
    pairs = report.pairs
    console.print(
        f"{pairs.chosen} pairs: {pairs.kept} kept, {pairs.tied} tied, {pairs.inconsistent} inconsistent, "
        f"{pairs.unreadable} unreadable, {pairs.missing} not judged; {spent(report.usage)}",
        highlight=False,
        soft_wrap=True,
    )
    for stage in report.stages:
        if stage.stopped:
            err.print(
                f"{stage.stage}: {stage.stopped}", style="red", markup=False, highlight=False, soft_wrap=True
            )
    emit(f"wrote {report.train} training and {report.validation} validation pairs to {report.output}")
