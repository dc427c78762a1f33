"""Shared by the commands: consoles, progress bars, input, tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.page import percent

if TYPE_CHECKING:
    from me2sdk.sampling import Decision
    from me2sdk.schema import Candidate, RerankResult
    from me2sdk.scorers import Scorer
    from me2sdk.train.progress import OnProgress, Progress as ProgressNews

# Exit codes, as in `me2 --help`.
FAILED = 1
USAGE = 2
PARTIAL = 3
ABSTAINED = 4

err = Console(stderr=True)


def out() -> Console:
    """A console on standard output (made on each call, so that it follows redirection)."""
    return Console(soft_wrap=not sys.stdout.isatty())


def emit(text: str) -> None:
    """Write a line to standard output as it is."""
    sys.stdout.write(text.encode("utf-8", errors="replace").decode("utf-8") + "\n")
    sys.stdout.flush()


def note(text: str, style: str | None = None) -> None:
    """Write a line to standard error as it is, in one style."""
    err.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def fail(text: str) -> None:
    """Write a line about a failure to standard error."""
    note(text, "red")


@contextmanager
def live(what: str, total: int | None, *columns: ProgressColumn) -> Iterator[Callable[..., None]]:
    """Show a line on standard error while the block runs, if that is a terminal.

    Args:
        what: the description of the work.
        total: how many steps it has, or None if that is not known.
        columns: the columns of the line, in rich's form.

    Yields:
        A function that updates the line; it takes the keyword arguments of rich's ``Progress.update``.
    """
    bar = Progress(*columns, console=err, transient=True)
    task = bar.add_task(what, total=total)
    with bar if sys.stderr.isatty() else nullcontext():
        yield partial(bar.update, task)


def _bar(what: str, total: int | None) -> Any:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return live(what, total, *columns)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[], None]]:
    """Show a progress bar on standard error. Yields a function that moves it by one step."""
    with _bar(what, total) as update:
        yield partial(update, advance=1)


@contextmanager
def progress_callback(what: str) -> Iterator[OnProgress]:
    """Show a progress bar on standard error. Yields an ``on_progress`` that moves it."""
    with _bar(what, None) as update:

        def on_progress(news: ProgressNews) -> None:
            update(description=news.name, completed=news.done, total=news.total)

        yield on_progress


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


def write_page(file: Path, result: RerankResult, scorer: Scorer | None) -> None:
    """Write the page of a result, and say so.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    try:
        file.write_text(result.to_html(scorer=scorer), "utf-8")
    except OSError as error:
        raise ConfigurationError(f"Cannot write {file}: {error.strerror}. Name a file with --html.") from None
    note(f"wrote {file}")


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
    result: RerankResult | Decision, correct: dict[int, bool] | None = None, title: str | None = None
) -> Table:
    """A table of candidates, best first: rank, reward, length in characters, answer.

    Where answers were compared, the first candidate of each answer also shows its votes, and how likely it is right.

    Args:
        result: the candidates.
        correct: whether an answer is right, by the candidate's index.
        title: a title.
    """
    table = Table(title=Text(title) if title else None, title_justify="left", title_style="bold")
    for name in ("rank", "reward", "length"):
        table.add_column(name, justify="right")
    table.add_column("answer", overflow="fold")
    answers = {answer.best: answer for answer in result.answers}
    with_confidence = any(answer.confidence is not None for answer in result.answers)
    if answers:
        table.add_column("votes", justify="right")
    if with_confidence:
        table.add_column("confidence", justify="right")
    if correct:
        table.add_column("")
    with_model = len({candidate.model for candidate in result.candidates}) > 1
    if with_model:
        table.add_column("model")
    for rank, candidate in enumerate(result.candidates, start=1):
        row = [Text(str(rank)), *map(Text, _cells(candidate))]
        answer = answers.get(candidate.index)
        if answers:
            row.append(Text(str(answer.votes) if answer else ""))
        if with_confidence:
            row.append(Text(percent(answer.confidence) if answer else ""))
        if correct:
            right = correct.get(candidate.index)
            row.append(Text("right" if right else "wrong", style="green" if right else "red"))
        if with_model:
            row.append(Text(candidate.model or ""))
        table.add_row(*row, style="bold" if rank == 1 else None)
    return table


def _cells(candidate: Candidate) -> tuple[str, str, str]:
    reward = "–" if candidate.score is None else f"{candidate.score:+.2f}"
    note = " (cut off)" if candidate.trace.truncated else ""
    if candidate.refusal is not None:
        note = " (refused)"
    return reward, str(len(candidate.trace.reasoning)), shorten(candidate.answer or "–", 60) + note


def shorten(text: str, most: int) -> str:
    """A text in one line of at most ``most`` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def outcome(result: RerankResult) -> str:
    """In one line: the answer that was chosen, its votes, how sure that is, and by what it was chosen."""
    if not result.candidates:
        return "no candidate could be read"
    chosen = next((answer for answer in result.answers if answer.best == result.best.index), None)
    if chosen is None:
        return f"chosen by {result.chosen_by}, confidence not known"
    votes = f"{chosen.votes} of {sum(answer.votes for answer in result.answers)} votes"
    total = sum(answer.weight for answer in result.answers)
    if chosen.weight != chosen.votes:
        votes += f" (weight {chosen.weight:.1f} of {total:.1f})"
    sure = "not known" if result.confidence is None else percent(result.confidence)
    return f"answer {shorten(chosen.text, 60)}: {votes}, confidence {sure}, chosen by {result.chosen_by}"
