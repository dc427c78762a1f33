"""``me2 ask --input``: the questions of a file, several at a time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from me2sdk._jsonl import JsonlWriter
from me2sdk._paths import atomic_write
from me2sdk._sync import run_sync
from me2sdk.cli.io import ABSTAINED, FAILED, PARTIAL, emit, fail, note, parse_record, progress
from me2sdk.cli.model import announce_cost, format_usage
from me2sdk.cli.questions import Row, check_field, question_of, read_rows
from me2sdk.errors import InvalidTraceError

if TYPE_CHECKING:
    from me2sdk.llm import LLM
    from me2sdk.sampling import ManySummary, OnResult, Outcome, SelectionConfig
    from me2sdk.schema import BestOfNResult, Question

_OURS = frozenset(("line", "input", "settings", "best", "result", "error"))
"""Fields of a record that say what came of a row; fields of the row itself that bear these names are left out."""


class Source(NamedTuple):
    """Where questions come from and answers go: options of the command."""

    rows: str
    output: Path | None
    field: str
    split: str
    subset: str | None


class Todo(NamedTuple):
    """A question that is to be answered."""

    row: Row
    record: dict[str, Any]
    question: Question


class Total:
    """What came of the questions so far, those among them that an earlier run answered.

    Args:
        n: candidates for each question.
    """

    def __init__(self, n: int) -> None:
        from me2sdk.sampling import ManySummary

        self._n = n
        self.summary: ManySummary = ManySummary()
        self.before = 0
        self.incomplete = 0
        self.unreadable = 0
        self.unasked = 0

    def add(self, outcome: Outcome) -> None:
        """Count what came of a question."""
        self.summary += type(self.summary).of(outcome, self._n)
        self.incomplete += bool(getattr(outcome, "failures", ()))
        self.unasked += getattr(outcome, "error", "") == "BudgetExceeded"

    def add_earlier(self, found: dict[str, Any]) -> None:
        """Count a question that was answered before."""
        self.before += 1
        self.summary += found["summary"]
        self.incomplete += found["incomplete"]

    @property
    def failed(self) -> int:
        """Questions without an answer, and rows without a question."""
        return self.summary.failed + self.unreadable

    @property
    def done(self) -> int:
        """Questions with an answer."""
        return self.summary.answered + self.summary.abstained

    @property
    def exit_code(self) -> int:
        """0 where all went well."""
        if self.failed:
            return PARTIAL if self.done else FAILED
        return ABSTAINED if self.summary.abstained else PARTIAL if self.incomplete else 0


class AnswerFile(JsonlWriter):
    """The answers to a file of questions. Memory keeps where each stands, and what they add up to.

    Args:
        path: the file.
        settings: what the answers depend on.
        n: candidates for each question.
    """

    def __init__(self, path: Path, settings: dict[str, Any], n: int) -> None:
        self._n = n
        self._places: dict[int, tuple[int, int]] = {}
        super().__init__(path, settings)

    def take(self, record: dict[str, Any], place: int, length: int) -> None:
        """Take up an answer that is in the file already."""
        from me2sdk.sampling import ManySummary
        from me2sdk.schema import BestOfNResult

        super().take(record, place, length)
        result = BestOfNResult.model_validate(record["result"])
        self._places[record["line"]] = place, length
        self.done[record["line"]] = {
            "input": record["input"],
            "summary": ManySummary.of(result, self._n),
            "incomplete": bool(result.failures),
        }

    def append(self, record: Any) -> tuple[int, int]:
        """Append an answer, and keep where it stands."""
        place = super().append(record)
        self._places[record["line"]] = place
        return place

    def finish(self) -> None:
        """Close the file, with its lines in the order of the questions; they were written as they were done."""
        self.close()
        ordered = [self._places[number] for number in sorted(self._places)]
        if self.path is None or ordered == sorted(ordered):
            return
        with atomic_write(self.path) as draft, self.path.open("rb") as old, draft.open("wb") as new:
            for place, length in ordered:
                old.seek(place)
                new.write(old.read(length))
            new.flush()
            os.fsync(new.fileno())


def ask_file(
    source: Source,
    llm: LLM,
    options: dict[str, Any],
    settings: dict[str, Any],
    *,
    max_concurrency: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Answer the questions of a file.

    Args:
        source: where they come from, and where answers go.
        llm: the model.
        options: how candidates are sampled and chosen, as `SelectionConfig` takes it.
        settings: what the answers depend on: an output that was written with others is refused.
        max_concurrency: questions in work at most.
        dry_run: say what it would cost, and do no more.
        as_json: print the summary as JSON; without an output, print failures as JSON.
    """
    from me2sdk.sampling import SelectionConfig

    started = time.perf_counter()
    selection = SelectionConfig(**options)
    # All of them, so that what is wrong with the file shows before a call is paid for.
    rows = list(read_rows(source.rows, source.split, source.subset))
    if not rows:
        raise InvalidTraceError(f"{source.rows} holds no questions.")
    total = Total(selection.n)
    output = source.output if source.output and (source.output.exists() or not dry_run) else None
    with AnswerFile(output, settings, selection.n) if output else nullcontext() as file:
        todo = _choose(rows, source, file, total, quiet=not as_json or file is not None)
        announce_cost(
            "best_of_n",
            [one.question for one in todo],
            llm,
            dry_run=dry_run,
            as_json=as_json,
            at_most=len(todo) * (selection.n + bool(selection.escalate)),
            **{name: options[name] for name in ("n", "stop", "escalate")},
        )
        with progress("questions", len(todo)) as advance:

            def on_result(index: int, outcome: Outcome) -> None:
                total.add(outcome)
                _write(todo[index], outcome, file, as_json)
                advance()

            _answer(todo, llm, selection, max_concurrency, on_result)
        if file is not None:
            file.finish()
    _report(total, time.perf_counter() - started, as_json and file is not None, resumable=file is not None)
    if total.exit_code:
        raise typer.Exit(total.exit_code)


def _answer(
    todo: Sequence[Todo], llm: LLM, selection: SelectionConfig, max_concurrency: int, on_result: OnResult
) -> None:
    from me2sdk.sampling import answer_each

    questions = (one.question for one in todo)
    run_sync(answer_each(questions, llm, selection, {}, max_concurrency=max_concurrency, on_result=on_result))


def _choose(
    rows: Sequence[Row], source: Source, file: AnswerFile | None, total: Total, quiet: bool
) -> list[Todo]:
    """The questions that have no answer yet; rows without a question are reported.

    Raises:
        ConfigurationError: the first row has no field of that name, or a row is not the one that was answered.
    """
    check_field(source.rows, rows[0], source.field)
    todo: list[Todo] = []
    for row in rows:
        found = file.find(row.number, row.text) if file else None
        if found is not None:
            total.add_earlier(found)
            continue
        try:
            record = parse_record(row.text)
            todo.append(Todo(row, record, question_of(record, source.field)))
        except InvalidTraceError as error:
            total.unreadable += 1
            _fail_line(row, str(error), quiet)
    return todo


def _write(one: Todo, outcome: Outcome, file: AnswerFile | None, as_json: bool) -> None:
    """Write down what came of a question."""
    from me2sdk.schema import BestOfNResult

    if not isinstance(outcome, BestOfNResult):
        if outcome.error != "BudgetExceeded":  # of which there may be thousands
            _fail_line(one.row, outcome.message, quiet=not as_json or file is not None)
        return
    record = {name: value for name, value in one.record.items() if name not in _OURS}
    record |= {"best": _best(outcome), "result": outcome.model_dump(mode="json")}
    if file is not None:
        file.write(one.row.number, one.row.text, record)
    else:
        emit(json.dumps({"line": one.row.number, **record}, ensure_ascii=False))


def _best(result: BestOfNResult) -> dict[str, Any]:
    best = result.best
    return {
        "response": best.response,
        "answer": best.answer,
        "confidence": result.confidence,
        "abstained": result.abstained,
    }


def _fail_line(row: Row, message: str, quiet: bool) -> None:
    fail(f"line {row.number}: {message}")
    if not quiet:
        emit(json.dumps({"line": row.number, "error": message}))


def _report(total: Total, seconds: float, as_json: bool, *, resumable: bool) -> None:
    """Say what came of all questions."""
    summary = total.summary
    if total.unasked:
        fail(f"{total.unasked} questions were not asked: the budget is spent")
    if as_json:
        counts = {"questions": total.done + total.failed, "done_before": total.before}
        facts = summary.model_dump(mode="json") | {"failed": total.failed, "seconds": round(seconds, 2)}
        emit(json.dumps(counts | facts))
        return
    before = f" ({total.before} of them before)" if total.before else ""
    again = "; run again to try those that failed" if total.failed and resumable else ""
    note(
        f"{total.done + total.failed} questions: {summary.answered} answered{before}, {summary.abstained} abstained, "
        f"{total.failed} failed{again}"
    )
    saved = f", {summary.samples_saved} saved" if summary.samples_saved > 0 else ""
    note(
        f"{summary.samples_asked} candidates asked for{saved}; {format_usage(summary.usage)}, {seconds:.1f} s"
    )
