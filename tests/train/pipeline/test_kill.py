"""kill -9 at any time, run again: nothing finished is lost, and the files are those of an undisturbed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.fake_provider import Behaviour, OpenAIServer, Request
from support.pipeline_doubles import config, finals, reply

if not hasattr(os, "fork"):
    pytest.skip("needs fork", allow_module_level=True)

# The command in processes of its own that share the seconds which its imports take.
_NURSERY = """
import json, os, sys
import me2sdk.train.pipeline
from me2sdk.cli import main
from me2sdk.llm import load_litellm
load_litellm()
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(2, 1)  # what it prints is nobody's answer
        sys.argv = json.loads(line)
        try:
            main()
        except SystemExit as stop:
            os._exit(stop.code or 0)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Nursery:
    """Runs the command, and kills it when a server has seen so many requests."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._known = threading.Event()
        self._child = 0
        self._left: int | None = None

    def reply(self, request: Request) -> Behaviour:
        """The behaviour of the server."""
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                assert self._known.wait(30)
                os.kill(self._child, signal.SIGKILL)
        return reply(request)

    def run(self, *arguments: str, kill_at: int | None = None) -> int:
        """Exit code; -9 for a command that was killed."""
        self._known.clear()
        self._left = kill_at
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(["me2", *arguments]) + "\n")
        self._process.stdin.flush()
        self._child = int(self._process.stdout.readline())
        self._known.set()
        return int(self._process.stdout.readline())


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    process = subprocess.Popen(
        [sys.executable, "-c", _NURSERY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        yield Nursery(process)
        process.communicate()


def write(path: Path, url: str, output: Path) -> str:
    settings: dict[str, Any] = config(
        output,
        2,
        annotator={"model": "openai/annotator"},
        sampling={"samples": 2},
        max_concurrency=4,
        params={
            "api_base": url,
            "api_key": "sk-secret-test-key",
            "input_cost_per_token": 1.1e-6,
            "output_cost_per_token": 3.3e-6,
        },
    ).model_dump(mode="json", exclude_unset=True)
    path.write_text(yaml.safe_dump(settings))
    return str(path)


def test_a_killed_build_goes_on_and_ends_like_an_undisturbed_one(nursery: Nursery, tmp_path: Path) -> None:
    with OpenAIServer(nursery.reply) as server:
        file = write(tmp_path / "config.yaml", server.url, tmp_path / "whole")
        assert nursery.run("data", "build", file) == 0
        asked = len(server.requests)
        expected = finals(tmp_path / "whole")
        assert set(expected) == {
            "README.md",
            "train.jsonl",
            "train.parquet",
            "validation.jsonl",
            "validation.parquet",
        }
        assert expected["train.jsonl"]

        killed = ["data", "build", file, "--set", f"output={tmp_path / 'killed'}"]
        kills = [3, 12, 30]  # requests after each start: in sampling, annotating and judging
        for kill_at, last in zip(kills, ("two", "annotator", "judge"), strict=True):
            assert nursery.run(*killed, kill_at=kill_at) == -signal.SIGKILL
            assert last in [request.body["model"] for request in server.requests[-5:]]
            assert not (tmp_path / "killed" / "train.jsonl").exists()
        assert nursery.run(*killed) == 0
        assert finals(tmp_path / "killed") == expected
        again = len(server.requests) - asked
        samples = Counter(
            (request.body["model"], request.text, request.body["seed"])
            for request in server.requests[asked:]
            if request.body["model"] in ("one", "two")
        )
    assert json.loads(expected["train.jsonl"].splitlines()[0])["provenance"].count('"cost": 0.0') == 1
    # Only what was in flight is paid for twice: four samples, or four pairs of a dozen calls.
    assert sum(samples.values()) - len(samples) <= 4 * len(kills)
    assert asked < again < asked + len(kills) * 4 * 12
    for path in tmp_path.rglob("*.*"):
        if path.name != "config.yaml":
            assert b"sk-secret" not in path.read_bytes()
