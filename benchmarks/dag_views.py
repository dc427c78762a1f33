"""Time and memory of everything that is done with a finished DAG, on traces of 30 to 1,000 steps.

    python benchmarks/dag_views.py [--steps 30 300 1000] [--repeats 5]

The traces are generated: some 300 characters a step, 12% backtracks, 3% merges. Times are the best of the
repeats; memory is the peak of Python's allocations beyond the DAG itself. Writes benchmarks/dag_views.json.
"""

from __future__ import annotations

import argparse
import random
import time
import tracemalloc
from collections.abc import Callable

from report import save

from me2sdk.dag import DAGBuilder, ReasoningDAG
from me2sdk.schema import Step

WORDS = "we compute the sum of the series and compare it with the bound that follows for every n".split()


def trace(count: int) -> list[tuple[Step, float]]:
    """Steps, and for each a number that says how it is attached."""
    draw = random.Random(0)
    lengths = [draw.randint(20, 90) for _ in range(count)]
    return [
        (Step(f"So {' '.join(draw.choices(WORDS, k=length))} = {number}.", "\n\n"), draw.random())
        for number, length in enumerate(lengths)
    ]


def build(steps: list[tuple[Step, float]]) -> ReasoningDAG:
    """The DAG of a trace, as an annotator would build it."""
    builder = DAGBuilder()
    for step, turn in steps:
        action, parents = "continue", ()
        if len(builder.nodes) > 2:
            pool = builder.pool()
            earlier = pool.main_path[-7:-1]
            if turn < 0.12 and earlier:
                action, parents = "backtrack", (earlier[int(turn * 1000) % len(earlier)],)
            elif turn > 0.97 and pool.leaves:
                action, parents = "merge", (pool.main_path[-1], pool.leaves[-1])
        builder.add(step, action, parents, "as generated")
    return builder.build()


def measure(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Best seconds, and peak MiB in a run of its own, since tracing slows it down."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return min(seconds), peak / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[30, 300, 1000])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    rows = []
    for count in arguments.steps:
        steps = trace(count)
        dag = build(steps)
        text, reference, super_nodes = dag.to_json(), dag.to_reference(), dag.collapse()
        jobs: dict[str, Callable[[], object]] = {
            "build": lambda steps=steps: build(steps),
            "collapse": dag.collapse,
            "macro_view": dag.macro_view,
            "micro_view": dag.micro_view,
            "metrics": dag.metrics,
            "to_json": dag.to_json,
            "from_json": lambda text=text: ReasoningDAG.from_json(text),
            "to_reference": dag.to_reference,
            "from_reference": lambda reference=reference: ReasoningDAG.from_reference(reference),
            "to_mermaid": dag.to_mermaid,
            "to_dot": dag.to_dot,
            "to_graphml": dag.to_graphml,
            "to_html": dag.to_html,
            "collapsed to_html": super_nodes.to_html,
        }
        for name, work in jobs.items():
            seconds, peak = measure(work, arguments.repeats)
            made = work()
            size = f"{len(made) / 1024:.0f}" if isinstance(made, str) else ""
            rows.append(
                {
                    "steps": count,
                    "super-nodes": len(super_nodes.nodes),
                    "what": name,
                    "ms": round(seconds * 1000, 2),
                    "peak MiB": round(peak, 2),
                    "output KiB": size,
                }
            )
    save("dag_views", rows, f"best of {arguments.repeats} runs; peak of Python's allocations beyond the DAG")


if __name__ == "__main__":
    main()
