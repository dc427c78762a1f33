"""Count the first words of real traces and write the prefix sets that the package ships.

``python -m recipes.prefixes DATA`` reads PRM800K solutions (PRMBench's originals), sampled MATH
solutions (simpleRL-reason) and BIG-Bench-Mistake traces. A word enters the general set if it starts at
least half a percent of the blocks of two sources or more. The sets of the model families are written by
hand from what is published about them (paper App. D), and every word of theirs is in the general set too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from me2sdk.steps import PrefixCounts, count_prefixes

FAMILIES = {
    "qwen3": "alternatively also another but first finally hmm however if let let's maybe next now okay similarly so "
    "suppose then therefore thus wait",
    "deepseek-r1-distill": "alright alternatively another but first given hmm however if let let's looking maybe next "
    "now okay perhaps similarly since so then therefore thus wait yes",
    "gpt-oss": "actually alternatively also but check compute consider given hence if let let's maybe need now ok so "
    "suppose then thus",
}


def sources(data: Path) -> Iterator[tuple[str, Iterator[str]]]:
    """Name and texts of each corpus that may be counted."""
    yield "prm800k", ("\n\n".join(row["original_process"]) for row in _rows(data / "prmbench" / "train"))
    yield "simplerl", (text for row in _rows(data / "simplerl") for text in row["code"])
    yield "bigbench_mistake", ("\n\n".join(row["steps"]) for row in _rows(data / "bigbench_mistake"))


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.glob("*.jsonl")):
        with file.open(encoding="utf-8-sig") as lines:
            yield from map(json.loads, lines)


def main(
    data: Annotated[
        Path, typer.Argument(help="Folder that holds prmbench/, simplerl/ and bigbench_mistake/.")
    ],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("me2sdk/data/prefixes.json"),
    min_share: Annotated[float, typer.Option(help="Least share of the blocks of a source.")] = 0.005,
) -> None:
    """Count prefix words over the corpora and write all shipped sets."""
    counted: dict[str, PrefixCounts] = {name: count_prefixes(texts) for name, texts in sources(data)}
    chosen = [counts.select(min_share) for counts in counted.values()]
    general = {word for words in chosen for word in words if sum(word in other for other in chosen) >= 2}
    sets: dict[str, Any] = {name: {"prefixes": words.split()} for name, words in FAMILIES.items()}
    general.update(*(entry["prefixes"] for entry in sets.values()))
    sets["general"] = {
        "prefixes": sorted(general),
        "counted": {name: {"traces": c.traces, "blocks": c.blocks} for name, c in counted.items()},
    }
    out.write_text(json.dumps(sets, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for name, counts in counted.items():
        top = ", ".join(f"{w} {n / counts.blocks:.1%}" for w, n in list(counts.counts.items())[:25])
        typer.echo(f"{name}: {counts.traces} traces, {counts.blocks} blocks: {top}")
    typer.echo(f"general: {' '.join(sorted(general))}")


if __name__ == "__main__":
    typer.run(main)
