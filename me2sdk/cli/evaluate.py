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

from me2sdk.cli.io import FAILED, PARTIAL, emit, err, out, progress
from me2sdk.cli.model import ApiBase, BudgetTokens, BudgetUsd, Cache, MaxConcurrency, open_llm, spent

if TYPE_CHECKING:
    from me2sdk.train.evaluate import EvaluationFailure, Progress

Scorers = Annotated[
    list[str] | None,
    typer.Option(
        "--scorer",
        help='"mini", "small", a folder or hub name, the URL of a server, prm:NAME for a process reward model, or '
        '"shortest", "longest", "random"; several times to compare. Default: mini.',
    ),
]
Api = Annotated[
    Literal["sglang", "vllm", "tei"], typer.Option(help="Protocol of the server, for a scorer that is a URL.")
]
Quantization = Annotated[
    Literal["int8", "nf4"] | None, typer.Option(help="For scorers that are folders or hub names.")
]
MaxTokens = Annotated[int | None, typer.Option(help="Longest input of such scorers, in tokens.")]
Output = Annotated[Path | None, typer.Option(help="Keep results here; run again to resume after a stop.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


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
    structure: Annotated[
        bool, typer.Option(help="The judge sees DAGs, or with --no-structure raw traces.")
    ] = True,
    repeats: Annotated[int, typer.Option(help="Judgements in each of the two orders.")] = 3,
    early_stop: Annotated[
        bool, typer.Option("--early-stop", help="Stop asking a judge once its votes can no longer agree.")
    ] = False,
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
    """Tell how often scorers and judges prefer the better trace of a pair."""
    from me2sdk.train.data import read_preferences
    from me2sdk.train.evaluate import PairJudge, evaluate_pairs

    judges = {}
    for model in judge or []:
        llm = open_llm([model], api_base, max_concurrency, budget_usd, budget_tokens, cache)
        name = f"{model}, {'structure' if structure else 'prompt only'}"
        judges[name] = PairJudge(llm, structure=structure, repeats=repeats, early_stop=early_stop)
    names = scorer or ([] if judge else ["mini"])
    with _scorers(names, api, quantization, max_tokens) as scorers, _told() as tell:
        report = evaluate_pairs(
            read_preferences(file, split), scorers, judges=judges, output=output, tell=tell
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
            said = ", ".join(f"{what} {'–' if share is None else f'{share:.0%}'}" for what, share in shares)
            out().print(f"{name}: {said}; {spent(summary.usage)}", highlight=False, markup=False)
        _tell_truncated(report.truncated, "pairs")
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
        typer.Option("--png", "--plot", help="Draw the curves here (.png, .svg or .pdf)."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the curves here, in long form.")] = None,
    output: Output = None,
    api: Api = "sglang",
    quantization: Quantization = None,
    max_tokens: MaxTokens = None,
    as_json: Json = False,
) -> None:
    """Tell how often the best-scored of N candidates is right, for N = 1, 2, 4, …"""
    from me2sdk.train.evaluate import WITHIN, evaluate_bon, plot_bon, read_candidates

    with _scorers(scorer or ["mini"], api, quantization, max_tokens) as scorers, _told() as tell:
        report = evaluate_bon(read_candidates(file), scorers, output=output, tell=tell)
    if as_json:
        emit(report.model_dump_json())
    else:
        fewest, most = report.candidates
        title = (
            f"{report.questions} questions, {fewest}{f' to {most}' if most > fewest else ''} candidates each"
        )
        out().print(_table(report.table(), title))
        if WITHIN in report.models:
            out().print(_table(report.table(WITHIN), f"within each of {len(report.models) - 2} models"))
        if any(not row.exact for row in report.rows):
            out().print(
                "Votes among more than 2,000 subsets are the mean over 2,000 random ones.", style="dim"
            )
        if report.undecided:
            err.print(f"{report.undecided} answers could not be held against the reference; not right.")
        _tell_truncated(report.truncated, "candidates")
    if csv:
        report.write_csv(csv)
        _tell_written(csv)
    if plot:
        plot_bon(report, plot)
        _tell_written(plot)
    _end(report.failures, any(report.scored.values()))


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
    window: Annotated[list[int] | None, typer.Option(help="Steps a call; several times to compare.")] = None,
    samples: Annotated[
        list[int] | None, typer.Option(help="Annotations a step; several times to compare.")
    ] = None,
    by_model: Annotated[
        bool, typer.Option("--by-model", help="A table for each model that wrote traces.")
    ] = False,
    output: Output = None,
    api_base: ApiBase = None,
    max_concurrency: MaxConcurrency = 16,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    cache: Cache = False,
    as_json: Json = False,
) -> None:
    """Hold annotators against traces whose structure is known: models, windows, the local annotator."""
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
    with _told() as tell:
        report = evaluate_dag(read_gold(gold), annotators, output=output, tell=tell)
    if as_json:
        emit(report.model_dump_json())
    else:
        for family in report.families if by_model else [""]:
            rows = _turned(report.table(family), "annotator")
            out().print(_table(rows, f"traces of {family}" if family else "all traces"))
    _end(report.failures, any(row.traces for row in report.rows if row.annotator in annotators))


@contextmanager
def _scorers(
    names: Sequence[str], api: Any, quantization: Any, max_tokens: int | None
) -> Iterator[dict[str, Any]]:
    """The scorers of a command; their connections are closed in the end."""
    from me2sdk.scorers import BASELINES, open_scorer

    with ExitStack() as stack:
        found = {}
        for name in names:
            here = name not in ("mini", *BASELINES) and "://" not in name
            options = {"quantization": quantization, "max_tokens": max_tokens} if here else {}
            found[name] = open_scorer(name, api=api, **options)
            if callable(close := getattr(found[name], "close", None)):
                stack.callback(close)
        yield found


@contextmanager
def _told() -> Iterator[Progress]:
    """A progress bar that a measurement can tell how far it is."""
    with progress("reading", None) as bar:

        def tell(name: str, done: int, total: int) -> None:
            bar.update(bar.task_ids[0], description=name, completed=done, total=total)

        yield tell


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


def _turned(rows: list[dict[str, str]], head: str) -> list[dict[str, str]]:
    """The same with a column a row, for tables with few rows and many columns."""
    return [{"": name, **{row[head]: row[name] for row in rows}} for name in rows[0] if name != head]


def _tell_truncated(truncated: dict[str, int], what: str) -> None:
    for name, count in truncated.items():
        if count:
            err.print(
                f"{name} had to leave out a part of {count} {what}.",
                style="yellow",
                markup=False,
                highlight=False,
            )


def _tell_written(path: Path) -> None:
    err.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)


def _end(failures: Sequence[EvaluationFailure], some: bool) -> None:
    """Report failures, and leave with the exit code that they deserve."""
    if not failures:
        return
    kinds: dict[tuple[str, str], list[EvaluationFailure]] = {}
    for failure in failures:
        kinds.setdefault((failure.by, failure.error), []).append(failure)
    for (by, error), group in kinds.items():
        text = (
            f"{by}: {len(group)} failed with {error}, the first at record {group[0].item}: {group[0].message}"
        )
        err.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(PARTIAL if some else FAILED)
