"""``me2 ask``: one question, or a file of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from me2sdk.cli.arrivals import arrivals
from me2sdk.cli.ask_file import Source, ask_file
from me2sdk.cli.choosing import abstention, answer_key, open_scorer_or_none, show_failures
from me2sdk.cli.io import (
    ABSTAINED,
    PARTIAL,
    candidates_table,
    emit,
    err,
    fail,
    note,
    outcome,
    read_text,
    write_page,
)
from me2sdk.cli.model import announce_cost, format_usage, open_llm
from me2sdk.cli.options import (
    Answer,
    ApiBase,
    BudgetTokens,
    BudgetUsd,
    Cache,
    DryRun,
    Html,
    Json,
    MaxConcurrency,
    MinConfidence,
    Output,
    Quantization,
    ScorerOrNone,
    Select,
    read_stop,
)
from me2sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from me2sdk.llm import LLM
    from me2sdk.schema import BestOfNResult


def ask(
    model: Annotated[list[str], typer.Option(help="LiteLLM model; several times for a mixed pool.")],
    question: Annotated[
        str | None, typer.Argument(help="The question, or - for standard input. None with --input.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="Many questions: a .jsonl, .csv or .parquet file, the folder or hub name of a data set, or - for "
            "JSONL from standard input.",
        ),
    ] = None,
    output: Output = None,
    question_field: Annotated[
        str, typer.Option(help="With --input: the field or column that holds the question.")
    ] = "question",
    split: Annotated[str, typer.Option(help="With --input: the split of a data set.")] = "train",
    subset: Annotated[
        str | None, typer.Option(help="With --input: the configuration of a data set that has several.")
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Candidates to sample for a question.")] = 8,
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
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Sample several answers and print the best one; the others, and how sure that is, go to standard error.

    With --input it answers all questions of a file, several at a time, and writes a line of JSON for each to --output
    or to standard output. Run again with the same --output, it goes on where it stopped, and tries again what failed.

    Exit code 4 says that it is less sure than --min-confidence asks, also where some candidates failed.
    """
    sampling = {"temperature": temperature, "max_tokens": max_tokens}
    if source is None:
        text = _read_question(question, output is not None)
    elif question is not None:
        raise ConfigurationError("Give a question, or a file of them with --input, not both.")
    elif html is not None:
        raise ConfigurationError(
            "--html goes with one question. Of a file, the field result of a record is read by "
            "BestOfNResult.model_validate, and its to_html() writes the page."
        )
    rule = read_stop(stop)
    llm = open_llm(model, api_base, max_concurrency, budget_usd, budget_tokens, cache, **sampling)
    if source is None:
        at_most, facts = n + bool(escalate), {"n": n, "stop": rule, "escalate": escalate}
        announce_cost("best_of_n", text, llm, dry_run=dry_run, as_json=as_json, at_most=at_most, **facts)
    options: dict[str, Any] = {
        "n": n,
        "scorer": open_scorer_or_none(scorer, quantization),
        "select": select,
        "answer": answer_key(answer),
        "stop": rule,
        "min_confidence": min_confidence,
        "escalate": escalate,
        "deadline": deadline,
        "min_candidates": min_candidates,
    }
    if source is not None:
        ask_file(
            Source(source, output, question_field, split, subset),
            llm,
            options,
            _settings(model, options, sampling, quantization, question_field),
            max_concurrency=max_concurrency,
            dry_run=dry_run,
            as_json=as_json,
        )
        return
    result = _ask_one(text, llm, options)
    _show(result, n, as_json)
    if html is not None:
        write_page(html, result, options["scorer"])
    if result.abstained:
        fail(abstention(result, min_confidence))
        raise typer.Exit(ABSTAINED)
    if result.failures:
        raise typer.Exit(PARTIAL)


def _settings(
    models: list[str],
    options: dict[str, Any],
    sampling: dict[str, Any],
    quantization: str | None,
    question_field: str,
) -> dict[str, Any]:
    """What the answers to a file of questions depend on, beside its rows."""
    from me2sdk.scorers import scorer_name

    scorer = options["scorer"]
    return {
        "command": "ask",
        "model": models,
        **options,
        "scorer": "none" if scorer is None else scorer_name(scorer),
        "quantization": quantization,
        **sampling,
        "question_field": question_field,
    }


def _read_question(given: str | None, has_output: bool) -> str:
    """The single question that is asked.

    Raises:
        ConfigurationError: there is none, or ``--output`` is given, which is for many.
    """
    if given is None:
        raise ConfigurationError("Give a question, - to read it from standard input, or a file with --input.")
    if has_output:
        raise ConfigurationError(
            "--output goes with --input. For one question redirect the output: me2 ask … > FILE"
        )
    text = read_text("-").strip() if given == "-" else given
    if not text.strip():
        raise ConfigurationError("The question is empty. Give it as an argument, or - and pipe it in.")
    return text


def _ask_one(question: str, llm: LLM, options: dict[str, Any]) -> BestOfNResult:
    """Sample while a terminal shows the candidates that have come."""
    from me2sdk.sampling import best_of_n

    with arrivals(options["n"] + bool(options["escalate"]), options["answer"]) as on_candidate:
        return best_of_n(question, model=llm, on_candidate=on_candidate, **options)


def _show(result: BestOfNResult, n: int, as_json: bool) -> None:
    if as_json:
        emit(result.model_dump_json())
        return
    err.print(candidates_table(result))
    note(outcome(result) + _sampling_of(result, n))
    note(f"{format_usage(result.usage)}, {result.seconds:.1f} s")
    show_failures(result)
    emit(result.best.response)


def _sampling_of(result: BestOfNResult, n: int) -> str:
    """What else there is to say of how candidates were sampled."""
    early = f", stopped early after {result.asked - result.escalated} of {n}" if result.stopped_early else ""
    return early + (", asked the stronger model" if result.escalated else "")
