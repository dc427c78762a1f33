"""Calls, tokens and wall time of `judge_pair` and `rank_traces`, against a local server that answers after 50 ms.

    python benchmarks/judge_cost.py [--steps 30] [--rounds 5]

The judge is a rule, so that its decisions are known; the traces are generated and have their DAGs already, so
that what is measured is judging. "longest chain" is what the wall time could be if nothing but waiting cost
time: the calls that must follow one another, times 50 ms. "sum" is all calls one after another. "function" is
the same with a model function that takes as long, so without LiteLLM and without a server that shares the
processor: what is left above the longest chain is our own. Tokens are those of the prompts, at four
characters each. Writes benchmarks/judge_cost.json.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from report import save
from support.fake_provider import OpenAIServer, Request

from me2sdk.dag import DAGBuilder, ReasoningDAG
from me2sdk.judge import ajudge_pair, arank_traces
from me2sdk.llm import load_litellm
from me2sdk.schema import Step, Usage

PAUSE = 0.05
WORDS = "we compute the sum of the series and compare it with the bound that follows for every n".split()


class Pause(threading.Event):
    """A gate that lets each request through after its time."""

    def wait(self, timeout: float | None = None) -> bool:  # noqa: D102 - as its parent's
        time.sleep(PAUSE)
        return True


def make_dag(steps: int, quality: int) -> ReasoningDAG:
    """A trace of some 300 characters a step that goes back at every tenth, and says how good it is."""
    draw = random.Random(quality)
    builder = DAGBuilder()
    for number in range(steps):
        text = f"{' '.join(draw.choices(WORDS, k=60))} = {number}. quality {quality}."
        back = number % 10 == 9
        builder.add(Step(text, "\n\n"), "backtrack" if back else "continue", builder.main_path[-4:-3] * back)
    return builder.build()


def answer(text: str, *, biased: bool) -> str:
    """A judge that prefers the better trace, or if ``biased`` always the one shown first."""
    parts = re.findall(r"^\[begin part (\d+) \w+\]\n(.*)$", text, re.MULTILINE)
    if parts:
        return "\n".join(f"[{number}] It computes. {part[-11:]}" for number, part in parts)
    first, second = (
        int(re.findall(r"quality (\d+)", part)[0]) for part in re.split(r"\[begin trace [12] ", text)[1:3]
    )
    choice = "Trace 1" if biased or first > second else "Trace 2"
    return f"Trace 1 is one thing, Trace 2 another.\n<|decision|>{choice}"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=30, help="steps of a trace (default: 30)")
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds, of which the median counts (default: 5)"
    )
    options = parser.parse_args()
    load_litellm()
    dags = [make_dag(options.steps, quality) for quality in (5, 2, 7, 0, 3, 6, 1, 4)]
    rows: list[dict[str, Any]] = []

    async def measure(
        what: str, chain: int, run: Callable[..., Awaitable[Any]], *, biased: bool = False, **more: Any
    ) -> None:
        """``chain``: how many calls must follow one another."""
        seconds, bare, usage, sent, most = [], [], Usage(), 0, 0

        def reply(request: Request) -> str:
            return answer(request.text, biased=biased)

        async def function(messages: list[dict[str, Any]]) -> str:
            await asyncio.sleep(PAUSE)
            return answer(messages[-1]["content"], biased=biased)

        for _ in range(options.rounds + 1):  # the first one warms up
            with OpenAIServer(reply) as server:
                server.gate = Pause()
                where = {"model": "openai/test", "api_base": server.url, "api_key": "none"}
                started = time.perf_counter()
                result = await run(max_concurrency=64, **where, **more)
                seconds.append(time.perf_counter() - started)
            started = time.perf_counter()
            await run(max_concurrency=64, model=function, **more)
            bare.append(time.perf_counter() - started)
            usage, most = result.usage, server.max_in_flight
            sent = sum(len(request.text) for request in server.requests)
        rows.append(
            {
                "what": what,
                "calls": usage.calls,
                "prompt tokens": round(sent / 4),
                "most at once": most,
                "wall ms": round(1000 * statistics.median(seconds[1:])),
                "wall ms, function": round(1000 * statistics.median(bare[1:])),
                "longest chain ms": round(1000 * PAUSE * chain),
                "sum ms": round(1000 * PAUSE * usage.calls),
            }
        )

    async def pair(**more: Any) -> Any:
        return await ajudge_pair("What is the sum?", dags[0], dags[1], **more)

    async def eight(**more: Any) -> Any:
        return await arank_traces("What is the sum?", dags, repeats=1, **more)

    await measure("judge_pair", 3, pair)
    await measure("judge_pair, structure=False", 2, pair, structure=False)
    await measure("judge_pair, early_stop, votes agree", 5, pair, early_stop=True)
    await measure("judge_pair, biased judge", 3, pair, biased=True)
    await measure("judge_pair, early_stop, biased judge", 3, pair, biased=True, early_stop=True)
    # Six rounds of the sorting network, of two calls in a row each, behind the summaries.
    await measure("rank_traces, 8 traces, repeats=1", 13, eight)
    save(
        "judge_cost",
        rows,
        note=f"{options.steps} steps a trace, {1000 * PAUSE:.0f} ms a call, 64 calls at once, "
        f"median of {options.rounds} rounds",
    )


if __name__ == "__main__":
    asyncio.run(main())
