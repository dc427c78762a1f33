"""Write the candidate sets that ``me2 demo`` reranks.

``python -m recipes.demo_data DATA CHAMP`` turns the sampled GSM8K solutions and the odd problems of
CHAMP into JSONL that ``me2 rerank`` reads too. Each candidate is a message: the solution as its reasoning,
the answer as its content. Their order is shuffled by a hash of the text, since the sources list weak models
first.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated

import typer

from recipes.sources import CandidateSet, read_champ, read_gsm8k_candidates


def record(candidates: CandidateSet) -> dict[str, object]:
    """One question as a line of the demo's files."""
    rows = sorted(
        zip(candidates.traces, candidates.answers, candidates.correct, strict=True),
        key=lambda row: hashlib.sha256((candidates.question + row[0]).encode()).digest(),
    )
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


def main(
    data: Annotated[Path, typer.Argument(help="Folder that holds gsm8k/.")],
    champ: Annotated[
        Path, typer.Argument(help="Wheel of champ-dataset 1.0.0, or a folder it was unpacked to.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("me2sdk/data"),
) -> None:
    """Write demo_gsm8k.jsonl and demo_champ.jsonl."""
    for name, sets in {"gsm8k": read_gsm8k_candidates(data), "champ": read_champ(champ)}.items():
        lines = [
            json.dumps(record(candidates), ensure_ascii=False) for candidates in sets if candidates.traces
        ]
        (out / f"demo_{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
        typer.echo(f"demo_{name}.jsonl: {len(lines)} questions")


if __name__ == "__main__":
    typer.run(main)
