"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Estimate calls, tokens and cost; ask no model and write nothing.")
]
Output = Annotated[Path | None, typer.Option(help="Write results here; run again to resume after a stop.")]

# Models.
ApiBase = Annotated[str | None, typer.Option(help="Base URL of an OpenAI-compatible server.")]
MaxConcurrency = Annotated[int, typer.Option(help="Most calls in flight.")]
BudgetUsd = Annotated[float | None, typer.Option(help="Stop before this many US dollars are spent.")]
BudgetTokens = Annotated[int | None, typer.Option(help="Stop before this many tokens are used.")]
Cache = Annotated[
    bool, typer.Option("--cache", help="Keep answers on disk, so that the same call costs nothing.")
]

# Judges.
Question = Annotated[str | None, typer.Option(help="What was asked.")]
Structure = Annotated[bool, typer.Option(help="Judge DAGs, or with --no-structure the raw traces.")]
Repeats = Annotated[int, typer.Option(help="Judgements in each of the two orders.")]
EarlyStop = Annotated[
    bool, typer.Option("--early-stop", help="Stop asking once the votes can no longer agree.")
]

# Scorers.
SCORER_NAMES = (
    '"mini", "small", a folder or hub name of a reward model or of an adapter of one, the URL of a server of one, '
    'prm:NAME for a process reward model, or "shortest", "longest", "random"'
)
Scorer = Annotated[str, typer.Option(help=f"{SCORER_NAMES}.")]
Scorers = Annotated[
    list[str] | None,
    typer.Option("--scorer", help=f"{SCORER_NAMES}; several times to compare. Default: mini."),
]
Quantization = Annotated[
    Literal["int8", "nf4"] | None, typer.Option(help="For scorers that are folders or hub names.")
]


def shipped_config(names: str) -> Any:
    """The argument CONFIG of a command.

    Args:
        names: the configs that are shipped.
    """
    return typer.Argument(metavar="CONFIG", help=f"YAML file, or the name of a shipped config ({names}).")


def overrides(example: str) -> Any:
    """The option ``--set`` of a command with a CONFIG.

    Args:
        example: an example.
    """
    return typer.Option("--set", metavar="NAME=VALUE", help=f"Change a setting, as in {example}. Repeatable.")
