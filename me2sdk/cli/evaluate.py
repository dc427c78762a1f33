"""``me2 eval pairs``, ``me2 eval bon`` and ``me2 eval dag``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from me2sdk.cli.io import FAILED, PARTIAL, emit, fail, note, out, progress_callback
from me2sdk.cli.model import format_usage, open_llm
from me2sdk.cli.options import (
    ApiBase,
    BudgetTokens,
    BudgetUsd,
    Cache,
    EarlyStop,
    Json,
    MaxConcurrency,
    Output,
    Quantization,
    Repeats,
    Scorers,
    Structure,
)

if TYPE_CHECKING:
    from me2sdk.train.evaluate import BestOfNReport, EvaluationFailure

Api = Annotated[
    Literal["sglang", "vllm", "tei"], typer.Option(help="Protocol of the server, for a scorer that is a URL.")
]
MaxTokens = Annotated[int | None, typer.Option(help="Longest input of such scorers, in tokens.")]


def pairs(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Preference pairs: .jsonl, .parquet, a folder of me2 data build, or a hub data set.",
        ),
    ],
    scorer: Scorers = None,
    judge: Annotated[
        list[str] | None, typer.Option(help="LiteLLM model that judges; several times to compare.")
    ] = None,
    structure: Structure = True,
    repeats: Repeats = 3,
    early_stop: EarlyStop = False,
    split: Annotated[str, typer.Option(help="Which split of a folder or data set.")] = "validation",
    output: Output = None,
    api: Api = "sglang",
    quantization: Quantization = None,
    max_tokens: MaxTokens = None,
    api_base: ApiBase = None,
    max_concurrency: MaxConcurrency = 16,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    cache: Cache = False,
    as_json: Json = False,
) -> None:
    """Measure how often scorers and judges prefer the better trace of a pair."""
    from me2sdk.train.data import read_preferences
    from me2sdk.train.evaluate import PairJudge, evaluate_pairs

    judges = {}
    for model in judge or []:
        llm = open_llm([model], api_base, max_concurrency, budget_usd, budget_tokens, cache)
        name = f"{model}, {'structure' if structure else 'prompt only'}"
        judges[name] = PairJudge(llm, structure=structure, repeats=repeats, early_stop=early_stop)
    names = scorer or ([] if judge else ["mini"])
    with (
        _scorers(names, api, quantization, max_tokens) as scorers,
        progress_callback("reading") as on_progress,
    ):
        report = evaluate_pairs(
            read_preferences(file, split), scorers, judges=judges, output=output, on_progress=on_progress
        )
    if as_json:
        emit(report.model_dump_json())
    else:
        out().print(_table(report.table(), f"{report.pairs} pairs, {report.questions} questions"))
        for by in ("length", "dimension", "category"):
            if rows := report.table(by):
                out().print(_table(rows, f"by {by}"))
        for name, summary in report.judges.items():
            shares = (("orders agree", summary.consistent), ("prefers the first shown", summary.first))
            text = ", ".join(f"{what} {'–' if share is None else f'{share:.0%}'}" for what, share in shares)
            emit(f"{name}: {text}; {format_usage(summary.usage)}")
        _report_truncated(report.truncated, "pairs")
    _end(report.failures, any(row.pairs for row in report.rows))


def bon(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help='JSONL: {"question", "candidates": \\[text or message, …], "correct": \\[true, …] or "reference": '
            '"…"}; "models" and "answers" are read, too.',
        ),
    ],
    scorer: Scorers = None,
    plot: Annotated[
        Path | None,
        typer.Option("--png", "--plot", help="Draw the curves and the confidence here (.png, .svg or .pdf)."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Write a page with the curves, the confidence and all tables here."
        ),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the curves here, in long form.")] = None,
    output: Output = None,
    api: Api = "sglang",
    quantization: Quantization = None,
    max_tokens: MaxTokens = None,
    as_json: Json = False,
) -> None:
    """Measure how often the chosen of N candidates is right, how sure that is, and what stopping early saves."""
    from me2sdk.train.evaluate import evaluate_best_of_n, plot_best_of_n, read_candidates

    with (
        _scorers(scorer or ["mini"], api, quantization, max_tokens) as scorers,
        progress_callback("reading") as on_progress,
    ):
        report = evaluate_best_of_n(read_candidates(file), scorers, output=output, on_progress=on_progress)
    if as_json:
        emit(report.model_dump_json())
    else:
        _print_best_of_n(report)
        if report.undecided:
            note(f"{report.undecided} answers could not be compared with the reference and count as wrong.")
        _report_truncated(report.truncated, "candidates")
    if csv:
        report.write_csv(csv)
        note(f"wrote {csv}")
    if plot:
        plot_best_of_n(report, plot)
        note(f"wrote {plot}")
    if html:
        html.write_text(report.to_html(), "utf-8")
        note(f"wrote {html}")
    _end(report.failures, any(report.scored.values()))


def _print_best_of_n(report: BestOfNReport) -> None:
    from me2sdk.train.evaluate import WITHIN

    fewest, most = report.candidates
    title = f"{report.questions} questions, {fewest}{f' to {most}' if most > fewest else ''} candidates each"
    out().print(_table(report.table(), title))
    groups = {"": ""}
    if WITHIN in report.models:
        groups[WITHIN] = f"within each of {len(report.models) - 2} models"
        out().print(_table(report.table(WITHIN), groups[WITHIN]))
    if any(not row.exact for row in report.rows):
        out().print(
            "Where there are too many subsets to count, votes are the mean over 2,000 random ones, and auto over "
            f"{report.draws}.",
            style="dim",
        )
    for one in (one for one in report.calibrations if one.model in groups):
        what = _joined(f"confidence of {one.method}", groups[one.model])
        if one.questions:
            out().print(_table(one.table(), f"{what}: {one}"))
        if one.unknown:
            out().print(f"{what}: none for {one.unknown}, whose answers could not be compared", style="dim")
    for model, which in groups.items():
        if rows := report.stopping_table(model):
            out().print(_table(rows, _joined("stopping before all candidates", which)))


def dag(
    gold: Annotated[
        Path,
        typer.Argument(
            metavar="GOLD",
            help="Annotated traces: a folder of ReasoningFlow documents, or .json or .jsonl with DAGs in the "
            "reference format.",
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(help='LiteLLM model that annotates, or "local"; several times to compare.'),
    ] = None,
    window: Annotated[
        list[int] | None, typer.Option(help="Steps per call; several times to compare.")
    ] = None,
    samples: Annotated[
        list[int] | None, typer.Option(help="Annotations per step; several times to compare.")
    ] = None,
    by_model: Annotated[
        bool, typer.Option("--by-model", help="Print a table per model that wrote traces.")
    ] = False,
    output: Output = None,
    api_base: ApiBase = None,
    max_concurrency: MaxConcurrency = 16,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    cache: Cache = False,
    as_json: Json = False,
) -> None:
    """Compare annotators on traces whose structure is known: models, windows, the local annotator."""
    from me2sdk.train.evaluate import DagAnnotator, evaluate_dag, read_gold

    annotators: dict[str, DagAnnotator] = {}
    for name in model or ["local"]:
        if name == "local":
            annotators[name] = DagAnnotator()
            continue
        llm = open_llm([name], api_base, max_concurrency, budget_usd, budget_tokens, cache)
        for steps in window or [1]:
            for drawn in samples or [1]:
                annotators[f"{name}, window {steps}, samples {drawn}"] = DagAnnotator(
                    llm, window=steps, samples=drawn
                )
    with progress_callback("reading") as on_progress:
        report = evaluate_dag(read_gold(gold), annotators, output=output, on_progress=on_progress)
    if as_json:
        emit(report.model_dump_json())
    else:
        for family in report.families if by_model else [""]:
            rows = _transposed(report.table(family), "annotator")
            out().print(_table(rows, f"traces of {family}" if family else "all traces"))
    _end(report.failures, any(row.traces for row in report.rows if row.annotator in annotators))


@contextmanager
def _scorers(
    names: Sequence[str], api: Any, quantization: Any, max_tokens: int | None
) -> Iterator[dict[str, Any]]:
    """The scorers of a command; their connections are closed at the end."""
    from me2sdk.scorers import open_scorer, options_for

    with ExitStack() as stack:
        found = {}
        for name in names:
            options = options_for(name, api=api, quantization=quantization, max_tokens=max_tokens)
            found[name] = open_scorer(name, **options)
            if callable(close := getattr(found[name], "close", None)):
                stack.callback(close)
        yield found


def _table(rows: list[dict[str, str]], title: str) -> Table:
    table = Table(
        title=Text(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    heads = list(dict.fromkeys(name for row in rows for name in row))
    for place, head in enumerate(heads):
        table.add_column(
            head, justify="right" if place else "left", overflow="fold", min_width=min(8, len(head))
        )
    for row in rows:
        table.add_row(*(Text(row.get(head, "")) for head in heads))
    return table


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _transposed(rows: list[dict[str, str]], head: str) -> list[dict[str, str]]:
    """The table with a column per row, for tables with few rows and many columns."""
    return [{"": name, **{row[head]: row[name] for row in rows}} for name in rows[0] if name != head]


def _report_truncated(truncated: dict[str, int], what: str) -> None:
    for name, count in truncated.items():
        if count:
            note(f"{name} had to leave out a part of {count} {what}.", "yellow")


def _end(failures: Sequence[EvaluationFailure], some: bool) -> None:
    """Report failures and exit with the code for them; ``some`` says whether anything succeeded."""
    if not failures:
        return
    kinds: dict[tuple[str, str], list[EvaluationFailure]] = {}
    for failure in failures:
        kinds.setdefault((failure.by, failure.error), []).append(failure)
    for (by, error), group in kinds.items():
        text = (
            f"{by}: {len(group)} failed with {error}, the first at record {group[0].item}: {group[0].message}"
        )
        fail(text)
    raise typer.Exit(PARTIAL if some else FAILED)
