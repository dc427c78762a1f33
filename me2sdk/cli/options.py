"""Options that several commands take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from me2sdk._choices import Select as SelectName
from me2sdk.errors import ConfigurationError

_NAMED = re.compile(r"([\w.:/@+-]*?[\w.@+-])=(.+)", re.DOTALL)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Estimate calls, tokens and cost; ask no model and write nothing.")
]
Output = Annotated[Path | None, typer.Option(help="Write results here; run again to resume after a stop.")]

Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write a page with the answers and every candidate here."),
]

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
    '"mini", "small", "confidence" (by the log-probabilities that candidates carry), a folder or hub name of a reward '
    "model or of an adapter of one, the URL of a server of one, prm:NAME for a process reward model, judge:MODEL for "
    'a LiteLLM model that grades, "shortest", "longest", "random", or several joined by +, or as JSON with weights: '
    '{"mini": 2, "small": 1}'
)
Scorer = Annotated[str, typer.Option(help=f"{SCORER_NAMES}.")]
Scorers = Annotated[
    list[str] | None,
    typer.Option("--scorer", help=f"{SCORER_NAMES}; several times to compare. Default: mini."),
]
Quantization = Annotated[
    Literal["int8", "nf4"] | None, typer.Option(help="For scorers that are folders or hub names.")
]

# Choosing among candidates.
ScorerOrNone = Annotated[
    str, typer.Option("--scorer", help=f"{SCORER_NAMES}; none chooses by agreement alone.")
]
Select = Annotated[
    SelectName,
    typer.Option(
        help="auto: the answer that most candidates give, equal votes by reward, free text by nearness to the others. "
        "best: the highest reward. vote: the most frequent answer. weighted_vote: the same, a vote counting from 1 for "
        "the lowest reward to 1.5 for the highest."
    ),
]
Answer = Annotated[
    str,
    typer.Option(
        help="What is compared: auto for the final answer that is stated, text for the whole response, json for its "
        "last JSON value or json:field.path for a part of it, tool_calls or tool_calls:name, a regular expression "
        "(its last match, of that the first group), similar for free text, or none."
    ),
]
MinConfidence = Annotated[
    float | None,
    typer.Option(help="Abstain, with exit code 4, below this chance of being right; above 0 and at most 1."),
]

# Servers, where a request may say it instead.
OfferedModels = Annotated[
    list[str] | None,
    typer.Option("--model", help="NAME=LITELLM_MODEL offers a model under a name; several times for more."),
]
OfferedScorers = Annotated[
    list[str] | None,
    typer.Option(
        "--scorer",
        help='Scorer that requests may choose, "mini" by default; the first is their default. Several times for '
        f"more. {SCORER_NAMES}; NAME=… gives it another name.",
    ),
]
StopSampling = Annotated[
    str | None,
    typer.Option(
        help="Stop before all are sampled: at this chance that the leading answer would still lead at the end, "
        "such as 0.95, or sure where nothing can change it."
    ),
]
AbstainBelow = Annotated[
    float | None,
    typer.Option(help="Say that an answer abstains below this chance of being right; above 0 and at most 1."),
]


def read_stop(given: str | None) -> float | Literal["sure"] | None:
    """What ``--stop`` says.

    Raises:
        ConfigurationError: it is neither a number nor "sure".
    """
    if given is None:
        return None
    if given == "sure":
        return "sure"
    try:
        return float(given)
    except ValueError:
        raise ConfigurationError(f"--stop is a chance such as 0.95, or sure; it is {given!r}.") from None


def named(item: str) -> tuple[str | None, str]:
    """The name before the equals sign of NAME=WHAT, or None, and the rest."""
    found = _NAMED.fullmatch(item)
    return (found[1], found[2]) if found and "://" not in found[1] else (None, item)


def first_error(error: ValueError) -> str:
    """The first error of pydantic as one line, or the error's own text."""
    details = getattr(error, "errors", None)
    if details is None:
        return str(error)
    first = details(include_input=False, include_url=False)[0]
    field = " ".join(str(part) for part in first["loc"]).replace("_", " ") or "settings"
    return f"{field}: {first['msg'].removeprefix('Value error, ').rstrip('.')}."


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
