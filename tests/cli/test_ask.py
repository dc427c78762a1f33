"""``me2 ask`` on a terminal of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from support.fake_provider import OpenAIServer, Reply, Request

pty = pytest.importorskip("pty")


class Terminal:
    """What a command wrote to a terminal so far."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.text = ""

    def read_until(self, done: Callable[[str], bool]) -> str:
        """Read until the text is as wanted, or the command has ended."""
        while not done(self.text):
            try:
                more = os.read(self._file.fileno(), 65536)
            except OSError:  # how Linux says that the other end is closed
                more = b""
            if not more:
                break
            self.text += more.decode("utf-8", errors="replace")
        return self.text


@contextmanager
def terminal(*command: str, stdout: int | None = None) -> Iterator[tuple[Terminal, subprocess.Popen[bytes]]]:
    """A command with a terminal as its standard error, and as its standard output if that is not given."""
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        "OPENAI_API_KEY": "sk-test",
        "COLUMNS": "100",
        "LINES": "40",
        "TERM": "xterm",
    }
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs if stdout is None else stdout, stderr=theirs, env=environment
    )
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as file, process:
        yield Terminal(file), process


def test_candidates_show_as_they_come_and_then_the_answer() -> None:
    def reply(request: Request) -> Reply:
        if request.number == 1:
            server.gate.clear()  # the second candidate waits until the first was seen
        return Reply("So.\n\nThe answer is 7.", honours_n=False)

    me2 = str(Path(sys.executable).parent / "me2")
    with OpenAIServer(reply) as server:
        where = ["--model", "openai/test", "--api-base", server.url, "--scorer", "shortest", "-n", "2"]
        with terminal(me2, "ask", "Q?", *where, stdout=subprocess.PIPE) as (screen, process):
            early = screen.read_until(lambda text: "1 of 2 candidates" in text and "-21.00" in text)
            server.gate.set()
            late = screen.read_until(lambda text: False)
            assert process.stdout is not None
            answer = process.stdout.read()
        assert process.returncode == 0
    assert "confidence" not in early
    assert "answer 7: 2 of 2 votes, confidence " in late
    assert answer == b"So.\n\nThe answer is 7.\n"
