"""The command line: ``me2``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from me2sdk.cli import (
    ask,
    data,
    demo,
    doctor,
    evaluate,
    grpo,
    mcp,
    parity,
    perturb,
    quantize,
    rerank,
    serve,
    steps,
    structure,
    train_rm,
)
from me2sdk.cli.io import FAILED, USAGE, fail
from me2sdk.errors import ConfigurationError, ME2Error

app = typer.Typer(
    name="me2",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Return the answer that was reasoned best.",
    epilog="Exit codes: 0 all done; 1 failed; 2 wrong usage or settings; 3 done, but some lines or candidates failed; "
    "4 done, but less sure than --min-confidence asks; 130 interrupted.",
)
app.command()(ask.ask)
app.command("rerank")(rerank.rerank_file)
app.command()(rerank.score)
app.command("steps")(steps.steps)
app.command()(structure.dag)
app.command()(structure.judge)
app.command()(structure.rank)
data_app = typer.Typer(no_args_is_help=True, help="Build and make preference data.")
train_app = typer.Typer(no_args_is_help=True, help="Train reward models, and language models by GRPO.")
eval_app = typer.Typer(no_args_is_help=True, help="Measure scorers, judges and annotators.")
app.add_typer(data_app, name="data")
data_app.command("build")(data.build)
data_app.command("perturb")(perturb.perturb)
app.add_typer(train_app, name="train")
train_app.command("rm")(train_rm.rm)
train_app.command("grpo")(grpo.grpo)
app.add_typer(eval_app, name="eval")
eval_app.command("pairs")(evaluate.pairs)
eval_app.command("bon")(evaluate.bon)
eval_app.command("dag")(evaluate.dag)
app.command("serve")(serve.serve)
app.command("mcp")(mcp.mcp)
app.command("demo")(demo.demo)
app.command("parity")(parity.parity)
app.command("doctor")(doctor.doctor)
app.command("quantize")(quantize.quantize)


def _version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        typer.echo(version("me2sdk"))
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options that stand before the command."""


def main() -> None:
    """Run the command line; errors of me2sdk become one line on standard error and an exit code."""
    try:
        app()
    except ME2Error as error:
        fail(f"error: {error}")
        sys.exit(USAGE if isinstance(error, ConfigurationError) else FAILED)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader left (`me2 … | head`), so the last flush would fail, too
        sys.exit(0)
