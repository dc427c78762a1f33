"""Variants of the bundled scorer, fitted and measured beside one another.

    python benchmarks/mini_variants.py --data DIR --champ WHEEL [--transformer]

Each variant is fitted on training questions alone. "unseen" are pairs of the fifth of the questions that no fit sees,
of the same origin as the training data. "transfer" is accuracy at the human-marked first mistakes of BIG-Bench-Mistake
by a fit without BIG-Bench, so of another origin. The candidates are of other origin for every fit; "over mini" is how
much more often the right candidate is chosen than by the bundled scorer, on the same questions. Writes
mini_variants.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import report
from variant_models import Corpus, Floats, Model, Phrases, Scalar, Sources, Trees, added, duels, linear

from me2sdk.schema import Trace
from me2sdk.scorers.mini import MiniScorer
from me2sdk.train.data import Preference, question_key
from me2sdk.train.evaluate.estimates import estimate
from me2sdk.train.perturb import perturb_traces, read_traces
from recipes import mini
from recipes.sources import (
    CandidateSet,
    Pair,
    read_bigbench,
    read_champ,
    read_gsm8k_candidates,
    read_prmbench,
    read_simplerl,
)

BASE = mini.SOURCE_WEIGHTS
WITH_PERTURB = {**BASE, "perturb": 0.5, "perturb_bigbench": 0.1}
Fit = Callable[[Corpus, Sources], Model]


def constructed(data: Path, measured: set[str]) -> list[Pair]:
    """Pairs of `me2 data perturb` of GSM8K's and BIG-Bench's right traces, without questions that are measured on."""
    right = [
        Trace(question=trace.question, reasoning="\n".join(trace.steps))
        for trace in read_bigbench(data)
        if trace.mistake is None and len(trace.steps) > 2
    ]
    solutions = read_traces(str(data / "gsm8k" / "train.jsonl")).traces
    made: list[tuple[str, Preference]] = []
    made += [("perturb", pair) for pair in perturb_traces(solutions, per_trace=1, seed=mini.SEED)]
    made += [("perturb_bigbench", pair) for pair in perturb_traces(right, seed=mini.SEED)]
    return [
        Pair(
            question=str(pair.question),
            better=pair.chosen.reasoning,
            worse=pair.rejected.reasoning,
            source=source,
            kind=pair.category,
        )
        for source, pair in made
        if question_key(pair.question) not in measured
    ]


def read(data: Path, champ: Path) -> tuple[Corpus, dict[str, list[CandidateSet]]]:
    """All pairs and candidates."""
    sets = {
        "gsm8k": read_gsm8k_candidates(data),
        "champ": read_champ(champ),
        "simplerl": read_simplerl(data),
    }
    dev = [pair.model_copy(update={"source": "prmbench_dev"}) for pair in read_prmbench(data, "dev")]
    measured = {question_key(pair.question) for pair in dev}
    measured |= {question_key(s.question) for s in [*sets["gsm8k"], *sets["simplerl"]]}
    pairs = [*mini.training_pairs(data), *constructed(data, measured), *dev]
    others = [(s.question, trace) for found in sets.values() for s in found for trace in s.traces]
    return Corpus(pairs, others), sets


def half_ties(margins: Floats) -> float:
    """Share of positive margins, ties counted half."""
    return float(np.mean((margins > 1e-9) + 0.5 * (np.abs(margins) <= 1e-9)))


def accuracy(corpus: Corpus, model: Model, chosen: Floats) -> float:
    """Share of pairs of which the better side is found."""
    return half_ties(model.margins(corpus.better[chosen], corpus.worse[chosen]))


def picked(
    corpus: Corpus, model: Model, sets: Sequence[CandidateSet], within: bool = False
) -> list[list[float]]:
    """For each question how likely the candidate with the highest reward is right; within a model, one for each."""
    found = []
    for candidates in sets:
        ids = np.array([corpus.ids[candidates.question, trace] for trace in candidates.traces])
        right = np.array(candidates.correct, float)
        groups = [np.array(candidates.models) == name for name in dict.fromkeys(candidates.models)]
        scores = []
        for group in groups if within else [np.ones(len(ids), bool)]:
            rewards = model.rewards(ids[group])
            scores.append(float(right[group][rewards >= rewards.max() - 1e-9].mean()))
        found.append(scores)
    return found


def ranked(corpus: Corpus, model: Model, sets: Sequence[CandidateSet]) -> float:
    """How often a right candidate stands above a wrong one of its question."""
    shares = []
    for candidates in sets:
        rewards = model.rewards(np.array([corpus.ids[candidates.question, t] for t in candidates.traces]))
        right = np.array(candidates.correct)
        if 0 < right.sum() < len(right):
            shares.append(half_ties((rewards[right][:, None] - rewards[~right][None]).ravel()))
    return float(np.mean(shares))


def measure(
    corpus: Corpus, sets: dict[str, list[CandidateSet]], model: Model, bundled: Model, transfer: Model | None
) -> dict[str, Any]:
    """One row of the table."""
    row: dict[str, Any] = {}
    for source in ("gsm8k", "bigbench_mistake", "prmbench", "perturb"):
        row[f"unseen {source}"] = accuracy(corpus, model, (corpus.source == source) & corpus.unseen)
    mistakes = (corpus.source == "bigbench_mistake") & (corpus.kind == "mistake")
    row["transfer"] = accuracy(corpus, transfer, mistakes) if transfer else None
    row["prmbench_dev"] = accuracy(corpus, model, corpus.source == "prmbench_dev")
    for name, found in sets.items():
        own = picked(corpus, model, found)
        row[name] = float(np.mean(own))
        row[f"{name} ranked"] = ranked(corpus, model, found)
        if name != "simplerl":
            base = picked(corpus, bundled, found)
            gain = [a[0] - b[0] for a, b in zip(own, base, strict=True)]
            row[f"{name} over mini"] = str(estimate(gain, [s.question for s in found]))
    row["champ within a model"] = float(np.mean(picked(corpus, model, sets["champ"], within=True)))
    return {key: round(value, 3) if isinstance(value, float) else value or "-" for key, value in row.items()}


def main() -> None:
    """Fit and measure all variants."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--champ", type=Path, required=True)
    parser.add_argument(
        "--transformer", action="store_true", help="Fit the transformer, too; it needs torch."
    )
    arguments = parser.parse_args()
    corpus, sets = read(arguments.data, arguments.champ)
    weights = MiniScorer.load()._weights
    bundled = Scalar(
        sum(((f.weight / f.scale) * corpus.features[:, i] for i, f in enumerate(weights)), np.float64(0))
    )
    fits: dict[str, tuple[Fit, Sources]] = {
        "linear, as bundled": (linear, BASE),
        "linear + perturb": (linear, WITH_PERTURB),
        "trees, signs held": (Trees(), BASE),
        "trees, signs held + perturb": (Trees(), WITH_PERTURB),
        "trees, signs free": (Trees(signs=False), BASE),
        "trees on differences": (duels, BASE),
        "phrases of 2": (Phrases(2), BASE),
        "phrases of 2 + perturb": (Phrases(2), WITH_PERTURB),
    }
    if arguments.transformer:
        from variant_transformer import transformer

        fits["transformer + perturb"] = (transformer, WITH_PERTURB)
    models: dict[str, Model] = {}
    rows = [{"variant": "mini (bundled)", **measure(corpus, sets, bundled, bundled, None), "fit s": "-"}]
    print(rows[0], flush=True)
    for name, (fit, sources) in fits.items():
        start = time.process_time()
        models[name] = fit(corpus, sources)
        seconds = time.process_time() - start
        without = {source: weight for source, weight in sources.items() if "bigbench" not in source}
        transfer = None if "transformer" in name else fit(corpus, without)
        rows.append(
            {
                "variant": name,
                **measure(corpus, sets, models[name], bundled, transfer),
                "fit s": round(seconds),
            }
        )
        print(rows[-1], flush=True)
    together = [("linear, as bundled", "trees, signs held")]
    together += [("linear, as bundled", "transformer + perturb")] if arguments.transformer else []
    for first, second in together:
        model = added([models[first], models[second]], [0.5, 0.5])
        row = measure(corpus, sets, model, bundled, None)
        rows.append({"variant": f"{first} and {second}", **row, "fit s": "-"})
    command = "python benchmarks/mini_variants.py --data DIR --champ WHEEL"
    command += " --transformer" if arguments.transformer else ""
    note = "accuracies; 'over mini' with a 95% interval over questions"
    report.save("mini_variants", rows, note, command=command)


if __name__ == "__main__":
    main()
