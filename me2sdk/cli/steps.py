"""``me2 steps``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from me2sdk._choices import PREFIX_SETS
from me2sdk._jsonl import read_jsonl
from me2sdk.cli.io import emit, parse_record, read_text
from me2sdk.cli.options import Json


def steps(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Text of one completion, or - for standard input.")
    ],
    prefixes: Annotated[
        str, typer.Option(help=f"auto, {', '.join(PREFIX_SETS)}, or a file of prefix words.")
    ] = "auto",
    count: Annotated[
        bool,
        typer.Option("--count", help='Count first words instead; FILE is JSONL with a "text" in each line.'),
    ] = False,
    write: Annotated[
        Path | None, typer.Option(help="With --count: write the set of prefix words here.")
    ] = None,
    min_share: Annotated[float, typer.Option(help="With --count: smallest share of the blocks.")] = 0.005,
    as_json: Json = False,
) -> None:
    """Cut a trace into steps, or count the first words of a corpus to make a prefix set."""
    from me2sdk.schema import Trace
    from me2sdk.steps import split_steps

    if count:
        _count(file, write, min_share, as_json)
        return
    trace = Trace.from_text(read_text(file))
    found = split_steps(trace, Path(prefixes) if Path(prefixes).is_file() else prefixes)
    if as_json:
        emit(json.dumps([step._asdict() for step in found], ensure_ascii=False))
        return
    for number, step in enumerate(found):
        emit(f"── step {number}\n{step.text}")


def _count(file: str, write: Path | None, min_share: float, as_json: bool) -> None:
    from me2sdk.steps import count_prefixes

    counts = count_prefixes(str(parse_record(line).get("text", "")) for _, line in read_jsonl(file))
    if write:
        counts.write(write, min_share)
    if as_json:
        emit(
            json.dumps(
                {**counts.model_dump(), "prefixes": sorted(counts.select(min_share))}, ensure_ascii=False
            )
        )
        return
    chosen = counts.select(min_share)
    emit(f"{counts.traces} traces, {counts.blocks} blocks")
    for word, number in list(counts.counts.items())[:40]:
        mark = "*" if word in chosen else " "
        emit(f"{mark} {number / counts.blocks:6.1%}  {word}")
