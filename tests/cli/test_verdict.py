"""The verdict on a pair as a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.fake_provider import OpenAIServer, Reply

from me2sdk import Dimension, PairVerdict
from me2sdk.cli.verdict import reason, verdict_table
from me2sdk.judge import DimensionVerdict

Me2 = Callable[..., Any]

WHY = "It goes straight to the sum.\n\n" + "It comes back to nothing [bold]twice[/bold]. " * 9
VERDICT = PairVerdict(
    preference="a",
    agreement=0.75,
    consistent=False,
    rationale=WHY,
    dimensions={
        one: DimensionVerdict(preference="b", agreement=1.0, rationale=WHY, votes=()) for one in Dimension
    },
    aggregate=(),
)


def drawn(*, short: bool) -> str:
    console = Console(width=80)
    with console.capture() as text:
        console.print(verdict_table(VERDICT, short=short))
    return text.get()


def test_a_short_table_has_one_line_for_each_dimension() -> None:
    rows = [line for line in drawn(short=True).splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in row.split("│")[1:-1]] for row in rows]
    assert [row[:3] for row in cells] == [
        ["macro efficiency", "b", "100%"],
        ["macro effectiveness", "b", "100%"],
        ["micro efficiency", "b", "100%"],
        ["micro effectiveness", "b", "100%"],
        ["all", "a", "75%"],
    ]
    assert all(row[3].startswith("It goes straight to the sum. It") for row in cells)
    assert all(row[3].endswith("…") for row in cells)


def test_a_long_table_holds_every_reason_as_it_is() -> None:
    text = drawn(short=False)
    assert "…" not in text
    assert text.count("[bold]") == 5 * 9


def test_the_reason_is_a_paragraph() -> None:
    assert reason(VERDICT).startswith("It goes straight to the sum. It comes back")
    assert "\n" not in reason(VERDICT)


@pytest.mark.parametrize("on_terminal", [False, True])
def test_judge_cuts_reasons_on_a_terminal_alone(
    me2: Me2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_terminal: bool
) -> None:
    monkeypatch.setattr("me2sdk.cli.structure._on_terminal", lambda: on_terminal)
    for name in ("a", "b"):
        (tmp_path / name).write_text("2 + 2 is 4.")
    with OpenAIServer(Reply(WHY + "\n<|decision|>Tie", honours_n=False)) as server:
        where = ["--model", "openai/test", "--api-base", server.url, "--no-structure", "--repeats", "1"]
        done = me2("judge", str(tmp_path / "a"), str(tmp_path / "b"), *where)
    assert done.code == 0
    rows = [line for line in done.out.splitlines() if line.startswith("│ m")]
    assert [row.split("│")[1].strip() for row in rows] == [
        "macro efficiency",
        "macro effectiveness",
        "micro efficiency",
        "micro effectiveness",
    ]
    assert all("…" in row for row in rows) == on_terminal
    assert done.out.rstrip().endswith("[/bold].") == on_terminal
