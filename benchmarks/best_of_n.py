"""What `best_of_n` itself costs: n = 64 against a local server that answers at once.

Side by side in each round: 64 bare ``litellm.acompletion`` calls, 64 calls through `LLM`, and `best_of_n`
with the bundled scorer; the same server, the same concurrency. The difference to bare LiteLLM, divided by
64, is our own time a candidate.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from report import save
from support.fake_provider import OpenAIServer, Reply

from me2sdk import LLM, abest_of_n
from me2sdk.llm import load_litellm

N, CONCURRENCY, ROUNDS = 64, 16, 9
TEXT = "She has 3 apples and gets 4 more.\n3 + 4 = 7, so she has 7 apples.\n#### 7"
QUESTION = "Ana has 3 apples and gets 4. How many has she?"


async def main() -> None:
    litellm = load_litellm()
    with OpenAIServer(Reply(TEXT, honours_n=False)) as server:
        where = {"model": "openai/test", "api_base": server.url, "api_key": "none"}

        async def bare() -> None:
            slots = asyncio.Semaphore(CONCURRENCY)

            async def one() -> None:
                async with slots:
                    await litellm.acompletion(
                        messages=[{"role": "user", "content": QUESTION}], max_retries=0, **where
                    )

            await asyncio.gather(*(one() for _ in range(N)))

        async def door() -> None:
            llm = LLM(**where, max_concurrency=CONCURRENCY)
            await asyncio.gather(*(llm.agenerate(QUESTION, sample_index=i) for i in range(N)))

        async def best() -> None:
            result = await abest_of_n(QUESTION, n=N, max_concurrency=CONCURRENCY, **where)
            assert len(result.candidates) == N

        runs: dict[str, Callable[[], Awaitable[None]]] = {"litellm": bare, "LLM": door, "best_of_n": best}
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for round_number in range(ROUNDS + 1):
            for name, run in runs.items():
                started = time.perf_counter()
                await run()
                if round_number:  # the first round warms up
                    seconds[name].append(time.perf_counter() - started)
    own = {
        name: [1000 * (ours - base) / N for ours, base in zip(seconds[name], seconds["litellm"], strict=True)]
        for name in ("LLM", "best_of_n")
    }
    rows = [
        {
            "what": name,
            "ms_per_candidate": round(1000 * statistics.median(times) / N, 2),
            "own_ms_per_candidate": round(statistics.median(own[name]), 2) if name in own else 0.0,
            "own_ms_worst_round": round(max(own[name]), 2) if name in own else 0.0,
        }
        for name, times in seconds.items()
    ]
    save("best_of_n", rows, note=f"n={N}, concurrency {CONCURRENCY}, median of {ROUNDS} rounds")


if __name__ == "__main__":
    asyncio.run(main())
