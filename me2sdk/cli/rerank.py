"""``me2 ask``, ``me2 rerank`` and ``me2 score``."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from me2sdk._jsonl import JsonlWriter, read_jsonl
from me2sdk._sync import run_sync
from me2sdk.cli.io import (
    ABSTAINED,
    FAILED,
    PARTIAL,
    candidates_table,
    emit,
    err,
    fail,
    note,
    out,
    outcome,
    parse_record,
    progress,
    read_text,
)
from me2sdk.cli.model import announce_cost, format_usage, open_llm
from me2sdk.cli.options import (
    Answer,
    ApiBase,
    BudgetTokens,
    BudgetUsd,
    Cache,
    DryRun,
    Json,
    MaxConcurrency,
    MinConfidence,
    Output,
    Quantization,
    Scorer,
    ScorerOrNone,
    Select,
    read_stop,
)
from me2sdk.errors import ConfigurationError, InvalidTraceError, ME2Error

if TYPE_CHECKING:
    from me2sdk.schema import BestOfNResult, Candidate, RerankResult
    from me2sdk.scorers import Scorer as AnyScorer

File = Annotated[str, typer.Argument(metavar="FILE", help="JSONL file, or - for standard input.")]

Work = Callable[[dict[str, Any]], dict[str, Any]]
Show = Callable[[dict[str, Any]], None]
Abstained = Callable[[dict[str, Any]], bool]


def ask(
    question: Annotated[str, typer.Argument(help="The question, or - for standard input.")],
    model: Annotated[list[str], typer.Option(help="LiteLLM model; several times for a mixed pool.")],
    n: Annotated[int, typer.Option("-n", help="Candidates to sample.")] = 8,
    scorer: ScorerOrNone = "mini",
    quantization: Quantization = None,
    select: Select = "auto",
    answer: Answer = "auto",
    stop: Annotated[
        str | None,
        typer.Option(
            help="Stop before all are sampled: at this chance that the leading answer would still lead at the end, "
            "such as 0.95, or sure where nothing can change it."
        ),
    ] = None,
    min_confidence: MinConfidence = None,
    escalate: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Stronger model, asked once where the confidence is below --min-confidence (0.8 without it).",
        ),
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Choose among what has come after so many seconds."),
    ] = None,
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
    """Sample several answers and print the best one; the others, and how sure that is, go to standard error.

    Exit code 4 says that it is less sure than --min-confidence asks, also where some candidates failed.
    """
    from me2sdk.sampling import best_of_n

    text = read_text("-").strip() if question == "-" else question
    if not text.strip():
        raise ConfigurationError("The question is empty. Give it as an argument, or - and pipe it in.")
    sampling = {"temperature": temperature, "max_tokens": max_tokens}
    llm = open_llm(model, api_base, max_concurrency, budget_usd, budget_tokens, cache, **sampling)
    rule = read_stop(stop)
    announce_cost(
        "best_of_n",
        text,
        llm,
        dry_run=dry_run,
        as_json=as_json,
        at_most=n + bool(escalate),
        n=n,
        stop=rule,
        escalate=escalate,
    )
    with progress("candidates", n) as advance:

        def on_candidate(candidate: Candidate) -> None:
            advance()

        result = best_of_n(
            text,
            model=llm,
            n=n,
            scorer=_open_scorer(scorer, quantization),
            select=select,
            answer=_answer_key(answer),
            stop=rule,
            min_confidence=min_confidence,
            escalate=escalate,
            deadline=deadline,
            min_candidates=min_candidates,
            on_candidate=on_candidate,
        )
    if as_json:
        emit(result.model_dump_json())
    else:
        err.print(candidates_table(result))
        note(outcome(result) + _sampling_of(result, n))
        note(f"{format_usage(result.usage)}, {result.seconds:.1f} s")
        _show_failures(result)
        emit(result.best.response)
    if result.abstained:
        fail(_abstention(result, min_confidence))
        raise typer.Exit(ABSTAINED)
    if result.failures:
        raise typer.Exit(PARTIAL)


def rerank_file(
    file: File,
    scorer: ScorerOrNone = "mini",
    quantization: Quantization = None,
    select: Select = "auto",
    answer: Answer = "auto",
    min_confidence: MinConfidence = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    r"""Order candidates that you already have.

    Each line is {"question": …, "candidates": \[text or message, …]}; other fields are passed through.
    Prints a table per question, or with --json a line of JSON.

    Exit code 4 says that no line failed, and that some are less sure than --min-confidence asks.
    """
    from me2sdk.sampling import rerank
    from me2sdk.schema import RerankResult
    from me2sdk.scorers import scorer_name

    opened, key = _open_scorer(scorer, quantization), _answer_key(answer)

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
        _show_failures(result)

    def abstained(record: dict[str, Any]) -> bool:
        if not record["result"]["abstained"]:
            return False
        result = RerankResult.model_validate(record["result"])
        fail(f"line {record['line']}: {_abstention(result, min_confidence)}")
        return True

    settings = {
        "command": "rerank",
        "scorer": "none" if opened is None else scorer_name(opened),
        "quantization": quantization,
        "select": select,
        "answer": answer,
        "min_confidence": min_confidence,
    }
    _each_line(file, settings, output, as_json, work, show, abstained)


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
            unsure += abstained(record)
    if failed:
        fail(f"{done} lines done, {failed} failed")
        raise typer.Exit(PARTIAL if done else FAILED)
    if not done:
        raise InvalidTraceError(f"{file} holds no lines.")
    if unsure:
        raise typer.Exit(ABSTAINED)


def _open_scorer(name: str, quantization: Literal["int8", "nf4"] | None) -> AnyScorer | None:
    from me2sdk.scorers import open_scorer

    if name != "none":
        return open_scorer(name, quantization=quantization)
    if quantization:
        raise ConfigurationError("--quantization is for a scorer, and --scorer none is none.")
    return None


def _answer_key(name: str) -> str | None:
    return None if name == "none" else name


def _sampling_of(result: BestOfNResult, n: int) -> str:
    """What else there is to say of how candidates were sampled."""
    early = f", stopped early after {result.asked - result.escalated} of {n}" if result.stopped_early else ""
    return early + (", asked the stronger model" if result.escalated else "")


def _abstention(result: RerankResult, least: float | None) -> str:
    sure = "is not known" if result.confidence is None else f"of {result.confidence:.3f} is too low"
    return f"abstained: the confidence {sure}, --min-confidence is {least}"


def _show_failures(result: RerankResult) -> None:
    for failure in result.failures:
        whose = "all candidates" if failure.index is None else f"candidate {failure.index}"
        fail(f"{whose} ({failure.stage}): {failure.error}: {failure.message}")
