"""Candidates on a terminal, as they come."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table
from rich.text import Text

from me2sdk.cli.io import err, shorten

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from me2sdk.sampling import AnswerGroups
    from me2sdk.schema import Candidate

    OnCandidate = Callable[[Candidate], Coroutine[Any, Any, None]]

_FRAME = 6  # lines of the table that are no candidates


class Arrivals:
    """A table of the candidates so far: those of the answer with the most votes first.

    Args:
        n: how many there will be at most.
        groups: how answers are compared.
    """

    def __init__(self, n: int, groups: AnswerGroups) -> None:
        self._n, self._groups = n, groups
        self._started = time.monotonic()
        self._came: list[Candidate] = []
        self._numbers: list[int | None] = []
        self._counting: asyncio.Task[None] | None = None

    async def add(self, candidate: Candidate) -> None:
        """Take up a candidate that is scored. Answers are compared beside, so that nothing waits for that."""
        self._came.append(candidate)
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self.count())

    async def count(self) -> None:
        """Count the votes of all that have come."""
        while len(self._numbers) < len(self._came):
            self._numbers = await self._groups.of([one.answer for one in self._came])

    def __rich__(self) -> Table:
        title = f"{len(self._came)} of {self._n} candidates, {time.monotonic() - self._started:.0f} s"
        table = Table(title=Text(title), title_justify="left", title_style="bold")
        table.add_column("answer", overflow="fold")
        for name in ("reward", "votes"):
            table.add_column(name, justify="right")
        rows = sorted(self._rows(), key=_place)
        shown = rows[: max(1, err.height - _FRAME)]
        for place, (candidate, votes) in enumerate(shown):
            reward = "–" if candidate.score is None else f"{candidate.score:+.2f}"
            answer = "refused" if candidate.refusal is not None else shorten(candidate.answer or "–", 60)
            table.add_row(*map(Text, (answer, reward, votes)), style="bold" if place == 0 else None)
        if len(shown) < len(rows):
            table.caption = f"and {len(rows) - len(shown)} more"
        return table

    def _rows(self) -> list[tuple[Candidate, str]]:
        """Each candidate and the votes for its answer, "…" where they are still being counted."""
        came, numbers = list(self._came), self._numbers
        counted = Counter(number for number in numbers if number is not None)
        votes = ["–" if number is None else str(counted[number]) for number in numbers]
        return list(zip(came, votes + ["…"] * (len(came) - len(votes)), strict=True))


def _place(row: tuple[Candidate, str]) -> tuple[int, float, int]:
    candidate, votes = row
    return -int(votes) if votes.isdecimal() else 0, -(candidate.score or 0.0), candidate.index


@contextmanager
def arrivals(n: int, answer: str | None) -> Iterator[OnCandidate | None]:
    """Show candidates as they come, on standard error, if that is a terminal.

    Args:
        n: how many there will be at most.
        answer: what is compared, as `best_of_n` takes it.

    Yields:
        An ``on_candidate``, or None where there is no terminal.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from me2sdk.sampling import AnswerGroups, answer_reader

    table = Arrivals(n, AnswerGroups(answer_reader(answer).compare))
    with Live(table, console=err, transient=True, refresh_per_second=8):
        yield table.add
