"""``me2 data perturb``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from me2sdk._choices import Dimension
from me2sdk.cli.io import PARTIAL, emit, fail, note, out
from me2sdk.cli.options import Json
from me2sdk.errors import ConfigurationError


def perturb(
    traces: Annotated[
        str,
        typer.Argument(
            metavar="TRACES",
            help='JSONL of right traces, or - for standard input: "question" with "trace", with "reasoning" and '
            '"response", or with "answer" as in GSM8K; a "reference" is checked.',
        ),
    ],
    output: Annotated[Path, typer.Option(help="Pairs are written here: .jsonl or .parquet.")],
    per_trace: Annotated[int, typer.Option(min=1, help="Most pairs of one trace, each of another kind.")] = 4,
    dimension: Annotated[
        list[Dimension] | None, typer.Option(help="Only this dimension; may be given again.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same traces and seed make the same pairs.")] = 0,
    as_json: Json = False,
) -> None:
    """Make preference pairs by rule: a right trace against the same one with one known fault.

    No model is asked. Both sides state the same answer, and in half of the pairs of each kind the better side is the
    longer one.
    """
    import json

    from me2sdk.train.data import write_preferences
    from me2sdk.train.perturb import count_pairs, perturb_traces, read_traces

    if output.suffix not in (".jsonl", ".parquet") or not output.parent.is_dir():
        raise ConfigurationError(
            f"--output must be a .jsonl or .parquet file in a folder that exists, not {output}."
        )
    found = read_traces(traces, seed)
    pairs = perturb_traces(
        found.traces, per_trace=per_trace, dimensions=dimension or tuple(Dimension), seed=seed
    )
    write_preferences(output, pairs)
    rows = count_pairs(pairs)
    if as_json:
        result = {"output": str(output), "traces": len(found.traces), "wrong": found.wrong}
        result |= {"unreadable": len(found.unreadable), "kinds": [row.model_dump() for row in rows]}
        emit(json.dumps(result))
    else:
        table = Table()
        table.add_column("kind", no_wrap=True)
        table.add_column("dimension", no_wrap=True)
        for name in ("pairs", "better longer", "shorter wins"):
            table.add_column(name, justify="right")
        for row in rows:
            shares = (f"{row.better_longer:.3f}", f"{row.shorter_wins:.3f}")
            table.add_row(row.kind, row.dimension, str(row.pairs), *shares)
        out().print(table)
        emit(
            f"{len(pairs)} pairs of {len(found.traces)} traces in {output}; {found.wrong} wrong traces left out."
        )
    for number, reason in found.unreadable[:5]:
        note(f"line {number}: {reason}")
    if found.unreadable:
        fail(f"{len(found.unreadable)} lines could not be read.")
        raise typer.Exit(PARTIAL)
