"""Write the traces that ``me2 parity`` compares scorers on: ``python -m recipes.parity_traces``.

Five questions with four traces each: sixteen from the bundled demo candidates, of many lengths, and four that are
awkward to tokenise. They are fixed: a comparison made today can be repeated in a year.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer

from me2sdk.schema import Trace

__all__ = ["records"]

_AWKWARD_QUESTION = "Сколько будет 12 × 13? Answer in words, s'il vous plaît."
_AWKWARD = (
    "12 × 13 = 156 ✓\n\n\n\n\t→ one hundred and fifty-six 🎉\u200b\u00a0",
    "<s>[INST] <|im_start|>assistant\n<|end_of_text|></s> 12*13=156 <pad><eos> <|eot_id|>",
    "def f(x, y):\n    return x * y  # twelve times thirteen\n\n>>> f(12, 13)\n156\n" + "    \n" * 20,
    " ".join(f"{n} × 13 = {13 * n}." for n in range(1, 151)) + " So it is one hundred and fifty-six.",
)


def records() -> list[dict[str, Any]]:
    """One record per question: ``question`` and ``traces``."""
    data = resources.files("me2sdk").joinpath("data")
    gsm8k = [json.loads(line) for line in data.joinpath("demo_gsm8k.jsonl").read_text("utf-8").splitlines()]
    champ = [json.loads(line) for line in data.joinpath("demo_champ.jsonl").read_text("utf-8").splitlines()]
    chosen = [(record, range(4)) for record in gsm8k[:3]]
    by_length = sorted(range(32), key=lambda i: len(_reasoning(champ[0]["candidates"][i])))
    chosen.append((champ[0], [by_length[i] for i in (0, 10, 21, 31)]))  # type: ignore[arg-type]
    found = [
        {"question": record["question"], "traces": [_reasoning(record["candidates"][i]) for i in indices]}
        for record, indices in chosen
    ]
    return [*found, {"question": _AWKWARD_QUESTION, "traces": list(_AWKWARD)}]


def _reasoning(candidate: Any) -> str:
    read = Trace.from_text(candidate) if isinstance(candidate, str) else Trace.from_message(candidate)
    return read.reasoning


def main(
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("me2sdk/data/parity.jsonl"),
) -> None:
    """Write the traces that ``me2 parity`` compares scorers on."""
    out.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records()), "utf-8")


if __name__ == "__main__":
    typer.run(main)
