"""``me2 mcp``."""

from __future__ import annotations

from typing import Annotated

import typer

from me2sdk.cli.options import (
    AbstainBelow,
    Answer,
    ApiBase,
    BudgetTokens,
    BudgetUsd,
    Cache,
    MaxConcurrency,
    OfferedModels,
    OfferedScorers,
    Quantization,
    Select,
    StopSampling,
    first_error,
    named,
    read_stop,
)
from me2sdk.errors import ConfigurationError


def mcp(
    model: Annotated[
        str | None,
        typer.Argument(
            help="LiteLLM model that tools may ask. Without any, only tools that need none are offered."
        ),
    ] = None,
    models: OfferedModels = None,
    judge: Annotated[
        str | None, typer.Option(metavar="NAME", help="Model that judges pairs; the first one by default.")
    ] = None,
    scorer: OfferedScorers = None,
    quantization: Quantization = None,
    n: Annotated[int, typer.Option("-n", "--n", help="Candidates to sample, if a call does not say.")] = 8,
    max_n: Annotated[int, typer.Option(help="Most candidates that a call may ask for.")] = 32,
    select: Select = "auto",
    answer: Answer = "auto",
    stop: StopSampling = None,
    min_confidence: AbstainBelow = None,
    repeats: Annotated[
        int, typer.Option(help="Judgements in each order, and most that a call may ask for.")
    ] = 3,
    temperature: Annotated[float | None, typer.Option(help="Sampling temperature.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest completion in tokens.")] = None,
    api_base: ApiBase = None,
    max_concurrency: MaxConcurrency = 16,
    timeout: Annotated[
        float, typer.Option(help="Seconds in which the candidates of a call have to come.")
    ] = 300.0,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    cache: Cache = False,
) -> None:
    """Serve coding agents by the Model Context Protocol, over standard input and output.

    Tools: ask_best_of_n, judge_pair, rerank, score, parse_dag. The budget is for all calls until the agent leaves.
    """
    try:
        from me2sdk.adapters import mcp as adapter
    except ImportError as error:
        raise ConfigurationError(str(error)) from error
    from me2sdk.llm import Budget
    from me2sdk.scorers import open_scorer, options_for

    offered = {model: model} if model else {}
    offered.update((name or what, what) for name, what in map(named, models or ()))
    params = {"api_base": api_base, "temperature": temperature, "max_tokens": max_tokens}
    limited = budget_usd is not None or budget_tokens is not None
    try:
        config = adapter.MCPConfig(
            models=offered,
            judge=judge,
            scorers={
                name or adapter.own_name(what): open_scorer(
                    what, **options_for(what, quantization=quantization)
                )
                for name, what in map(named, scorer or ("mini",))
            },
            n=n,
            max_n=max_n,
            select=select,
            answer=None if answer == "none" else answer,
            stop=read_stop(stop),
            min_confidence=min_confidence,
            repeats=repeats,
            params={name: value for name, value in params.items() if value is not None},
            budget=Budget(usd=budget_usd, tokens=budget_tokens) if limited else None,
            cache=cache or None,
            max_concurrency=max_concurrency,
            timeout=timeout,
        )
    except ValueError as error:
        raise ConfigurationError(first_error(error)) from None
    adapter.serve(config)
