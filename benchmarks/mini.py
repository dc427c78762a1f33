"""Accuracy, load time and speed of the bundled scorer.

    python benchmarks/mini.py [--data DIR --champ WHEEL]

Load time is that of a fresh process, after the imports and with them; speed is the median CPU time for one trace, by
the trace's length, over ten rounds of traces that were not seen before. With ``--data`` (and ``--champ``, see
`recipes.mini`) its accuracy is measured too, and everything is written to benchmarks/mini.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from report import HERE, machine, table

from me2sdk.scorers.mini import MiniScorer

LENGTHS = (200, 1_000, 2_000, 10_000, 100_000, 10_000_000)
QUESTION = (
    "A farm has 12 red hens and 8 white hens. Each lays 5 eggs a week. How many eggs does it sell in a year?"
)
LOAD = """
import time
start = time.perf_counter()
from me2sdk.scorers.mini import MiniScorer
imported = time.perf_counter()
MiniScorer.load()
print(time.perf_counter() - imported, time.perf_counter() - start)
"""


def make_trace(length: int, seed: int) -> str:
    """Arithmetic in prose of about ``length`` characters."""
    draw = random.Random(f"{length} {seed}")
    lines: list[str] = []
    size = 0
    while size < length:
        a, b = draw.randint(2, 99), draw.randint(2, 99)
        lines.append(
            f"There are {a} hens and each of them lays {b} eggs, so that makes {a} * {b} = {a * b} eggs."
        )
        size += len(lines[-1]) + 1
    return "\n".join(lines)[:length]


def load_seconds() -> dict[str, float]:
    runs = [
        [
            float(part)
            for part in subprocess.run(
                [sys.executable, "-c", LOAD], capture_output=True, check=True
            ).stdout.split()
        ]
        for _ in range(5)
    ]
    load, whole = (statistics.median(column) for column in zip(*runs, strict=True))
    return {"load_ms": round(load * 1e3, 2), "import_and_load_ms": round(whole * 1e3, 1)}


def speed() -> list[dict[str, Any]]:
    scorer = MiniScorer.load()
    rows = []
    for length in LENGTHS:
        repeats = max(1, 20_000 // length)
        rounds = []
        for turn in range(10 if length < 10**6 else 3):
            # Traces that were never seen: what is read once is remembered.
            traces = [make_trace(length, turn * repeats + n) for n in range(repeats)]
            start = time.process_time()
            for trace in traces:
                scorer.score(QUESTION, [trace])
            rounds.append((time.process_time() - start) / repeats)
        rows.append({"characters": length, "CPU µs a trace": round(statistics.median(rounds) * 1e6)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--champ", type=Path)
    arguments = parser.parse_args()
    loading, rows = load_seconds(), speed()
    print(f"{machine()}\nloading: {loading}\n\n{table(rows)}\n")
    if arguments.data is None:
        return
    from recipes import mini, mini_report
    from recipes.sources import held_out

    unseen = [pair for pair in mini.training_pairs(arguments.data) if held_out(pair.question)]
    report = mini_report.measure(MiniScorer.load(), unseen, arguments.data, arguments.champ)
    print(mini_report.table(report))
    result = {
        "benchmark": "mini",
        "command": "python benchmarks/mini.py --data DIR" + (" --champ WHEEL" if arguments.champ else ""),
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "loading": loading,
        "speed": rows,
        "accuracy": report.model_dump(),
    }
    (HERE / "mini.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
