"""Accuracy of the local annotator on ReasoningFlow annotations, a row for each model family.

    python benchmarks/annotate.py DATA

DATA holds ``reasoningflow/dev/*.json``; without it nothing is measured. `me2sdk.train.reasoningflow` says how the gold
actions are derived. The annotator goes through each trace on its own; every step but the root counts. Beside it stands
the majority class, which always continues. "Returns" are the gold backtracks whose parent it finds when it is given
the gold state, beside always taking the nearest earlier step.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from report import save

from me2sdk._builder import DAGBuilder
from me2sdk.annotate import LocalAnnotator, parse_dag
from me2sdk.train.reasoningflow import GoldTrace, read_reasoningflow

Pairs = Sequence[tuple[str, str]]  # gold and predicted action


def f1(pairs: Pairs, action: str) -> float:
    hits = sum(gold == found == action for gold, found in pairs)
    named = sum((gold == action) + (found == action) for gold, found in pairs)
    return 2 * hits / named if named else 0.0


def macro_f1(pairs: Pairs) -> float:
    """Over the actions that occur among the gold or the predicted ones."""
    actions = {action for pair in pairs for action in pair}
    return sum(f1(pairs, action) for action in actions) / len(actions)


def accuracy(pairs: Pairs) -> float:
    return sum(gold == found for gold, found in pairs) / len(pairs)


def returns(trace: GoldTrace) -> Iterable[tuple[bool, bool]]:
    """For each gold backtrack: whether the annotator finds its parent, and whether that is the nearest step."""
    annotator, builder = LocalAnnotator(), DAGBuilder()
    for step, action, parents in zip(trace.steps, trace.actions, trace.parents, strict=True):
        if action == "backtrack":
            pool = builder.pool()
            found = annotator.return_to(step.text, pool, builder.nodes)
            yield found == parents[0], pool.main_path[-2] == parents[0]
        builder.add(step, "continue" if action == "root" else action, parents)


def row(family: str, traces: list[GoldTrace], predicted: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    pairs = [
        pair for trace in traces for pair in list(zip(trace.actions, predicted[trace.name], strict=True))[1:]
    ]
    majority = [(gold, "continue") for gold, _ in pairs]
    found = [one for trace in traces for one in returns(trace)]
    count = {action: sum(gold == action for gold, _ in pairs) for action in ("backtrack", "merge")}
    named = sum(one == "backtrack" for _, one in pairs)
    hits = sum(gold == one == "backtrack" for gold, one in pairs)
    return {
        "family": family,
        "traces": len(traces),
        "steps": len(pairs),
        "backtracks": count["backtrack"],
        "merges": count["merge"],
        "accuracy": f"{accuracy(pairs):.3f}",
        "accuracy, majority": f"{accuracy(majority):.3f}",
        "macro F1": f"{macro_f1(pairs):.3f}",
        "macro F1, majority": f"{macro_f1(majority):.3f}",
        "backtrack precision": f"{hits}/{named}",
        "backtrack recall": f"{hits}/{count['backtrack']}",
        "returns": f"{sum(ours for ours, _ in found)}/{len(found)}",
        "returns, nearest": f"{sum(nearest for _, nearest in found)}/{len(found)}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", help="folder that holds reasoningflow/dev")
    data = parser.parse_args().data
    if data is None:
        print("Nothing to measure on. Give the folder that holds reasoningflow/dev.")
        return
    traces = list(read_reasoningflow(data / "reasoningflow" / "dev"))
    predicted, seconds = {}, 0.0
    for trace in traces:
        steps = list(trace.steps)
        started = time.perf_counter()
        dag = parse_dag(steps)
        seconds += time.perf_counter() - started
        predicted[trace.name] = tuple(node.action for node in dag.nodes)
    families = sorted({trace.family for trace in traces})
    rows = [row(name, [t for t in traces if t.family == name], predicted) for name in families]
    rows.append(row("all", traces, predicted))
    speed = sum(len(trace.steps) for trace in traces) / seconds
    note = (
        f"{parse_dag('x').annotator} annotator, developed on these same traces; "
        f"{speed:,.0f} steps a second through parse_dag"
    )
    sys.argv[1:] = ["DATA"]  # the report names no folder of this machine
    save("annotate", rows, note=note)


if __name__ == "__main__":
    main()
