"""``me2 ask``, ``me2 rerank`` and ``me2 score``."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from me2sdk._choices import Select
from me2sdk._jsonl import JsonlWriter, read_jsonl
from me2sdk._sync import run_sync
from me2sdk.cli.io import (
    FAILED,
    PARTIAL,
    candidates_table,
    emit,
    err,
    fail,
    note,
    out,
    parse_record,
    progress,
    read_text,
)
from me2sdk.cli.model import announce_cost, format_usage, open_llm
from me2sdk.cli.options import (
    ApiBase,
    BudgetTokens,
    BudgetUsd,
    Cache,
    DryRun,
    Json,
    MaxConcurrency,
    Output,
    Quantization,
    Scorer,
)
from me2sdk.errors import ConfigurationError, InvalidTraceError, ME2Error

if TYPE_CHECKING:
    from me2sdk.schema import Candidate, RerankResult

SelectOption = Annotated[Select, typer.Option(help="How the best is chosen.")]
File = Annotated[str, typer.Argument(metavar="FILE", help="JSONL file, or - for standard input.")]

Work = Callable[[dict[str, Any]], dict[str, Any]]
Show = Callable[[dict[str, Any]], None]


def ask(
    question: Annotated[str, typer.Argument(help="The question, or - for standard input.")],
    model: Annotated[list[str], typer.Option(help="LiteLLM model; several times for a mixed pool.")],
    n: Annotated[int, typer.Option("-n", help="Candidates to sample.")] = 8,
    scorer: Scorer = "mini",
    quantization: Quantization = None,
    select: SelectOption = "best",
    temperature: Annotated[
        float | None, typer.Option(help="Sampling temperature; the provider's default if unset.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest completion, in tokens.")] = None,
    min_candidates: Annotated[int, typer.Option(help="Fail with fewer answers than this.")] = 1,
    api_base: ApiBase = None,
    max_concurrency: MaxConcurrency = 16,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    cache: Cache = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Sample several answers and print the best-reasoned one; the others are listed on standard error."""
    from me2sdk.sampling import best_of_n
    from me2sdk.scorers import open_scorer

    text = read_text("-").strip() if question == "-" else question
    if not text.strip():
        raise ConfigurationError("The question is empty. Give it as an argument, or - and pipe it in.")
    sampling = {"temperature": temperature, "max_tokens": max_tokens}
    llm = open_llm(model, api_base, max_concurrency, budget_usd, budget_tokens, cache, **sampling)
    announce_cost("best_of_n", text, llm, dry_run=dry_run, as_json=as_json, at_most=n, n=n)
    with progress("candidates", n) as advance:

        def on_candidate(candidate: Candidate) -> None:
            advance()

        result = best_of_n(
            text,
            model=llm,
            n=n,
            scorer=open_scorer(scorer, quantization=quantization),
            select=select,
            min_candidates=min_candidates,
            on_candidate=on_candidate,
        )
    if as_json:
        emit(result.model_dump_json())
    else:
        err.print(candidates_table(result))
        note(f"{format_usage(result.usage)}, {result.seconds:.1f} s")
        _show_failures(result)
        emit(result.best.response)
    if result.failures:
        raise typer.Exit(PARTIAL)


def rerank_file(
    file: File,
    scorer: Scorer = "mini",
    quantization: Quantization = None,
    select: SelectOption = "best",
    output: Output = None,
    as_json: Json = False,
) -> None:
    r"""Order candidates that you already have.

    Each line is {"question": …, "candidates": \[text or message, …]}; other fields are passed through.
    Prints a table per question, or with --json a line of JSON.
    """
    from me2sdk.sampling import rerank
    from me2sdk.schema import RerankResult
    from me2sdk.scorers import open_scorer, scorer_name

    opened = open_scorer(scorer, quantization=quantization)

    def work(record: dict[str, Any]) -> dict[str, Any]:
        candidates = record.get("candidates")
        if not isinstance(candidates, list) or not candidates:
            raise InvalidTraceError('needs "candidates": a list of texts or messages that is not empty')
        result = rerank(record.get("question"), candidates, scorer=opened, select=select)
        rest = {name: value for name, value in record.items() if name not in ("candidates", "line", "error")}
        return {**rest, "result": result.model_dump(mode="json")}

    def show(record: dict[str, Any]) -> None:
        result = RerankResult.model_validate(record["result"])
        correct = record.get("correct")
        known = dict(enumerate(correct)) if isinstance(correct, list) else None
        out().print(
            candidates_table(result, known, title=str(record.get("question") or f"line {record['line']}"))
        )
        _show_failures(result)

    settings = {
        "command": "rerank",
        "scorer": scorer_name(opened),
        "quantization": quantization,
        "select": select,
    }
    _each_line(file, settings, output, as_json, work, show)


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
    file: str, settings: dict[str, Any], output: Path | None, as_json: bool, work: Work, show: Show
) -> None:
    """Do ``work`` for each line, in order; a line that fails is reported and the rest go on."""
    done = failed = 0
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
    if failed:
        fail(f"{done} lines done, {failed} failed")
        raise typer.Exit(PARTIAL if done else FAILED)
    if not done:
        raise InvalidTraceError(f"{file} holds no lines.")


def _show_failures(result: RerankResult) -> None:
    for failure in result.failures:
        fail(f"candidate {failure.index} ({failure.stage}): {failure.error}: {failure.message}")
