"""The table of candidates as they come."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from me2sdk import Candidate, Trace
from me2sdk.cli.arrivals import Arrivals, arrivals
from me2sdk.sampling import AnswerGroups


def candidate(index: int, answer: str | None, score: float | None = None, **more: Any) -> Candidate:
    return Candidate(index=index, trace=Trace(reasoning="So."), answer=answer, score=score, **more)


def drawn(table: Arrivals) -> str:
    console = Console(width=80)
    with console.capture() as text:
        console.print(table)
    return text.get()


def cells(text: str) -> list[list[str]]:
    rows = [line.split("│")[1:-1] for line in text.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in row] for row in rows]


async def test_votes_first_and_equal_values_are_one_answer() -> None:
    table = Arrivals(8, AnswerGroups("value"))
    for one in (
        candidate(0, "7", 2.0),
        candidate(1, "0.5", -1.0),
        candidate(2, "1/2", 1.5),
        candidate(3, None, 3.0),
        candidate(4, None, refusal="I cannot."),
    ):
        await table.add(one)
    await table.count()
    text = drawn(table)
    assert text.startswith("5 of 8 candidates, ")
    assert cells(text) == [
        ["1/2", "+1.50", "2"],
        ["0.5", "-1.00", "2"],
        ["7", "+2.00", "1"],
        ["–", "+3.00", "–"],
        ["refused", "–", "–"],
    ]


async def test_what_has_just_come_shows_before_it_is_counted() -> None:
    table = Arrivals(2, AnswerGroups("value"))
    await table.add(candidate(0, "[7]", 2.0))
    assert cells(drawn(table)) == [["[7]", "+2.00", "…"]]  # brackets are no style of rich


async def test_more_than_fit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("me2sdk.cli.arrivals.err", Console(height=9))
    table = Arrivals(64, AnswerGroups("text"))
    for index in range(64):
        await table.add(candidate(index, "7"))
    await table.count()
    text = drawn(table)
    assert len(cells(text)) == 3
    assert "and 61 more" in text
    assert {row[2] for row in cells(text)} == {"64"}


def test_nothing_is_shown_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with arrivals(8, "auto") as on_candidate:
        assert on_candidate is None
    assert capsys.readouterr() == ("", "")
