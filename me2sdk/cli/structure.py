"""``me2 dag``, ``me2 judge`` and ``me2 rank``."""

from __future__ import annotations

import io
import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from me2sdk.cli.io import PARTIAL, emit, fail, note, out, read_text
from me2sdk.cli.model import announce_cost, format_usage, open_llm, spinner
from me2sdk.cli.options import (
    ApiBase,
    BudgetTokens,
    BudgetUsd,
    Cache,
    DryRun,
    EarlyStop,
    Json,
    MaxConcurrency,
    Question,
    Repeats,
    Structure,
)
from me2sdk.cli.tree import dag_tree
from me2sdk.cli.verdict import reason, verdict_table

if TYPE_CHECKING:
    from me2sdk.cost import Verb
    from me2sdk.dag import ReasoningDAG
    from me2sdk.llm import LLM

Format = Literal["tree", "json", "mermaid", "dot", "graphml", "html"]
_TREE_WIDTH = 160  # columns of a tree that is written to a file
TraceFile = Annotated[str, typer.Argument(help="Text of one completion, or - for standard input.")]
Judges = Annotated[list[str], typer.Option("--model", help="LiteLLM model that judges.")]


def dag(
    file: TraceFile,
    model: Annotated[
        list[str] | None, typer.Option(help="LiteLLM model that annotates; without one, local rules do.")
    ] = None,
    question: Question = None,
    format: Annotated[
        Format | None,
        typer.Option("--format", help="What to print. Default: a tree on a terminal, else JSON."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write here instead of to standard output.")] = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Draw it and open the page in a browser.")
    ] = False,
    collapse: Annotated[
        bool, typer.Option("--collapse", help="Join chains of steps into super-nodes.")
    ] = False,
    samples: Annotated[int, typer.Option(help="Annotations per step; the majority counts.")] = 1,
    window: Annotated[int, typer.Option(help="Steps per call.")] = 1,
    api_base: ApiBase = None,
    max_concurrency: MaxConcurrency = 16,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    cache: Cache = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Parse a trace into a DAG of its steps, and draw it."""
    from me2sdk.annotate import parse_dag
    from me2sdk.schema import Trace

    trace = Trace.from_text(read_text(file), question)
    if model:
        llm = open_llm(model, api_base, max_concurrency, budget_usd, budget_tokens, cache)
        announce_cost(
            "parse_dag", trace, llm, dry_run=dry_run, as_json=as_json, samples=samples, window=window
        )
        with spinner("annotating", llm):
            parsed = parse_dag(trace, model=llm, samples=samples, window=window)
        note(format_usage(parsed.usage))
    elif dry_run:
        emit("no calls: without a model the local rules annotate")
        return
    else:
        parsed = parse_dag(trace)
    for error in parsed.errors:
        fail(f"step {error.step}: {error.message}")
    parsed = parsed.collapse() if collapse else parsed
    default: Format = "tree" if output is None and _on_terminal() else "json"
    wanted: Format = "html" if open_page else "json" if as_json else format or default
    if open_page and output is None:
        output = Path(tempfile.mkdtemp(prefix="me2-")) / "dag.html"
    if output is not None:
        output.write_text(_formatted(parsed, wanted), "utf-8")
        note(f"wrote {output}")
    elif wanted == "tree":
        out().print(dag_tree(parsed))  # as wide as the terminal
    else:
        emit(_formatted(parsed, wanted))
    if open_page and output is not None:
        webbrowser.open(output.resolve().as_uri())
    if parsed.errors:
        raise typer.Exit(PARTIAL)


def _on_terminal() -> bool:
    return sys.stdout.isatty()


def _formatted(parsed: ReasoningDAG, format: Format) -> str:
    if format == "tree":
        console = Console(file=io.StringIO(), width=_TREE_WIDTH)
        with console.capture() as drawn:
            console.print(dag_tree(parsed))
        return drawn.get().rstrip("\n")
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
    model: Judges,
    question: Question = None,
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
    llm = open_llm(model, api_base, max_concurrency, budget_usd, budget_tokens, cache)
    options: dict[str, Any] = {"repeats": repeats, "structure": structure, "early_stop": early_stop}
    verdict = _compare("judge_pair", (a, b), question, llm, dry_run, as_json, options)
    if html:
        from me2sdk.judge import compare_html

        html.write_text(compare_html(verdict), "utf-8")
        note(f"wrote {html}")
    note(f"{format_usage(verdict.usage)}, {verdict.seconds:.1f} s")
    if as_json:
        emit(verdict.model_dump_json())
        return
    small = _on_terminal()
    out().print(verdict_table(verdict, short=small))
    if small:
        emit(reason(verdict))


def rank(
    files: Annotated[list[str], typer.Argument(help="Texts of two or more completions.")],
    model: Judges,
    question: Question = None,
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
    llm = open_llm(model, api_base, max_concurrency, budget_usd, budget_tokens, cache)
    options: dict[str, Any] = {"repeats": repeats, "structure": structure, "early_stop": early_stop}
    ranking = _compare("rank_traces", files, question, llm, dry_run, as_json, options)
    note(f"{len(ranking.comparisons)} comparisons, {format_usage(ranking.usage)}, {ranking.seconds:.1f} s")
    for failure in ranking.failures:
        fail(f"{files[failure.a]} against {files[failure.b]}: {failure.error}: {failure.message}")
    if as_json:
        emit(ranking.model_dump_json())
    else:
        for place, number in zip(ranking.order, ranking.ranks, strict=True):
            emit(f"{number}\t{ranking.strengths[place]:+.2f}\t{files[place]}")
    if ranking.failures:
        raise typer.Exit(PARTIAL)


def _compare(
    verb: Verb,
    files: Sequence[str],
    question: str | None,
    llm: LLM,
    dry_run: bool,
    as_json: bool,
    options: dict[str, Any],
) -> Any:
    """Read traces, announce the cost, and compare the traces: a `PairVerdict` or a `Ranking`."""
    from me2sdk.judge import judge_pair, rank_traces
    from me2sdk.schema import Trace

    traces = [Trace.from_text(read_text(file), question) for file in files]
    announce_cost(verb, traces, llm, dry_run=dry_run, as_json=as_json, question=question, **options)
    with spinner("judging" if verb == "judge_pair" else "ranking", llm):
        if verb == "judge_pair":
            return judge_pair(question, *traces, model=llm, **options)
        return rank_traces(question, traces, model=llm, **options)
