"""Shared by the commands that call models: opening them, and saying what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from me2sdk.cli.io import emit, live, note

if TYPE_CHECKING:
    from me2sdk.cost import Verb
    from me2sdk.llm import LLM
    from me2sdk.schema import Usage

_MANY_CALLS = 50  # from here on a command announces its cost


def open_llm(
    models: list[str],
    api_base: str | None,
    max_concurrency: int,
    budget_usd: float | None,
    budget_tokens: int | None,
    cache: bool,
    **params: Any,
) -> LLM:
    """Open the models of a command.

    Args:
        models: LiteLLM names; several are a mixed pool.
        api_base: base URL of their server, or None.
        max_concurrency: most calls in flight.
        budget_usd: most US dollars, or None.
        budget_tokens: most tokens, or None.
        cache: whether to keep answers on disk.
        **params: parameters of each call; None leaves one out.
    """
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


def announce_cost(
    verb: Verb,
    items: Any,
    llm: LLM,
    *,
    dry_run: bool,
    as_json: bool = False,
    at_most: int | None = None,
    **options: Any,
) -> None:
    """Say what a job will take: always in a dry run, otherwise if it is expensive.

    Args:
        verb: the verb.
        items: the input of the verb, as `estimate_cost` takes it.
        llm: the models.
        dry_run: write the estimate to standard output and exit.
        as_json: write it as JSON.
        at_most: an upper bound of the number of calls, if there is a simple one.
        **options: the other arguments of the verb.

    Raises:
        typer.Exit: it is a dry run.
    """
    if not dry_run and at_most is not None and at_most <= _MANY_CALLS:
        return
    from me2sdk.cost import estimate_cost

    estimate = estimate_cost(verb, items, model=llm, **options)
    if dry_run:
        emit(estimate.model_dump_json() if as_json else str(estimate))
        raise typer.Exit
    if estimate.calls > _MANY_CALLS:
        note(f"This will take {estimate}.")


def format_usage(usage: Usage) -> str:
    """Calls, tokens and cost as text."""
    cost = "cost unknown" if usage.cost is None else f"${usage.cost:.4f}"
    tokens = "tokens unknown" if usage.total_tokens is None else f"{usage.total_tokens} tokens"
    return f"{usage.calls} calls, {usage.cached_calls} from the cache, {tokens}, {cost}"


class _UsageColumn(ProgressColumn):
    def __init__(self, llm: LLM) -> None:
        super().__init__()
        self._llm = llm

    def render(self, task: Task) -> Text:
        return Text(format_usage(self._llm.usage))


@contextmanager
def spinner(what: str, llm: LLM) -> Iterator[None]:
    """Show the time and the usage so far on standard error while the block runs."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), _UsageColumn(llm))
    with live(what, None, *columns):
        yield
