"""Speed and memory of `TRMScorer` on a GPU with the shapes of Llama-3.1-8B and random weights.

    python benchmarks/gpu.py [--precisions bfloat16 int8 nf4] [--repeats 5] [--device cuda] [--layers 32 --width 4096]

Nothing is downloaded: a checkpoint of random weights (16 GB) is written into a temporary folder and loaded as any
other, each precision in a process of its own. The case is N=16 traces of 1,000 tokens with a question of 300, one
token a byte; a plain ``AutoModelForSequenceClassification`` stands beside in every round, with the same weights.
``share_of_ceiling`` is the operations that the tokens need at least (shared ones once, attention included) against the
rate of bfloat16 matrix products of the model's shapes. `long_trace_mib` is the peak on the device while one trace of
4,096 tokens is scored.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
import transformers
from report import peak_mib, save
from scoring import operations

from me2sdk.scorers import TRMScorer
from me2sdk.scorers.local import quantization_settings
from me2sdk.testing import tiny_reward_model

PRECISIONS: dict[str, dict[str, Any]] = {
    "bfloat16": {"dtype": "bfloat16"},
    "int8": {"quantization": "int8"},
    "nf4": {"quantization": "nf4"},
}
QUESTION, TRACE, N, LONG = 300, 1000, 16, 4096


def write_checkpoint(folder: str, layers: int, width: int, device: str) -> None:
    """Llama-3.1-8B's shapes (layers and width may be others), random weights, a tokenizer of bytes."""
    tiny_reward_model(folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    config.update(
        {
            "vocab_size": 128_256,
            "hidden_size": width,
            "intermediate_size": width * 7 // 2,
            "num_hidden_layers": layers,
            "num_attention_heads": width // 128,
            "num_key_value_heads": max(1, width // 512),
            "head_dim": 128,
            "initializer_range": 0.02,
        }
    )
    Path(folder, "model.safetensors").unlink()
    torch.manual_seed(0)
    with torch.device(device):
        model = transformers.AutoModelForSequenceClassification.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)


def text(tokens: int, seed: int) -> str:
    """Random letters, one token each."""
    return "".join(random.Random(seed).choices("etaoinshrdlu", k=tokens))


def ceiling(shapes: Any, device: str) -> float:
    """Operations a second of bfloat16 products of 2,048 tokens with the matrices of one layer."""
    pairs = [
        (m.in_features, m.out_features)
        for m in shapes.base_model.layers[0].modules()
        if isinstance(m, torch.nn.Linear)
    ]
    kind = {"dtype": torch.bfloat16, "device": device}
    products = [(torch.randn(2048, i, **kind), torch.randn(i, o, **kind)) for i, o in pairs]
    best = 0.0
    for _ in range(20):
        synchronize(device)
        began = time.perf_counter()
        for a, b in products:
            a @ b
        synchronize(device)
        took = time.perf_counter() - began
        best = max(best, sum(2 * 2048 * i * o for i, o in pairs) / took)
    return best


def synchronize(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def peak(device: str) -> int | None:
    """MiB on the device since the last reset."""
    return round(torch.cuda.max_memory_allocated() / 2**20) if device.startswith("cuda") else None


def measure(path: str, precision: str, device: str, repeats: int) -> dict[str, Any]:
    """One precision, to be run in a process of its own."""
    with torch.device("meta"):
        config = transformers.AutoConfig.from_pretrained(path)
        shapes = transformers.AutoModelForSequenceClassification.from_config(config)
    rate = ceiling(shapes, device)
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    scorer = TRMScorer(path, device=device, **PRECISIONS[precision]).load()
    row: dict[str, Any] = {
        "precision": precision,
        "load_s": round(time.perf_counter() - began, 1),
        "load_peak_mib": peak(device),
        "load_peak_rss_mib": peak_mib(),
    }
    if device.startswith("cuda"):
        row["weights_mib"] = round(torch.cuda.memory_allocated() / 2**20)
        torch.cuda.reset_peak_memory_stats()
    scorer.score("", [text(LONG, 0)])
    row["long_trace_mib"] = peak(device)

    question, traces = text(QUESTION, 1), [text(TRACE, seed + 2) for seed in range(N)]
    scorer.score("other", traces)
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    scorer.score(question, traces)
    row["batch_mib"] = peak(device)

    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    given: dict[str, Any] = {"dtype": torch.bfloat16, "device_map": {"": device}}
    if precision != "bfloat16":
        given["quantization_config"] = quantization_settings(precision, torch.bfloat16, ["score"])
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path, **given).eval()

    def plain() -> list[float]:
        with torch.inference_mode():
            return [
                float(model(**tokenizer(f"{question}\n{t}", return_tensors="pt").to(device)).logits)
                for t in traces
            ]

    ours_s, plain_s = [], []
    for number in range(repeats + 1):
        scorer.score("other", [traces[0]])  # so that nothing is left of the question
        synchronize(device)
        began = time.perf_counter()
        scores = scorer.score(question, traces)
        middle = time.perf_counter()
        expected = plain()
        if number:
            ours_s.append(middle - began)
            plain_s.append(time.perf_counter() - middle)
    took = statistics.median(ours_s)
    needed = operations(shapes, QUESTION + 2, [TRACE] * N)
    row |= {
        "candidates_per_s": round(N / took, 2),
        "tokens_per_s": round(N * (QUESTION + TRACE + 2) / took),
        "times_plain": round(statistics.median(p / o for p, o in zip(plain_s, ours_s, strict=True)), 2),
        "share_of_ceiling": round(needed / rate / took, 2),
        "ceiling_tflops": round(rate / 1e12, 1),
        "apart": f"{max(abs(a - b) for a, b in zip(scores, expected, strict=True)):.1g}",
    }
    return row


def main() -> None:
    """Measure, print, and save."""
    parser = argparse.ArgumentParser(description="Measure TRMScorer on a GPU with random weights.")
    parser.add_argument("--precisions", nargs="+", choices=list(PRECISIONS), default=list(PRECISIONS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--width", type=int, default=4096)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(folder, options.layers, options.width, options.device)
        for precision in options.precisions:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                work = pool.submit(measure, folder, precision, options.device, options.repeats)
                rows.append(work.result())
            print(rows[-1], flush=True)
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else "CPU"
    save("gpu", rows, f"{options.layers} layers, width {options.width}, median of {options.repeats}, {name}")


if __name__ == "__main__":
    main()
