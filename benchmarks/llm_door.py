"""What `LLM.agenerate` adds to a bare ``litellm.acompletion``, and what faults cost.

    python benchmarks/llm_door.py [--calls 100] [--repeats 7]

Both ask the same local server, which answers at once, in the same run and taking turns. Prints a table to
standard error and JSON to standard output. Times are milliseconds a call: the median over repeats, with the
lowest and the highest; "above litellm" is the median of the differences within each repeat.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from report import save
from support.fake_provider import CUT, MALFORMED, OpenAIServer, Request, error

from me2sdk.llm import LLM, Budget, Generation, load_litellm

FAULTS = [error(429), error(500), error(503), CUT, MALFORMED]


async def milliseconds(calls: int, width: int, ask: Callable[[int], Awaitable[Any]]) -> float:
    """Wall-clock time of ``calls`` calls, ``width`` at a time, divided by their number."""
    slots = asyncio.Semaphore(width)

    async def one(index: int) -> None:
        async with slots:
            await ask(index)

    started = time.perf_counter()
    await asyncio.gather(*(one(index) for index in range(calls)))
    return (time.perf_counter() - started) * 1000 / calls


async def overhead(calls: int, repeats: int, width: int) -> dict[str, Any]:
    litellm = load_litellm()
    chat = [{"role": "user", "content": "What is 6 times 7? " * 20}]
    with OpenAIServer("The answer is 42. " * 50) as server, tempfile.TemporaryDirectory() as folder:
        where = {"api_base": server.url, "api_key": "none"}
        plain = LLM("openai/gpt-4o", max_concurrency=width, **where)
        budget = Budget(tokens=10**9)
        cached = LLM(
            "openai/gpt-4o", max_concurrency=width, cache=folder, budget=budget, max_tokens=500, **where
        )
        numbers = iter(range(10**9))

        async def bare(index: int) -> None:
            await litellm.acompletion("openai/gpt-4o", chat, timeout=120.0, max_retries=0, **where)

        ways: dict[str, Callable[[int], Awaitable[Any]]] = {
            "litellm.acompletion": bare,
            "LLM.agenerate": lambda index: plain.agenerate(chat),
            "with cache (all misses) and budget": lambda i: cached.agenerate(
                chat, sample_index=next(numbers)
            ),
            "from the cache": lambda index: cached.agenerate(chat, sample_index=index % 10),
        }
        for ask in ways.values():
            await milliseconds(20, width, ask)
        times: dict[str, list[float]] = {name: [] for name in ways}
        for repeat in range(repeats):
            order = list(ways)
            for name in order if repeat % 2 else reversed(order):
                times[name].append(await milliseconds(calls, width, ways[name]))
    base = times["litellm.acompletion"]
    return {
        name: {
            "median": statistics.median(values),
            "lowest": min(values),
            "highest": max(values),
            "above_litellm": statistics.median(a - b for a, b in zip(values, base, strict=True)),
        }
        for name, values in times.items()
    }


async def faults(calls: int) -> dict[str, Any]:
    dice = random.Random(0)

    def behave(request: Request) -> Any:
        return dice.choice(FAULTS) if dice.random() < 0.2 else "42"

    with OpenAIServer(behave) as server:
        llm = LLM("openai/gpt-4o", api_base=server.url, api_key="none", max_concurrency=16)
        started = time.perf_counter()
        results = await asyncio.gather(
            *(llm.agenerate(f"question {i}") for i in range(calls)), return_exceptions=True
        )
        seconds = time.perf_counter() - started
        good = sum(isinstance(result, Generation) for result in results)
        return {
            "calls": calls,
            "answers": good,
            "reported_failures": calls - good,
            "http_requests": len(server.requests),
            "seconds": seconds,
            "answers_per_second": good / seconds,
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=100, help="calls a repeat (default: 100)")
    parser.add_argument("--repeats", type=int, default=7, help="repeats (default: 7)")
    options = parser.parse_args()
    rows = [
        {
            "calls in flight": at_once,
            "what": name,
            "ms a call": round(row["median"], 2),
            "lowest": round(row["lowest"], 2),
            "highest": round(row["highest"], 2),
            "above litellm": round(row["above_litellm"], 2),
        }
        for at_once in (1, 16)
        for name, row in asyncio.run(overhead(options.calls, options.repeats, at_once)).items()
    ]
    injected = asyncio.run(faults(2 * options.calls))
    note = f"{options.calls} calls a repeat, median of {options.repeats} repeats, an instant local server"
    save("llm_door", rows, note, with_20_percent_faults=injected)
    print("with 20% faults:", injected)


if __name__ == "__main__":
    main()
