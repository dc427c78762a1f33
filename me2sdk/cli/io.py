"""What the commands share: consoles, progress, tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from me2sdk.errors import ConfigurationError, InvalidTraceError

if TYPE_CHECKING:
    from me2sdk.schema import Candidate, RerankResult

# Exit codes, as `me2 --help` tells them.
FAILED = 1
USAGE = 2
PARTIAL = 3

err = Console(stderr=True)


def out() -> Console:
    """A console on standard output (made late, so that redirection in tests and pipes is seen)."""
    return Console(soft_wrap=not sys.stdout.isatty())


def emit(text: str) -> None:
    """Write a line to standard output as it is, whatever it holds."""
    sys.stdout.write(text.encode("utf-8", errors="replace").decode("utf-8") + "\n")
    sys.stdout.flush()


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Progress]:
    """A progress bar on standard error, shown only on a terminal; ``advance(0)`` moves it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=err, transient=True)
    bar.add_task(what, total=total)
    with bar if sys.stderr.isatty() else nullcontext():
        yield bar


def read_text(file: str) -> str:
    """The text of a file, or of standard input for ``-``, without a byte order mark.

    Bytes that are not UTF-8 become U+FFFD.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"Cannot read {file}: {error.strerror}. Give a text file, or - for stdin."
        ) from None
    return data.decode("utf-8-sig", errors="replace")


def parse_record(line: str) -> dict[str, Any]:
    """A JSONL line as a dict.

    Raises:
        InvalidTraceError: it is not a JSON object.
    """
    try:
        record = json.loads(line)
    except ValueError as error:
        raise InvalidTraceError(f"not JSON: {error}") from None
    if not isinstance(record, dict):
        raise InvalidTraceError(f"must be a JSON object, not {type(record).__name__}")
    return record


def candidates_table(
    result: RerankResult,
    correct: dict[int, bool] | None = None,
    title: str | None = None,
    answers: dict[int, str | None] | None = None,
) -> Table:
    """Rank, reward, length in characters, answer (the stated one, or that of ``answers``), right or wrong."""
    table = Table(title=Text(title) if title else None, title_justify="left", title_style="bold")
    for name in ("rank", "reward", "length"):
        table.add_column(name, justify="right")
    table.add_column("answer", overflow="fold")
    if correct:
        table.add_column("")
    with_model = len({candidate.model for candidate in result.candidates}) > 1
    if with_model:
        table.add_column("model")
    for rank, candidate in enumerate(result.candidates, start=1):
        row = [
            Text(str(rank)),
            *map(Text, _cells(candidate, answers[candidate.index] if answers else candidate.answer)),
        ]
        if correct:
            right = correct.get(candidate.index)
            row.append(Text("right" if right else "wrong", style="green" if right else "red"))
        if with_model:
            row.append(Text(candidate.model or ""))
        table.add_row(*row, style="bold" if rank == 1 else None)
    return table


def _cells(candidate: Candidate, answer: str | None) -> tuple[str, str, str]:
    reward = "–" if candidate.score is None else f"{candidate.score:+.2f}"
    note = " (cut off)" if candidate.trace.truncated else ""
    if candidate.refusal is not None:
        note = " (refused)"
    answer = answer or "–"
    return (
        reward,
        str(len(candidate.trace.reasoning)),
        (answer if len(answer) <= 60 else answer[:59] + "…") + note,
    )
