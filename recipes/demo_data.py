"""Write the candidate sets that ``me2 demo`` reranks, as JSONL that ``me2 rerank`` reads too.

``python -m recipes.demo_data DATA CHAMP --modern DIR`` takes the sampled GSM8K solutions and the odd problems of CHAMP,
each candidate a message with the solution as its reasoning and the answer as its content, and of the modern sets a
part, each candidate the text that a model wrote. Which questions of those are taken, with which of their candidates, is
drawn by a hash of the text alone, so that nothing is picked by how a method does on it. The order of candidates is
drawn so in all sets, since the sources list weak models first.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from recipes.sources import CandidateSet, read_champ, read_gsm8k_candidates


class Part(NamedTuple):
    """Which part of a modern set is bundled.

    Attributes:
        file: name of the set's file, without its endings.
        questions: how many questions.
        candidates: how many candidates of each, at most.
    """

    file: str
    questions: int
    candidates: int


MODERN = {
    "math500": Part("math500_qwen2.5-7b_x32", questions=60, candidates=8),
    "math_l5": Part("math_l5_31_models", questions=80, candidates=8),
    "reasoning_gym": Part("reasoning_gym_9_models", questions=60, candidates=8),
}
"""Eight candidates are what ``me2 ask`` samples; the numbers of questions keep each file near 0.8 MB."""


def record(candidates: CandidateSet) -> dict[str, object]:
    """One question of the older sets as a line of the demo's files."""
    rows = list(zip(candidates.traces, candidates.answers, candidates.correct, strict=True))
    rows.sort(key=lambda row: _draw(candidates.question + row[0]))
    return {
        "question": candidates.question,
        "candidates": [
            {
                "role": "assistant",
                "reasoning_content": trace,
                "content": f"#### {answer}" if answer else "(no answer)",
            }
            for trace, answer, _ in rows
        ],
        "correct": [right for *_, right in rows],
    }


def modern_record(row: dict[str, Any], most: int) -> dict[str, object]:
    """One question of a modern set as a line of the demo's files.

    Args:
        row: a line of the set's file.
        most: take at most so many of its candidates.
    """
    chosen = sorted(row["candidates"], key=lambda one: _draw(row["question"] + one["text"]))[:most]
    return {
        "question": row["question"],
        "candidates": [one["text"] for one in chosen],
        "correct": [one["correct"] for one in chosen],
    }


def read_modern(folder: Path, part: Part) -> list[dict[str, object]]:
    """The lines of a `Part`; a question that a set has twice is taken once.

    Args:
        folder: holds the sets' files.
        part: which part.
    """
    with gzip.open(folder / f"{part.file}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = {row["question"]: row for row in map(json.loads, lines)}
    drawn = sorted(rows, key=_draw)[: part.questions]
    return [modern_record(rows[question], part.candidates) for question in drawn]


def _draw(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _files(
    data: Path | None, champ: Path | None, modern: Path | None
) -> Iterator[tuple[str, Sequence[dict[str, object]]]]:
    if data is not None:
        yield "gsm8k", [record(one) for one in read_gsm8k_candidates(data) if one.traces]
    if champ is not None:
        yield "champ", [record(one) for one in read_champ(champ) if one.traces]
    if modern is not None:
        for name, part in MODERN.items():
            yield name, read_modern(modern, part)


def main(
    data: Annotated[Path | None, typer.Argument(help="Folder that holds gsm8k/.")] = None,
    champ: Annotated[
        Path | None, typer.Argument(help="Wheel of champ-dataset 1.0.0, or a folder it was unpacked to.")
    ] = None,
    modern: Annotated[Path | None, typer.Option(help="Folder of the modern sets, *.jsonl.gz.")] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("me2sdk/data"),
) -> None:
    """Write demo_*.jsonl of the sources that are given."""
    for name, rows in _files(data, champ, modern):
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (out / f"demo_{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
        typer.echo(f"demo_{name}.jsonl: {len(lines)} questions")


if __name__ == "__main__":
    typer.run(main)
