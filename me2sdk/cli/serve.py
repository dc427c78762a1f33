"""``me2 serve``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from me2sdk.cli.io import note
from me2sdk.cli.options import (
    AbstainBelow,
    Answer,
    ApiBase,
    BudgetTokens,
    BudgetUsd,
    Cache,
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

if TYPE_CHECKING:
    from me2sdk.adapters.openai_server import ServerConfig

# Options that are settings by the same name; where one is not given, a file may say it.
_SETTINGS = (
    "api_key",
    "cache",
    "escalate",
    "grace",
    "host",
    "max_body",
    "max_concurrency",
    "max_n",
    "max_requests",
    "max_waiting",
    "min_confidence",
    "n",
    "port",
    "select",
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_keyfile_password",
    "timeout",
    "upstream_timeout",
)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(help="LiteLLM model to serve under its own name. Without any, only scoring."),
    ] = None,
    models: OfferedModels = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with models, scorers and settings; options of the command line win over it.",
            dir_okay=False,
        ),
    ] = None,
    scorer: OfferedScorers = None,
    quantization: Quantization = None,
    n: Annotated[int, typer.Option("-n", "--n", help="Candidates per request, if it does not say.")] = 8,
    max_n: Annotated[int, typer.Option(help="Most candidates a request may ask for.")] = 64,
    select: Select = "auto",
    answer: Answer = "auto",
    stop: StopSampling = None,
    min_confidence: AbstainBelow = None,
    escalate: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Served model that is asked once where the confidence is below --min-confidence (0.8 without it).",
        ),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Sampling temperature, if a request does not say.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(help="Longest completion in tokens, if a request does not say.")
    ] = None,
    allow_param: Annotated[
        list[str] | None,
        typer.Option(help="Further parameter that requests may set, such as top_k; several times for more."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="ME2_SERVER_KEY", help="Bearer token that clients must send. Better in the environment."
        ),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Origin whose web pages may send requests, such as https://chat.example.com; several times for more. "
            '"*" is every origin, and needs --api-key.'
        ),
    ] = None,
    ssl_certfile: Annotated[
        Path | None, typer.Option(help="Certificate in PEM; the server speaks HTTPS then.")
    ] = None,
    ssl_keyfile: Annotated[Path | None, typer.Option(help="Key of the certificate.")] = None,
    ssl_keyfile_password: Annotated[
        str | None,
        typer.Option(
            envvar="ME2_SSL_KEYFILE_PASSWORD", help="Password of the key. Better in the environment."
        ),
    ] = None,
    ssl_ca_certs: Annotated[
        Path | None, typer.Option(help="Certificates of which a client must have one.")
    ] = None,
    api_base: ApiBase = None,
    max_concurrency: Annotated[int, typer.Option(help="Most upstream calls in flight.")] = 64,
    max_requests: Annotated[int, typer.Option(help="Requests that run at a time.")] = 64,
    max_waiting: Annotated[int, typer.Option(help="Requests that may wait; more get 429.")] = 256,
    max_body: Annotated[int, typer.Option(help="Most bytes of a request's body.")] = 4 * 2**20,
    timeout: Annotated[float, typer.Option(help="Seconds per request.")] = 300.0,
    upstream_timeout: Annotated[float, typer.Option(help="Seconds per try of an upstream call.")] = 120.0,
    grace: Annotated[float, typer.Option(help="Seconds for running requests after a signal to stop.")] = 30.0,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    cache: Cache = False,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="Log each request on standard error.")
    ] = False,
) -> None:
    """Serve an OpenAI-compatible API that answers with the best of n candidates, until SIGTERM or Ctrl-C.

    How many candidates there are and how the best is chosen is what these options say where a request does not.
    """
    try:
        from me2sdk.adapters import openai_server
    except ImportError as error:
        raise ConfigurationError(str(error)) from error
    from me2sdk.llm import Budget
    from me2sdk.scorers import open_scorer, options_for

    scorers = {name or openai_server.own_name(what): what for name, what in map(named, scorer or ())}
    params = {"api_base": api_base, "temperature": temperature, "max_tokens": max_tokens}
    changes: dict[str, Any] = {name: context.params[name] for name in _SETTINGS if _is_given(context, name)}
    changes["models"] = {model: model} if model else {}
    changes["models"].update((name or what, what) for name, what in map(named, models or ()))
    changes["scorers"] = {
        name: open_scorer(what, **options_for(what, quantization=quantization))
        for name, what in scorers.items()
    }
    changes["params"] = {name: value for name, value in params.items() if value is not None}
    if _is_given(context, "answer"):
        changes["answer"] = None if answer == "none" else answer
    if stop is not None:
        changes["stop"] = read_stop(stop)
    if allow_param:
        changes["allow_params"] = frozenset(allow_param)
    if cors_origin:
        changes["cors_origins"] = cors_origin
    if budget_usd is not None or budget_tokens is not None:
        changes["budget"] = Budget(usd=budget_usd, tokens=budget_tokens)
    served = _config(config, changes)
    if access_log:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    if served.host not in _LOOPBACK and not served.api_key:
        who = f"anybody who reaches {served.host} can spend on your account"
        note(f"warning: {who}. Set ME2_SERVER_KEY.", "yellow")

    def announce(url: str) -> None:
        what = f"models: {', '.join(served.models) or 'none'}; scorers: {', '.join(served.scorers)}"
        note(f"Listening on {url} ({what}). Ctrl-C stops.")

    openai_server.serve(served, on_start=announce, access_log=access_log)


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option was given, on the command line or in the environment."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _config(path: Path | None, changes: dict[str, Any]) -> ServerConfig:
    from me2sdk.adapters.openai_server import ServerConfig

    if path is not None:
        return ServerConfig.from_file(path, **changes)
    if not changes["scorers"]:
        del changes["scorers"]
    try:
        return ServerConfig(**changes)
    except ValueError as error:
        raise ConfigurationError(first_error(error)) from None
