"""``me2 dag``, ``me2 judge`` and ``me2 rank``."""

from __future__ import annotations

import tempfile
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from me2sdk.cli.io import PARTIAL, emit, err, out, read_text
from me2sdk.cli.model import (
    ApiBase,
    BudgetTokens,
    BudgetUsd,
    Cache,
    DryRun,
    MaxConcurrency,
    foretell,
    open_llm,
    spent,
    working,
)

if TYPE_CHECKING:
    from me2sdk.dag import ReasoningDAG

Format = Literal["json", "mermaid", "dot", "graphml", "html"]
TraceFile = Annotated[str, typer.Argument(help="Text of one completion, or - for standard input.")]
AskQuestion = Annotated[str | None, typer.Option(help="What was asked.")]
Repeats = Annotated[int, typer.Option(help="Judgements in each of the two orders.")]
Structure = Annotated[bool, typer.Option(help="Judge DAGs, or with --no-structure the raw traces.")]
EarlyStop = Annotated[
    bool, typer.Option("--early-stop", help="Stop asking once the votes can no longer agree.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def dag(
    file: TraceFile,
    model: Annotated[
        list[str] | None, typer.Option(help="LiteLLM model that annotates; without one, local rules do.")
    ] = None,
    question: AskQuestion = None,
    format: Annotated[Format, typer.Option("--format", help="What to print.")] = "json",
    output: Annotated[Path | None, typer.Option(help="Write here instead of to standard output.")] = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Draw it and open the page in a browser.")
    ] = False,
    collapse: Annotated[
        bool, typer.Option("--collapse", help="Join chains of steps into super-nodes.")
    ] = False,
    samples: Annotated[int, typer.Option(help="Annotations a step, of which the majority counts.")] = 1,
    window: Annotated[int, typer.Option(help="Steps a call.")] = 1,
    api_base: ApiBase = None,
    max_concurrency: MaxConcurrency = 16,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    cache: Cache = False,
    dry_run: DryRun = False,
) -> None:
    """Parse a trace into a DAG of its steps."""
    from me2sdk.annotate import parse_dag
    from me2sdk.schema import Trace

    trace = Trace.from_text(read_text(file), question)
    if model:
        llm = open_llm(model, api_base, max_concurrency, budget_usd, budget_tokens, cache)
        foretell("parse_dag", trace, llm, dry_run=dry_run, samples=samples, window=window)
        with working("annotating", llm):
            parsed = parse_dag(trace, model=llm, samples=samples, window=window)
        err.print(spent(parsed.usage), highlight=False)
    elif dry_run:
        emit("no calls: without a model the local rules annotate")
        return
    else:
        parsed = parse_dag(trace)
    for error in parsed.errors:
        err.print(
            f"step {error.step}: {error.message}", style="red", markup=False, highlight=False, soft_wrap=True
        )
    parsed = parsed.collapse() if collapse else parsed
    text = _formatted(parsed, "html" if open_page else format)
    if open_page and output is None:
        output = Path(tempfile.mkdtemp(prefix="me2-")) / "dag.html"
    if output is None:
        emit(text)
    else:
        output.write_text(text, "utf-8")
        err.print(f"wrote {output}", markup=False, highlight=False, soft_wrap=True)
    if open_page and output is not None:
        webbrowser.open(output.resolve().as_uri())
    if parsed.errors:
        raise typer.Exit(PARTIAL)


def _formatted(parsed: ReasoningDAG, format: Format) -> str:
    writers = {
        "json": parsed.to_json,
        "mermaid": parsed.to_mermaid,
        "dot": parsed.to_dot,
        "graphml": parsed.to_graphml,
        "html": parsed.to_html,
    }
    return writers[format]().rstrip("\n")


def judge(
    a: TraceFile,
    b: TraceFile,
    model: Annotated[list[str], typer.Option(help="LiteLLM model that judges.")],
    question: AskQuestion = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page that shows both DAGs and the verdict.")
    ] = None,
    repeats: Repeats = 3,
    structure: Structure = True,
    early_stop: EarlyStop = False,
    api_base: ApiBase = None,
    max_concurrency: MaxConcurrency = 16,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    cache: Cache = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Say which of two traces is reasoned better, on each dimension and in all."""
    from me2sdk.judge import judge_pair
    from me2sdk.schema import Trace

    llm = open_llm(model, api_base, max_concurrency, budget_usd, budget_tokens, cache)
    first, second = (Trace.from_text(read_text(file), question) for file in (a, b))
    how: Any = {"question": question, "repeats": repeats, "structure": structure, "early_stop": early_stop}
    foretell("judge_pair", (first, second), llm, dry_run=dry_run, as_json=as_json, **how)
    with working("judging", llm):
        verdict = judge_pair(a=first, b=second, model=llm, **how)
    if html:
        from me2sdk.judge import compare_html

        html.write_text(compare_html(verdict), "utf-8")
        err.print(f"wrote {html}", markup=False, highlight=False, soft_wrap=True)
    err.print(f"{spent(verdict.usage)}, {verdict.seconds:.1f} s", highlight=False)
    if as_json:
        emit(verdict.model_dump_json())
        return
    table = Table()
    for head in ("dimension", "better", "agreement", "why"):
        table.add_column(head, overflow="fold")
    for dimension, found in verdict.dimensions.items():
        name = dimension.value.replace("_", " ")
        table.add_row(name, found.preference, f"{found.agreement:.0%}", Text(found.rationale))
    table.add_row(
        "all", verdict.preference, f"{verdict.agreement:.0%}", Text(verdict.rationale), style="bold"
    )
    out().print(table)


def rank(
    files: Annotated[list[str], typer.Argument(help="Texts of two or more completions.")],
    model: Annotated[list[str], typer.Option(help="LiteLLM model that judges.")],
    question: AskQuestion = None,
    repeats: Repeats = 3,
    structure: Structure = True,
    early_stop: EarlyStop = False,
    api_base: ApiBase = None,
    max_concurrency: MaxConcurrency = 16,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    cache: Cache = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Put several traces in order, best-reasoned first, by comparing pairs of them."""
    from me2sdk.judge import rank_traces
    from me2sdk.schema import Trace

    llm = open_llm(model, api_base, max_concurrency, budget_usd, budget_tokens, cache)
    traces = [Trace.from_text(read_text(file), question) for file in files]
    how: Any = {"question": question, "repeats": repeats, "structure": structure, "early_stop": early_stop}
    foretell("rank_traces", traces, llm, dry_run=dry_run, as_json=as_json, **how)
    with working("ranking", llm):
        ranking = rank_traces(traces=traces, model=llm, **how)
    err.print(
        f"{len(ranking.comparisons)} comparisons, {spent(ranking.usage)}, {ranking.seconds:.1f} s",
        highlight=False,
    )
    for failure in ranking.failures:
        text = f"{files[failure.a]} against {files[failure.b]}: {failure.error}: {failure.message}"
        err.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        emit(ranking.model_dump_json())
    else:
        for place, number in zip(ranking.order, ranking.ranks, strict=True):
            emit(f"{number}\t{ranking.strengths[place]:+.2f}\t{files[place]}")
    if ranking.failures:
        raise typer.Exit(PARTIAL)
