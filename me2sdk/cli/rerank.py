"""``me2 rerank`` and ``me2 score``."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from me2sdk._jsonl import JsonlWriter, read_jsonl
from me2sdk._sync import run_sync
from me2sdk.cli.choosing import abstention, answer_key, open_scorer_or_none, show_failures
from me2sdk.cli.io import (
    ABSTAINED,
    FAILED,
    PARTIAL,
    candidates_table,
    emit,
    fail,
    out,
    outcome,
    parse_record,
    progress,
    write_page,
)
from me2sdk.cli.options import (
    Answer,
    Html,
    Json,
    MinConfidence,
    Output,
    Quantization,
    Scorer,
    ScorerOrNone,
    Select,
)
from me2sdk.errors import ConfigurationError, InvalidTraceError, ME2Error

File = Annotated[str, typer.Argument(metavar="FILE", help="JSONL file, or - for standard input.")]

Work = Callable[[dict[str, Any]], dict[str, Any]]
Show = Callable[[dict[str, Any]], None]
Abstained = Callable[[dict[str, Any]], bool]


def rerank_file(
    file: File,
    scorer: ScorerOrNone = "mini",
    quantization: Quantization = None,
    select: Select = "auto",
    answer: Answer = "auto",
    min_confidence: MinConfidence = None,
    output: Output = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    r"""Order candidates that you already have.

    Each line is {"question": …, "candidates": \[text or message, …]}; other fields are passed through.
    Prints a table per question, or with --json a line of JSON. With --html page.html each line has a page of its own;
    that of line 2 is page-2.html.

    Exit code 4 says that no line failed, and that some are less sure than --min-confidence asks.
    """
    from me2sdk.sampling import rerank
    from me2sdk.schema import RerankResult
    from me2sdk.scorers import scorer_name

    opened, key = open_scorer_or_none(scorer, quantization), answer_key(answer)

    def work(record: dict[str, Any]) -> dict[str, Any]:
        candidates = record.get("candidates")
        if not isinstance(candidates, list) or not candidates:
            raise InvalidTraceError('needs "candidates": a list of texts or messages that is not empty')
        result = rerank(
            record.get("question"),
            candidates,
            scorer=opened,
            select=select,
            answer=key,
            min_confidence=min_confidence,
        )
        rest = {name: value for name, value in record.items() if name not in ("candidates", "line", "error")}
        return {**rest, "result": result.model_dump(mode="json")}

    def show(record: dict[str, Any]) -> None:
        result = RerankResult.model_validate(record["result"])
        correct = record.get("correct")
        known = dict(enumerate(correct)) if isinstance(correct, list) else None
        out().print(
            candidates_table(result, known, title=str(record.get("question") or f"line {record['line']}"))
        )
        emit(outcome(result))
        show_failures(result)

    def page(record: dict[str, Any]) -> None:
        if html is None:
            return
        line = record["line"]
        file = html if line == 1 else html.with_stem(f"{html.stem}-{line}")
        write_page(file, RerankResult.model_validate(record["result"]), opened)

    def abstained(record: dict[str, Any]) -> bool:
        if not record["result"]["abstained"]:
            return False
        result = RerankResult.model_validate(record["result"])
        fail(f"line {record['line']}: {abstention(result, min_confidence)}")
        return True

    settings = {
        "command": "rerank",
        "scorer": "none" if opened is None else scorer_name(opened),
        "quantization": quantization,
        "select": select,
        "answer": answer,
        "min_confidence": min_confidence,
    }
    _each_line(file, settings, output, as_json, work, show, abstained, page)


def score(
    file: File,
    scorer: Scorer = "mini",
    quantization: Quantization = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Score single traces.

    Each line is {"question": …, "text": …} (or "message", or "reasoning"); other fields are passed through.
    """
    from me2sdk.schema import Trace
    from me2sdk.scorers import ask_scorer, open_scorer, scorer_name

    opened = open_scorer(scorer, quantization=quantization)

    def work(record: dict[str, Any]) -> dict[str, Any]:
        question = record.get("question")
        if isinstance(record.get("reasoning"), str):
            trace = Trace(reasoning=record["reasoning"], question=question)
        elif isinstance(record.get("text"), str):
            trace = Trace.from_text(record["text"], question)
        elif "message" in record:
            trace = Trace.from_message(record["message"], question)
        else:
            raise InvalidTraceError('needs "text", "reasoning" or "message"')
        scores = run_sync(ask_scorer(opened, question or "", [trace]))
        rest = {name: value for name, value in record.items() if name not in ("line", "error")}
        return {
            **rest,
            "score": scores[0],
            "score_truncated": scores.truncated[0],
            "truncated": trace.truncated,
        }

    def show(record: dict[str, Any]) -> None:
        emit(f"{record['line']}\t{record['score']:+.4f}")

    settings = {"command": "score", "scorer": scorer_name(opened), "quantization": quantization}
    _each_line(file, settings, output, as_json, work, show)


def _each_line(
    file: str,
    settings: dict[str, Any],
    output: Path | None,
    as_json: bool,
    work: Work,
    show: Show,
    abstained: Abstained = lambda record: False,
    page: Show = lambda record: None,
) -> None:
    """Do ``work`` for each line, in order; a line that fails is reported and the rest go on."""
    done = failed = unsure = 0
    with (
        JsonlWriter(output, settings) if output else nullcontext() as writer,
        progress("lines", None) as advance,
    ):
        for number, line in read_jsonl(file):
            advance()
            record = writer.find(number, line) if writer else None
            try:
                if record is None:
                    fresh = work(parse_record(line))
                    record = writer.write(number, line, fresh) if writer else {"line": number, **fresh}
            except ConfigurationError:
                raise
            except ME2Error as error:
                failed += 1
                fail(f"line {number}: {error}")
                if as_json:
                    emit(json.dumps({"line": number, "error": str(error)}))
                continue
            done += 1
            if as_json:
                emit(json.dumps(record, ensure_ascii=False))
            else:
                show(record)
            page(record)
            unsure += abstained(record)
    if failed:
        fail(f"{done} lines done, {failed} failed")
        raise typer.Exit(PARTIAL if done else FAILED)
    if not done:
        raise InvalidTraceError(f"{file} holds no lines.")
    if unsure:
        raise typer.Exit(ABSTAINED)
