"""Calls and tokens of `parse_dag`, `judge_pair` and `rank_traces`: the default beside each saving, and the estimate.

    python benchmarks/llm_calls.py [--rounds 5]

Real solutions from the demo go through the verbs, over a local server that answers at once and counts tokens as a
provider does. Its answers vary in length around means that `estimate_cost` is told; it goes back at every ninth step,
which the estimate is not told; it prefers the shorter trace, but in one pair of four the one that is shown first.
Errors are those of the estimate against what was spent. "own ms a call" is what our client adds: wall time, one call
at a time, above that of the same requests sent bare through LiteLLM in the same round.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from report import save
from support.counting_model import CountingModel
from support.fake_provider import OpenAIServer

from me2sdk import LLM, Trace, Usage, abest_of_n, ajudge_pair, aparse_dag, arank_traces, estimate_cost
from me2sdk.llm import load_litellm

Verb = Callable[[LLM, int], Awaitable[Any]]
LONG = ((17, 25), (4, 27), (26, 15))  # of 85, 84 and 42 steps
SAME = ((38, 16), (38, 9), (38, 26), (38, 20))  # of 27, 21, 18 and 17 steps, to one question


def records() -> list[dict[str, Any]]:
    """Questions of the demo with their candidates."""
    lines = (resources.files("me2sdk") / "data" / "demo_champ.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def traces(places: tuple[tuple[int, int], ...]) -> list[Trace]:
    """Candidates of the demo by question and place."""
    found = records()
    return [Trace.from_message(found[row]["candidates"][n], found[row]["question"]) for row, n in places]


async def run(world: CountingModel, verb: Verb, rounds: int, cached: bool) -> tuple[list[Usage], float]:
    """What each round spent, and milliseconds of our own a call."""
    litellm = load_litellm()
    spent, own = [], []
    for number in range(rounds + 1):  # the first one warms up
        with OpenAIServer(world.reply) as server, tempfile.TemporaryDirectory() as folder:
            where = {"api_base": server.url, "api_key": "none"}
            llm = LLM("openai/test", max_concurrency=1, cache=folder if cached else None, **where)
            started = time.perf_counter()
            await verb(llm, number)
            ours = time.perf_counter() - started
            requests = list(server.requests)
            started = time.perf_counter()
            for request in requests:
                body = {
                    name: value for name, value in request.body.items() if name not in ("model", "messages")
                }
                await litellm.acompletion(
                    "openai/test", request.body["messages"], timeout=120.0, max_retries=0, **body, **where
                )
            bare = time.perf_counter() - started
        if number:
            spent.append(llm.usage)
            own.append(1000 * (ours - bare) / len(requests))
    return spent, statistics.median(own)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: 5)")
    rounds = parser.parse_args().rounds
    long, same = traces(LONG), traces(SAME)
    # The last pair gets a judge that prefers whatever is shown first.
    pairs = [(same[0], same[1]), (same[0], same[2]), (same[1], same[3]), (same[2], same[3])]
    unclear = {trace.reasoning.strip() for trace in pairs[-1]}
    questions = [record["question"] for record in records()]
    world = CountingModel()

    def better(first: str, second: str) -> bool:
        return len(first) < len(second) or {first.strip(), second.strip()} == unclear

    rows: list[dict[str, Any]] = []
    least: dict[str, int] = {}  # tokens of the default of each group of rows

    def measure(what: str, group: str, name: Any, items: Any, verb: Verb, **options: Any) -> None:
        """One row; the first of a group is its default."""
        cached = bool(options.pop("cached", False))
        told = {"completion_tokens": world.lengths, "agreement": 0.75 if name == "judge_pair" else 1.0}
        with tempfile.TemporaryDirectory() as folder:
            estimate = estimate_cost(
                name, items, model="openai/test", cache=folder if cached else None, **told, **options
            )
        spent, own = asyncio.run(run(world, verb, rounds, cached))
        calls, prompt, completion = (
            statistics.mean(getattr(usage, field) for usage in spent)
            for field in ("calls", "prompt_tokens", "completion_tokens")
        )
        default = least.setdefault(group, round(prompt + completion))
        rows.append(
            {
                "what": what,
                "calls": round(calls),
                "tokens in": round(prompt),
                "tokens out": round(completion),
                "of the default's tokens": f"{(prompt + completion) / default:.0%}",
                "estimate: calls, in, out": f"{estimate.calls}, {estimate.prompt_tokens}, {estimate.completion_tokens}",
                "error: calls, in, out": ", ".join(
                    f"{told / found - 1:+.1%}"
                    for told, found in (
                        (estimate.calls, calls),
                        (estimate.prompt_tokens, prompt),
                        (estimate.completion_tokens, completion),
                    )
                ),
                "own ms a call": round(own, 2),
            }
        )

    def dag(**options: Any) -> tuple[Any, Any, Verb]:
        return "parse_dag", long, lambda llm, number: aparse_dag(long, model=llm, **options)

    def judge(chosen: list[Any], **options: Any) -> tuple[Any, Any, Verb]:
        async def verb(llm: LLM, number: int) -> None:
            world.better = better
            for pair in chosen:
                await ajudge_pair(None, *pair, model=llm, **options)

        return "judge_pair", chosen, verb

    async def rank(llm: LLM, number: int) -> None:
        world.better = lambda first, second: len(first) < len(second)
        await arank_traces(None, random.Random(number).sample(same, len(same)), model=llm)

    async def best(llm: LLM, number: int) -> None:
        for question in questions:
            await abest_of_n(question, model=llm, n=8)

    steps = "parse_dag, 3 traces of 42 to 85 steps"
    measure(f"{steps}: one step a call", "dag", *dag())
    measure("… window=8", "dag", *dag(window=8), window=8)
    measure("judge_pair, 4 pairs of 4 traces: as it is", "judge", *judge(pairs))
    for options in (
        {"early_stop": True},
        {"annotator": "local"},
        {"structure": False},
    ):
        words = ", ".join(f"{name}={value}" for name, value in options.items())
        measure(f"… {words}", "judge", *judge(pairs, **options), **options)
    measure("… cache, so that each trace is parsed once", "judge", *judge(pairs), cached=True)
    six = list(itertools.combinations(same, 2))
    measure("judge_pair, all 6 pairs of 4 traces", "rank", *judge(six))
    measure("rank_traces, the same 4 in random order", "rank", "rank_traces", same, rank)
    measure("best_of_n(n=8), 40 questions, one request each", "best", "best_of_n", questions, best)
    save("llm_calls", rows, note=f"answers of {world.lengths} tokens on average; means of {rounds} rounds")


if __name__ == "__main__":
    main()
