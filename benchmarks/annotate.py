"""Accuracy of the local annotator, version 2 beside version 1, a row for each model family and for built traces.

    python benchmarks/annotate.py DATA

DATA holds ``reasoningflow/dev/*.json`` (annotated traces of five models), ``game24/search_trees.json`` and
``gsm8k/train.jsonl``; without it nothing is measured. `me2sdk.train.evaluate.reasoningflow` says how the gold actions
are derived, `recipes.branches` how traces with known branches are built: their turns are announced in our words, so
only where an annotator returns to and what it merges is measured on them, step by step from the right state.

On annotated traces the annotator goes through each on its own; every step but the root counts. "Returns" are those of
the backtracks that it finds, after its own earlier decisions; "returns, right state" those of all backtracks when
everything before is right, and "nearest" what always taking the nearest earlier step gets there. Intervals are 95%,
over traces.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from first_annotator import FirstAnnotator
from report import save

from me2sdk.annotate import LocalAnnotator, parse_dag
from me2sdk.dag import DAGBuilder
from me2sdk.train.evaluate.reasoningflow import GoldTrace, read_reasoningflow
from recipes.branches import detours, merges, walks

ANNOTATORS = (FirstAnnotator(), LocalAnnotator())
BUILT = 400  # GSM8K solutions of each kind
RESAMPLES = 2000
Local = FirstAnnotator | LocalAnnotator


def own_run(annotator: Local, trace: GoldTrace) -> Counter[str]:
    """Counts of one trace that the annotator goes through on its own."""
    counts: Counter[str] = Counter()
    dag = parse_dag(list(trace.steps), annotator=annotator)
    for node, gold, parents in list(zip(dag.nodes, trace.actions, trace.parents, strict=True))[1:]:
        counts["steps"] += 1
        counts["right"] += node.action == gold
        counts["always continue"] += gold == "continue"
        for action in ("backtrack", "merge"):
            counts[f"{action} gold"] += gold == action
            counts[f"{action} found"] += node.action == action
            counts[f"{action} hits"] += node.action == gold == action
        counts["returns"] += node.action == gold == "backtrack" and node.parents == parents
    return counts


def right_state(annotator: Local, trace: GoldTrace) -> Counter[str]:
    """Where one trace's backtracks return to and what its steps merge, when everything before is right."""
    builder, counts = DAGBuilder(), Counter[str]()
    for step, action, parents in zip(trace.steps, trace.actions, trace.parents, strict=True):
        pool = builder.pool()
        if action == "backtrack":
            counts["turns"] += 1
            counts["returned"] += annotator.return_to(step.text, pool, builder.nodes) == parents[0]
            counts["nearest"] += pool.main_path[-2] == parents[0]
        elif len(builder.nodes) > 1:
            found = annotator.annotate(step, pool, builder.nodes)
            counts["merges"] += action == "merge"
            counts["merged"] += action == found.action == "merge" and tuple(sorted(found.parents)) == parents
            counts["merges found"] += found.action == "merge"
        builder.add(step, "continue" if action == "root" else action, parents)
    return counts


def interval(traces: Sequence[Counter[str]], of: Callable[[Counter[str]], float | None]) -> str:
    """A ratio of counts with its interval from resampling traces."""
    value = of(sum(traces, Counter[str]()))
    if value is None:
        return "-"
    draw = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        total: Counter[str] = Counter()
        for place in draw.integers(0, len(traces), len(traces)):
            total.update(traces[place])
        again = of(total)
        if again is not None:
            drawn.append(again)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def share(part: str, whole: str) -> Callable[[Counter[str]], float | None]:
    return lambda counts: counts[part] / counts[whole] if counts[whole] else None


def f1(action: str) -> Callable[[Counter[str]], float | None]:
    def of(counts: Counter[str]) -> float | None:
        both = counts[f"{action} gold"] + counts[f"{action} found"]
        return 2 * counts[f"{action} hits"] / both if both else None

    return of


def annotated(annotator: Local, family: str, traces: Sequence[GoldTrace]) -> dict[str, Any]:
    """The row of a family of annotated traces."""
    counts = [own_run(annotator, trace) + right_state(annotator, trace) for trace in traces]
    total = sum(counts, Counter[str]())
    return {
        "family": family or "all",
        "annotator": annotator.name,
        "traces": len(traces),
        "steps": total["steps"],
        "accuracy": interval(counts, share("right", "steps")),
        "always continue": f"{total['always continue'] / total['steps']:.3f}",
        **{
            key: value
            for action in ("backtrack", "merge")
            for key, value in {
                f"{action} F1": interval(counts, f1(action)),
                f"{action}s: right / found / gold": " / ".join(
                    str(total[f"{action} {kind}"]) for kind in ("hits", "found", "gold")
                ),
            }.items()
        },
        "returns": interval(counts, share("returns", "backtrack hits")),
        "returns, right state": interval(counts, share("returned", "turns")),
        "nearest": interval(counts, share("nearest", "turns")),
    }


def built(annotator: Local, name: str, traces: Sequence[GoldTrace]) -> dict[str, Any]:
    """The row of a set of built traces."""
    counts = [right_state(annotator, trace) for trace in traces]
    total = sum(counts, Counter[str]())
    return {
        "set": name,
        "annotator": annotator.name,
        "traces": len(traces),
        "returns": interval(counts, share("returned", "turns")),
        "nearest": interval(counts, share("nearest", "turns")),
        "turns": total["turns"],
        "merges found and right": interval(counts, share("merged", "merges")),
        "merges": total["merges"],
        "merges found": total["merges found"],
    }


def by_family(traces: Sequence[GoldTrace]) -> Iterable[tuple[str, list[GoldTrace]]]:
    for family in [*sorted({trace.family for trace in traces}), ""]:
        yield family, [trace for trace in traces if family in ("", trace.family)]


def steps_a_second(traces: Sequence[GoldTrace]) -> float:
    started = time.perf_counter()
    for trace in traces:
        parse_dag(list(trace.steps))
    return sum(len(trace.steps) for trace in traces) / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "data", type=Path, nargs="?", help="folder that holds reasoningflow/dev, game24, gsm8k"
    )
    data = parser.parse_args().data
    if data is None:
        print("Nothing to measure on. Give the folder that holds reasoningflow/dev, game24 and gsm8k.")
        return
    traces = list(read_reasoningflow(data / "reasoningflow" / "dev"))
    speed = steps_a_second(traces)  # first, before anything about these traces is remembered
    rows = [
        annotated(annotator, family, some) for family, some in by_family(traces) for annotator in ANNOTATORS
    ]
    sets = {
        "Game of 24, search trees": list(walks(data)),
        "GSM8K, detours": list(detours(data, BUILT)),
        "GSM8K, two branches": list(merges(data, BUILT)),
    }
    made = [built(annotator, name, some) for name, some in sets.items() for annotator in ANNOTATORS]
    note = (
        f"{LocalAnnotator.name} beside {FirstAnnotator.name}; the rules of both were chosen on these same traces; "
        f"{speed:,.0f} steps a second through parse_dag"
    )
    sys.argv[1:] = ["DATA"]  # the report names no folder of this machine
    save("annotate", rows, note=note, built=made)


if __name__ == "__main__":
    main()
