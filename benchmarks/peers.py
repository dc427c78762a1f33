"""me2sdk beside its_hub, DSPy and optillm: the same recorded candidates, the same scorer, the same instant server.

    make peers DATA=DIR                              # the environment, then this
    python benchmarks/peers.py --data DIR [--cache DIR] [--questions 150] [--rounds 7]

DIR holds ``modern/``. Each file of ``benchmarks/ways`` is what a user of one tool writes; all ask a local server that
plays eight recorded candidates to each question, in the same order for all. What is compared:

- whether the candidate that comes back is right, on questions of every set; mini has weights that were fitted without
  the set;
- requests, samples and requests that are open at once, as the server counts them;
- milliseconds a candidate with a server that answers at once, rounds of all ways in turn, beside bare calls of openai
  that make as many requests;
- how long a question takes where answers take time (``--rate`` characters a second), and how much text is then written:
  what is asked for and given up counts as far as it came;
- lines of code: those of the file without its three lines of frame, and for optillm the command that starts its proxy.

Ways whose package is not installed are left out and named.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import io
import json
import logging
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import tokenize
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent / "ways"))

import httpx
from peers_questions import PATTERNS, Recorded, read_recorded
from report import HERE, save

from me2sdk.scorers import Scorer
from me2sdk.scorers.mini.scorer import bundled_weights
from me2sdk.train.evaluate.estimates import estimate
from recipes.mini_among import without_each

WAYS = {
    "openai_loop": ("one sample: a loop over openai", "openai"),
    "openai_single": ("one sample: openai, n in one call", "openai"),
    "litellm_loop": ("one sample: a loop over LiteLLM", "litellm"),
    "hand_vote": ("vote by hand: openai and a pattern", "openai"),
    "its_hub_vote": ("its_hub SelfConsistency, a pattern", "its_hub"),
    "its_hub_adaptive": ("its_hub AdaptiveSelfConsistency, a pattern", "its_hub"),
    "its_hub_beta": ("its_hub BetaSelfConsistency, a pattern", "its_hub"),
    "its_hub_best": ("its_hub BestOfN, mini", "its_hub"),
    "dspy_majority": ("DSPy majority", "dspy"),
    "dspy_best": ("DSPy BestOfN, mini", "dspy"),
    "optillm_vote": ("optillm majority_voting", "optillm"),
    "optillm_consistency": ("optillm self_consistency", "optillm"),
    "optillm_best": ("optillm bon, graded by mini", "optillm"),
    "me2_auto": ("me2sdk best_of_n", "me2sdk"),
    "me2_pattern": ("me2sdk best_of_n, a pattern", "me2sdk"),
    "me2_stop": ("me2sdk best_of_n, stop=0.95", "me2sdk"),
    "me2_best": ('me2sdk best_of_n, select="best"', "me2sdk"),
}
"""Each file of ``ways``, by how it is shown and the package that it needs."""
OURS = "me2_auto"
LOOP, SINGLE = "openai_loop", "openai_single"
ONLY_TIMED = (SINGLE, "litellm_loop")  # they choose as the loop over openai does
FRAME = 3  # def prepare, def ask, return ask


class Asked(NamedTuple):
    """What asking some questions one after another came to.

    Attributes:
        right: a question each.
        failed: questions on which the tool raised an error.
        seconds: wall time.
        counts: what the server counted.
    """

    right: list[bool]
    failed: int
    seconds: float
    counts: dict[str, Any]


class Upstream:
    """The server of peers_server.py, in a process of its own.

    Args:
        questions: what it plays.
    """

    def __init__(self, questions: Sequence[Recorded]) -> None:
        self._file = tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8")  # noqa: SIM115
        json.dump({one.question: one.played() for one in questions}, self._file)
        self._file.flush()
        command = [sys.executable, str(HERE / "peers_server.py"), self._file.name]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().strip()}/v1"

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.communicate()  # which also closes the pipes
        self._file.close()

    def reset(self, rate: float = 0.0) -> None:
        """Play from the beginning, at so many characters a second, or at once."""
        self._tell(f"reset {rate}")

    def counts(self) -> dict[str, Any]:
        """What was asked since then."""
        return self._tell("counts")

    def _tell(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(command, file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def optillm_proxy(upstream: str, n: int) -> Iterator[str]:
    """optillm's proxy in front of a server; gives its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "optillm"), "--base-url", upstream, "--port", str(port)]
    command += ["--best-of-n", str(n), "--log", "error"]
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
        with subprocess.Popen(command, env={**os.environ, "OPENAI_API_KEY": "none"}, **quiet) as running:  # type: ignore[call-overload]
            try:
                _await_port(running, port)
                yield f"http://127.0.0.1:{port}/v1"
            finally:
                running.terminate()


def _await_port(running: subprocess.Popen[Any], port: int) -> None:
    ends = time.monotonic() + 180  # it imports torch and more
    while time.monotonic() < ends and running.poll() is None:
        try:
            httpx.get(f"http://127.0.0.1:{port}/health")
            return
        except httpx.TransportError:
            time.sleep(0.5)
    raise RuntimeError("optillm's proxy did not start.")


class Way:
    """One way to choose, ready to be asked.

    Args:
        name: a key of `WAYS`.
        url: the server, or the proxy before it.
        n: candidates of a question.
        loop: runs it; LiteLLM wants one and the same for all calls.
    """

    def __init__(self, name: str, url: str, n: int, loop: asyncio.AbstractEventLoop) -> None:
        self.name, self._url, self._n = name, url, n
        self._module = importlib.import_module(name)
        self._loop = loop
        self._ready: dict[str, Callable[[str], Any]] = {}

    @property
    def lines(self) -> int:
        """Lines of code that the user writes."""
        source = Path(str(self._module.__file__)).read_text("utf-8")
        return code_lines(source) - FRAME + (WAYS[self.name][1] == "optillm")

    def prepare(self, scorers: dict[str, Scorer]) -> None:
        """Make clients and programs, for each set."""
        for name, pattern in PATTERNS.items():
            self._ready[name] = self._module.prepare(self._url, self._n, pattern, scorers[name])

    def ask(self, upstream: Upstream, questions: Sequence[Recorded], rate: float = 0.0) -> Asked:
        """Ask some questions, one after another."""
        random.seed(0)  # its_hub breaks ties by chance
        upstream.reset(rate)
        picked: list[str | None] = []
        started = time.perf_counter()
        for one in questions:
            try:
                answer = self._ready[one.set_name](one.question)
                picked.append(
                    self._loop.run_until_complete(answer) if asyncio.iscoroutine(answer) else answer
                )
            except Exception as error:
                picked.append(None)
                print(f"{self.name}: {type(error).__name__}: {error}", file=sys.stderr)
        seconds = time.perf_counter() - started
        right = [text is not None and one.right(text) for one, text in zip(questions, picked, strict=True)]
        return Asked(right, picked.count(None), seconds, upstream.counts())


def code_lines(source: str) -> int:
    """Lines that hold code: no comments, no docstrings, no blank lines."""
    idle = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    lines: set[int] = set()
    fresh = True  # whether a statement begins here, so that a text would be a docstring
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in idle and not (fresh and token.type == tokenize.STRING):
            lines |= set(range(token.start[0], token.end[0] + 1))
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            fresh = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    return len(lines)


def percent(values: Sequence[float], sign: str = "") -> str:
    """The mean over questions in percent, with its 95% interval."""
    found = estimate([100 * float(value) for value in values], [str(i) for i in range(len(values))])
    mean, low, high = (f"{round(one, 1) + 0.0:{sign}.1f}" for one in (found.mean, found.low, found.high))
    return f"{mean} [{low}, {high}]"


def timings(
    ways: Sequence[Way], upstream: Upstream, some: Sequence[Recorded], rounds: int
) -> dict[str, list[float]]:
    """Milliseconds a candidate of each way, a round each; ways take turns."""
    times: dict[str, list[float]] = {way.name: [] for way in ways}
    for number in range(rounds + 1):
        for way in ways if number % 2 else reversed(ways):
            asked = way.ask(upstream, some)
            if number:  # the first round warms up
                times[way.name].append(1000 * asked.seconds / asked.counts["samples"])
    return times


def cost_row(
    way: Way, asked: Asked, times: dict[str, list[float]], paced: Asked, some: Sequence[Recorded]
) -> dict[str, Any]:
    """What one way takes."""
    counts, questions = asked.counts, len(asked.right)
    base = times[SINGLE if counts["requests"] < counts["samples"] else LOOP]
    own = statistics.median(a - b for a, b in zip(times[way.name], base, strict=True))
    whole = sum(len(text) for one in some for text in one.texts)
    return {
        "way": WAYS[way.name][0],
        "lines": way.lines,
        "requests a question": round(counts["requests"] / questions, 1),
        "samples a question": round(counts["samples"] / questions, 2),
        "ms a candidate": round(statistics.median(times[way.name]), 2),
        "above bare calls": f"{own:+.2f}",
        "open at once": paced.counts["at_once"],
        "paced: s a question": round(paced.seconds / len(some), 2),
        "paced: text written": f"{paced.counts['characters'] / whole:.0%}",
    }


def accuracy_rows(results: dict[str, Asked], every: Sequence[Recorded]) -> tuple[list[Any], list[Any]]:
    """Share of right answers, and the paired difference to ours, of each set and of all."""
    places = {name: [i for i, one in enumerate(every) if one.set_name == name] for name in PATTERNS}
    columns = {f"{name} ({len(some)})": some for name, some in places.items() if some}
    columns[f"all ({len(every)})"] = list(range(len(every)))
    rows, against = [], []
    for name, asked in results.items():
        if name in ONLY_TIMED:
            continue
        right = asked.right
        rows.append(
            {"way": WAYS[name][0]}
            | {title: percent([right[i] for i in some]) for title, some in columns.items()}
            | {"failed": asked.failed}
        )
        if name != OURS and OURS in results:
            ours = results[OURS].right
            against.append(
                {"way": WAYS[name][0]}
                | {title: percent([right[i] - ours[i] for i in some], "+") for title, some in columns.items()}
            )
    best = [any(one.correct) for one in every]
    rows.append(
        {"way": "best possible"}
        | {title: percent([best[i] for i in some]) for title, some in columns.items()}
        | {"failed": 0}
    )
    return rows, against


def available(chosen: Sequence[str]) -> tuple[list[str], set[str]]:
    """Those of the chosen ways, and of those that they are compared with, whose packages are there; and what is not."""
    absent = {package for _, package in WAYS.values() if importlib.util.find_spec(package) is None}
    return [
        name for name in WAYS if WAYS[name][1] not in absent and name in {*chosen, LOOP, SINGLE, OURS}
    ], absent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="keep mini's weights without each set here")
    parser.add_argument("--questions", type=int, default=150, help="of each set, at most (default: 150)")
    parser.add_argument("--n", type=int, default=8, help="candidates of a question (default: 8)")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds (default: 7)")
    parser.add_argument("--timed", type=int, default=30, help="questions of a timed round (default: 30)")
    parser.add_argument(
        "--rate", type=float, default=5000, help="characters a second when paced (default: 5000)"
    )
    parser.add_argument("--way", action="append", choices=WAYS, help="all if none is named")
    options = parser.parse_args()
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # LiteLLM asks the network for prices otherwise
    names, absent = available(options.way or list(WAYS))
    scorers = without_each(options.data, bundled_weights(), options.cache)
    every = read_recorded(options.data, scorers, most=options.questions, n=options.n)
    some = random.Random(1).sample(every, min(options.timed, len(every)))
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream(every))
        urls = dict.fromkeys(names, upstream.url)
        if proxied := [name for name in names if WAYS[name][1] == "optillm"]:
            urls |= dict.fromkeys(proxied, stack.enter_context(optillm_proxy(upstream.url, options.n)))
        loop = asyncio.new_event_loop()
        ways = [Way(name, urls[name], options.n, loop) for name in names]
        for way in ways:
            way.prepare(scorers)
        results: dict[str, Asked] = {}
        for way in ways:
            results[way.name] = way.ask(upstream, every)
            print(f"{way.name}: {len(every)} questions, {results[way.name].seconds:.0f} s", file=sys.stderr)
        times = timings(ways, upstream, some, options.rounds)
        paced = {way.name: way.ask(upstream, some, options.rate) for way in ways}
        cost = [cost_row(way, results[way.name], times, paced[way.name], some) for way in ways]
    rows, against = accuracy_rows(results, every)
    packages = sorted({package for _, package in WAYS.values()} - absent)
    save(
        "peers",
        rows,
        f"{len(every)} questions, each way asked once for each with up to {options.n} candidates; times are medians of "
        f"{options.rounds} rounds of {len(some)} questions, all ways in turn; when paced, a text comes at "
        f"{options.rate:.0f} characters a second, once for each of these questions. Compared: "
        + ", ".join(f"{package} {version(package)}" for package in packages)
        + (f". Not installed, so not compared: {', '.join(sorted(absent))}" if absent else ""),
        against=against,
        cost=cost,
    )
    logging.disable()  # its_hub leaves sessions open, and aiohttp tells of each


if __name__ == "__main__":
    main()
