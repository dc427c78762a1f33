"""Accuracy of the local annotator on ReasoningFlow annotations, a row for each model family.

    python benchmarks/annotate.py DATA

DATA holds ``reasoningflow/dev/*.json``; without it nothing is measured. `me2sdk.train.evaluate.reasoningflow` says
how the gold actions are derived. The annotator goes through each trace on its own; every step but the root counts.
Beside it stands the majority class, which always continues. "Returns" are the gold backtracks whose parent it finds
when it is given the gold state, beside always taking the nearest earlier step.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from report import save

from me2sdk.annotate import LocalAnnotator, parse_dag
from me2sdk.dag import DAGBuilder
from me2sdk.train import DagAnnotator, evaluate_dag
from me2sdk.train.evaluate.dag import CONTINUE, DagRow
from me2sdk.train.evaluate.reasoningflow import GoldTrace, read_reasoningflow


def returns(trace: GoldTrace) -> Iterable[tuple[bool, bool]]:
    """For each gold backtrack: whether the annotator finds its parent, and whether that is the nearest step."""
    annotator, builder = LocalAnnotator(), DAGBuilder()
    for step, action, parents in zip(trace.steps, trace.actions, trace.parents, strict=True):
        if action == "backtrack":
            pool = builder.pool()
            found = annotator.return_to(step.text, pool, builder.nodes)
            yield found == parents[0], pool.main_path[-2] == parents[0]
        builder.add(step, "continue" if action == "root" else action, parents)


def row(ours: DagRow, majority: DagRow, traces: list[GoldTrace]) -> dict[str, Any]:
    found = [one for trace in traces for one in returns(trace)]
    backtrack = ours.actions["backtrack"]
    assert ours.accuracy is not None
    assert majority.accuracy is not None
    return {
        "family": ours.family or "all",
        "traces": ours.traces,
        "steps": ours.steps,
        "backtracks": backtrack.gold,
        "merges": ours.actions["merge"].gold,
        "accuracy": f"{ours.accuracy.mean:.3f}",
        "accuracy, majority": f"{majority.accuracy.mean:.3f}",
        "macro F1": f"{ours.macro_f1:.3f}",
        "macro F1, majority": f"{majority.macro_f1:.3f}",
        "backtrack precision": f"{backtrack.hits}/{backtrack.found}",
        "backtrack recall": f"{backtrack.hits}/{backtrack.gold}",
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
    report = evaluate_dag(traces, {"local": DagAnnotator()})
    by_name = {(one.annotator, one.family): one for one in report.rows}
    rows = [
        row(
            by_name["local", family],
            by_name[CONTINUE, family],
            [trace for trace in traces if family in ("", trace.family)],
        )
        for family in [*(one for one in report.families if one), ""]
    ]
    started = time.perf_counter()
    for trace in traces:
        parse_dag(list(trace.steps))
    speed = sum(len(trace.steps) for trace in traces) / (time.perf_counter() - started)
    note = (
        f"{parse_dag('x').annotator} annotator, developed on these same traces; "
        f"{speed:,.0f} steps a second through parse_dag"
    )
    sys.argv[1:] = ["DATA"]  # the report names no folder of this machine
    save("annotate", rows, note=note)


if __name__ == "__main__":
    main()
