"""The verdict on a pair of traces as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from me2sdk.cli.io import shorten

if TYPE_CHECKING:
    from me2sdk.judge import PairVerdict

_STYLES = {"a": "green", "b": "cyan", "failed": "red"}


def verdict_table(verdict: PairVerdict, *, short: bool) -> Table:
    """A row for each of the four dimensions, and one for all.

    Args:
        verdict: the verdict.
        short: cut each reason to what fits in a line.
    """
    table = Table()
    for head in ("dimension", "better", "agreement"):
        table.add_column(head, no_wrap=True)
    table.add_column("why", overflow="fold")
    for name, one in verdict.dimensions.items():
        why = _reason(one.rationale, short=short)
        better = Text(one.preference, style=_STYLES.get(one.preference, ""))
        table.add_row(name.value.replace("_", " "), better, f"{one.agreement:.0%}", why)
    why = _reason(verdict.rationale, short=short)
    better = Text(verdict.preference, style=_STYLES.get(verdict.preference, ""))
    table.add_row("all", better, f"{verdict.agreement:.0%}", why, style="bold")
    return table


def reason(verdict: PairVerdict) -> str:
    """The reason for the verdict as a paragraph."""
    return shorten(verdict.rationale, 2000)


def _reason(rationale: str, *, short: bool) -> Text:
    return Text(" ".join(rationale.split()), no_wrap=True, overflow="ellipsis") if short else Text(rationale)
