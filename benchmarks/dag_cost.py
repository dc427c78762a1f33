"""What annotating traces costs: calls, tokens and wall time for one step a call and for windows; and long traces.

    python benchmarks/dag_cost.py [--traces 8] [--steps 30]

The model is a local server that answers each call after 50 ms, and always so that it can be used: real models make
some retries. Tokens are estimated at four characters each. Long traces are annotated here, without a model and with a
function that answers at once, which shows what the package itself takes.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

from report import save

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support.fake_provider import OpenAIServer, Reply, Request

from me2sdk.annotate import parse_dag
from me2sdk.dag import ReasoningDAG

DELAY = 0.05
ROUNDS = 3
_STEPS = re.compile(r"^(?:Step (\d+) can continue|Now answer for the steps ([\d, ]+), each)", re.MULTILINE)
SENTENCE = (
    "From the equation above the value of item {0} is {1}, and adding it to the total so far gives {2}. "
)


def make_trace(steps: int) -> list[str]:
    """Steps of some 300 characters; every ninth takes another way."""
    return [
        ("Alternatively, maybe use rule {0}. " if number % 9 == 8 else "So step {0}. ").format(number)
        + "".join(SENTENCE.format(number + part, number * 7 + part, number**2) for part in range(3))
        for number in range(steps)
    ]


def answer(prompt: str) -> str:
    """Every ninth step backtracks to the last but one, the others continue."""
    found = _STEPS.search(prompt)
    assert found is not None
    numbers = [int(number) for number in (found[1] or found[2]).split(",")]
    lines = []
    for number in numbers:
        if len(numbers) > 1:
            lines.append(f"<|step|>{number}")
        lines.append("It takes up what was said before, in the words of the step itself.")
        back = number % 9 == 8
        lines.append(f"<|action|>backtrack\n<|previous|>{number - 2}" if back else "<|action|>continue")
    return "\n".join(lines)


class SlowServer(OpenAIServer):
    """Takes its time for each answer, without making others wait."""

    def _leave(self, gone: bool) -> None:
        time.sleep(DELAY)
        super()._leave(gone)


def reply(request: Request) -> Reply:
    text = answer(request.text)
    return Reply(text, usage=(len(request.text) // 4, len(text) // 4))


def cost(traces: list[list[str]], **options: Any) -> dict[str, Any]:
    """One row: the same traces alone and side by side."""
    with SlowServer(reply) as server:
        where = {"model": "openai/test", "api_base": server.url, "api_key": "none", **options}
        parse_dag(traces[0][:4], **where)
        alone, together = [], []
        dags: list[ReasoningDAG] = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            parse_dag(traces[0], **where)
            alone.append(time.perf_counter() - started)
            started = time.perf_counter()
            dags = parse_dag(traces, **where)
            together.append(time.perf_counter() - started)
    assert not any(dag.errors for dag in dags)
    assert len({tuple(node.parents for node in dag.nodes) for dag in dags}) == 1
    usage = dags[0].usage
    return {
        "steps a call": options["window"],
        "samples": options.get("samples", 1),
        "calls a trace": usage.calls,
        "prompt tokens a call": round((usage.prompt_tokens or 0) / usage.calls),
        "tokens a trace": usage.total_tokens,
        "seconds, one trace": f"{statistics.median(alone):.2f}",
        f"seconds, {len(traces)} side by side": f"{statistics.median(together):.2f}",
    }


def long_trace(steps: int, **options: Any) -> dict[str, Any]:
    trace = make_trace(steps)
    started = time.perf_counter()
    dag = parse_dag(trace, **options)
    parsed = time.perf_counter()
    collapsed = dag.collapse()
    done = time.perf_counter()
    tracemalloc.start()
    kept = parse_dag(trace, **options)
    kept.collapse()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {
        "steps": steps,
        "annotator": "a function" if options else "local",
        "parse, seconds": f"{parsed - started:.3f}",
        "collapse, seconds": f"{done - parsed:.3f}",
        "super-nodes": len(collapsed.nodes),
        "peak memory, MB": f"{peak / 1e6:.1f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--traces", type=int, default=8)
    parser.add_argument("--steps", type=int, default=30)
    arguments = parser.parse_args()
    traces = [make_trace(arguments.steps) for _ in range(arguments.traces)]
    rows = [cost(traces, window=window) for window in (1, 4, 8, 16)]
    rows.append(cost(traces, window=1, samples=3))
    note = f"traces of {arguments.steps} steps, a server that answers after {DELAY * 1000:.0f} ms, median of {ROUNDS}"
    save("dag_cost", rows, note=note)

    def instant(messages: list[dict[str, Any]], **params: Any) -> str:
        return answer(messages[-1]["content"])

    rows = [long_trace(1000), long_trace(10_000), long_trace(1000, model=instant)]
    save("dag_long", rows, note="long traces: parse_dag and collapse")


if __name__ == "__main__":
    main()
