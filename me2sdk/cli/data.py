"""``me2 data build``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from me2sdk.cli.io import PARTIAL, emit, fail, out, progress_callback
from me2sdk.cli.model import format_usage
from me2sdk.cli.options import DryRun, Json, overrides, shipped_config

if TYPE_CHECKING:
    from me2sdk.train.pipeline import BuildEstimate, BuildReport

Config = Annotated[str, shipped_config("paper, small")]
Overrides = Annotated[list[str] | None, overrides("sampling.samples=8")]


def build(config: Config, changes: Overrides = None, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Build preference data: sample, verify, annotate, judge, keep what is consistent.

    Run it again to go on after a stop or a failure; what is finished is kept.
    """
    from me2sdk.train.config import load_config
    from me2sdk.train.pipeline import DataConfig, build_preferences, estimate_build

    settings = load_config(config, "data", DataConfig, changes or [])
    if dry_run:
        estimate = estimate_build(settings)
        if as_json:
            emit(estimate.model_copy(update={"stages": (*estimate.stages, estimate.total)}).model_dump_json())
        else:
            _show_estimate(estimate)
        return
    with progress_callback("prompts") as on_progress:
        report = build_preferences(settings, on_progress=on_progress)
    if as_json:
        emit(report.model_dump_json())
    else:
        _show_report(report)
    if not report.complete:
        failures = report.output / "stages" / "failures.jsonl"
        fail(f"Some items are missing; {failures} says why. Run it again to try them again.")
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
    out().print(table)
    emit("It is assumed that:")
    for assumption in estimate.assumptions:
        emit(f"- {assumption}")


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
    out().print(table)
    pairs = report.pairs
    emit(
        f"{pairs.chosen} pairs: {pairs.kept} kept, {pairs.tied} tied, {pairs.inconsistent} inconsistent, "
        f"{pairs.unreadable} unreadable, {pairs.missing} not judged; {format_usage(report.usage)}"
    )
    for stage in report.stages:
        if stage.stopped:
            fail(f"{stage.stage}: {stage.stopped}")
    emit(f"wrote {report.train} training and {report.validation} validation pairs to {report.output}")
