"""The options that each command with a model takes, and a progress line that shows what was spent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from me2sdk.cli.io import emit, err

if TYPE_CHECKING:
    from me2sdk.cost import Verb
    from me2sdk.llm import LLM
    from me2sdk.schema import Usage

ApiBase = Annotated[str | None, typer.Option(help="Base URL of an OpenAI-compatible server.")]
MaxConcurrency = Annotated[int, typer.Option(help="Calls in flight at most.")]
BudgetUsd = Annotated[float | None, typer.Option(help="Stop before this many US dollars are spent.")]
BudgetTokens = Annotated[int | None, typer.Option(help="Stop before this many tokens are used.")]
Cache = Annotated[
    bool, typer.Option("--cache", help="Keep answers on disk, so that the same call costs nothing.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what it would take, in calls, tokens and cost; ask no model.")
]
_MANY = 50  # calls from which on a command says beforehand what it will take


def open_llm(
    models: list[str],
    api_base: str | None,
    max_concurrency: int,
    budget_usd: float | None,
    budget_tokens: int | None,
    cache: bool,
    **params: Any,
) -> LLM:
    """The models of a command, with its limits."""
    from me2sdk.llm import LLM, Budget

    given = {**params, "api_base": api_base}
    limited = budget_usd is not None or budget_tokens is not None
    return LLM(
        models[0] if len(models) == 1 else models,
        max_concurrency=max_concurrency,
        budget=Budget(usd=budget_usd, tokens=budget_tokens) if limited else None,
        cache=cache or None,
        **{name: value for name, value in given.items() if value is not None},
    )


def foretell(
    verb: Verb,
    items: Any,
    llm: LLM,
    *,
    dry_run: bool,
    as_json: bool = False,
    at_most: int | None = None,
    **options: Any,
) -> None:
    """Say what a job will take: on standard output if that is all that is wanted, else on standard error if it is much.

    Args:
        verb: the verb.
        items: what it works on.
        llm: the models.
        dry_run: whether that is all.
        as_json: print JSON, if that is all.
        at_most: calls that it cannot exceed, where that is plain.
        **options: the other arguments of the verb.

    Raises:
        typer.Exit: that was all.
    """
    if not dry_run and at_most is not None and at_most <= _MANY:
        return
    from me2sdk.cost import estimate_cost

    estimate = estimate_cost(verb, items, model=llm, **options)
    if dry_run:
        emit(estimate.model_dump_json() if as_json else str(estimate))
        raise typer.Exit
    if estimate.calls > _MANY:
        err.print(f"This will take {estimate}.", markup=False, highlight=False, soft_wrap=True)


def spent(usage: Usage) -> str:
    """Usage in words."""
    cost = "cost unknown" if usage.cost is None else f"${usage.cost:.4f}"
    tokens = "tokens unknown" if usage.total_tokens is None else f"{usage.total_tokens} tokens"
    return f"{usage.calls} calls, {usage.cached_calls} from the cache, {tokens}, {cost}"


class _Spent(ProgressColumn):
    def __init__(self, llm: LLM) -> None:
        super().__init__()
        self._llm = llm

    def render(self, task: Task) -> Text:
        return Text(spent(self._llm.usage))


@contextmanager
def working(what: str, llm: LLM) -> Iterator[None]:
    """Show time and spending so far on standard error while the block runs; only on a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), _Spent(llm))
    bar = Progress(*columns, console=err, transient=True)
    bar.add_task(what)
    with bar if sys.stderr.isatty() else nullcontext():
        yield
