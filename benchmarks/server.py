"""What ``me2 serve`` adds to a proxy that hands requests to LiteLLM, and whether its memory stays flat.

    python benchmarks/server.py [--calls 40] [--repeats 21] [--requests 2000]

An upstream that answers at once, ``me2 serve``, and the plainest proxy there is (a Starlette app that awaits
``litellm.acompletion`` and returns its ``model_dump()``), each in a process of its own. Both servers run under
uvicorn with the same settings and are asked in turn by the same client, so that a ratio compares like with like. The
time that a request takes is that of client, server and upstream on the same processors; the processor time is that of
the server's process alone, and hardly changes with what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import httpx
import psutil
from report import save
from support.fake_provider import OpenAIServer, Reply

from me2sdk.llm import load_litellm

TEXT = "She has 3 apples and gets 4 more.\n3 + 4 = 7, so she has 7 apples.\n#### 7"
BODY = {
    "model": "m",
    "messages": [{"role": "user", "content": "Ana has 3 apples and gets 4. How many has she?"}],
}
WIDTH = 8  # candidates
MIB = 2**20


def run_upstream() -> None:
    with OpenAIServer(Reply(TEXT)) as server:
        print(server.url, flush=True)
        sys.stdin.read()


def run_me2(upstream: str) -> None:
    from me2sdk.adapters.openai_server import ServerConfig, serve

    params = {"api_base": upstream, "api_key": "none"}
    # A pool asks for each candidate in a call of its own, as with providers that do not take n.
    models = {"m": "openai/test", "pool": ["openai/test"] * WIDTH}
    settings = ServerConfig(models=models, n=1, port=0, params=params, max_requests=256)
    serve(settings, on_start=lambda url: print(url, flush=True))


def run_plain(upstream: str) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from me2sdk.adapters.openai_server import ServerConfig
    from me2sdk.adapters.openai_server.run import listen

    litellm = load_litellm()

    async def chat(request: Request) -> JSONResponse:
        body = await request.json()
        body["model"] = "openai/test"
        answer = await litellm.acompletion(**body, api_base=upstream, api_key="none", max_retries=0)
        return JSONResponse(answer.model_dump())

    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    listener = listen(ServerConfig(port=0))
    print("http://{}:{}".format(*listener.getsockname()), flush=True)
    config = uvicorn.Config(
        app, ws="none", log_config=None, access_log=False, server_header=False, timeout_keep_alive=75
    )
    uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def process(role: str, *arguments: str) -> Iterator[tuple[str, int]]:
    """Run a role of this file; gives its URL and its process id."""
    command = [sys.executable, __file__, "--role", role, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield running.stdout.readline().strip(), running.pid
        finally:
            running.terminate()


async def milliseconds(calls: int, width: int, ask: Callable[[], Awaitable[Any]]) -> float:
    """Wall-clock time of ``calls`` calls, ``width`` at a time, divided by their number."""
    slots = asyncio.Semaphore(width)

    async def one() -> None:
        async with slots:
            await ask()

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(calls)))
    return (time.perf_counter() - started) * 1000 / calls


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used so far."""
    used = psutil.Process(pid).cpu_times()
    return used.user + used.system


async def compare(
    plain: str, me2: str, pids: dict[str, int], calls: int, repeats: int
) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_connections=None)) as client:

        async def post(url: str, **fields: Any) -> None:
            response = await client.post(f"{url}/v1/chat/completions", json={**BODY, **fields})
            assert response.status_code == 200, response.text

        async def eight_plain() -> None:
            await asyncio.gather(*(post(plain) for _ in range(WIDTH)))

        one = {"plain": lambda: post(plain), "me2": lambda: post(me2, best_of=1)}
        eight = {"plain": eight_plain, "me2": lambda: post(me2, model="pool", best_of=WIDTH)}
        rows = []
        for what, ways, at_once in (
            ("n=1", one, 1),
            ("n=1", one, 16),
            (f"n={WIDTH}", eight, 1),
            (f"n={WIDTH}", eight, 4),
        ):
            count = calls if ways is one else max(10, calls // WIDTH)
            times: dict[str, list[float]] = {name: [] for name in ways}
            used = dict.fromkeys(ways, 0.0)
            for repeat in range(repeats + 1):
                for name in list(ways) if repeat % 2 else reversed(list(ways)):
                    before = processor_seconds(pids[name])
                    taken = await milliseconds(count, at_once, ways[name])
                    if repeat:  # the first round warms up
                        times[name].append(taken)
                        used[name] += (processor_seconds(pids[name]) - before) * 1000 / (count * repeats)
            ratios = [ours / base for ours, base in zip(times["me2"], times["plain"], strict=True)]
            rows.append(
                {
                    "candidates": what,
                    "requests in flight": at_once,
                    "plain, ms a request": round(statistics.median(times["plain"]), 2),
                    "me2 serve, ms a request": round(statistics.median(times["me2"]), 2),
                    "ratio": round(statistics.median(ratios), 2),
                    "lowest": round(min(ratios), 2),
                    "highest": round(max(ratios), 2),
                    "plain, processor ms": round(used["plain"], 2),
                    "me2 serve, processor ms": round(used["me2"], 2),
                    "ratio of these": round(used["me2"] / used["plain"], 2),
                }
            )
        return rows


async def memory(me2: str, pid: int, requests: int) -> dict[str, Any]:
    """Resident memory of the server before and after ``requests`` requests, once it is warm."""
    async with httpx.AsyncClient(timeout=120) as client:

        async def post() -> None:
            response = await client.post(f"{me2}/v1/chat/completions", json=BODY)
            assert response.status_code == 200

        resident = []
        for count in (300, requests // 2, requests - requests // 2):
            await milliseconds(count, 8, post)
            resident.append(round(psutil.Process(pid).memory_info().rss / MIB, 1))
    return {
        "requests": requests,
        "MiB before": resident[0],
        "MiB halfway": resident[1],
        "MiB after": resident[2],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=40, help="calls a repeat (default: 40)")
    parser.add_argument("--repeats", type=int, default=21, help="repeats (default: 21)")
    parser.add_argument("--requests", type=int, default=2000, help="requests over which memory is watched")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--upstream", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        roles = {"me2": run_me2, "plain": run_plain}
        run_upstream() if options.role == "upstream" else roles[options.role](options.upstream)
        return
    with process("upstream") as (upstream, _):
        where = ("--upstream", upstream)
        with process("me2", *where) as (me2, pid), process("plain", *where) as (plain, plain_pid):
            grown = asyncio.run(memory(me2, pid, options.requests))
            pids = {"me2": pid, "plain": plain_pid}
            rows = asyncio.run(compare(plain, me2, pids, options.calls, options.repeats))
    note = f"an instant upstream, median of {options.repeats} rounds"
    save("server", rows, note, memory=grown)
    print("memory:", grown)


if __name__ == "__main__":
    main()
