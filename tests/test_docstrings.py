"""Every public function and class shows how it is used, and what its docstring shows runs and prints what it says."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.needs import installed

import me2sdk
import me2sdk.scorers.parity
import me2sdk.testing
import me2sdk.train

# What an example needs beside the base package; without it the example is skipped.
NEEDS = {
    "me2sdk.scorers.PRMScorer": "torch",
    "me2sdk.scorers.available_device": "torch",
    "me2sdk.testing.tiny_process_reward_model": "torch",
    "me2sdk.testing.tiny_reward_model": "torch",
    "me2sdk.train.abuild_preferences": "pyarrow",
    "me2sdk.train.build_preferences": "pyarrow",
    "me2sdk.train.plot_best_of_n": "matplotlib",
    "me2sdk.train.quantize_checkpoint": "torch",
    "me2sdk.train.train_grpo": "trl",
    "me2sdk.train.train_reward_model": "trl",
}
# Public names whose docstring has no example yet.
UNFINISHED: frozenset[str] = frozenset()
_EXAMPLE = re.compile(r"^Example:\n    ```python\n(.*?)^    ```$", re.MULTILINE | re.DOTALL)
_PRINTED = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


def _public() -> dict[str, Any]:
    """Public functions and classes by name; of `me2sdk.train`, which has many values, what can be called."""
    found: dict[str, Any] = {}
    for module in (me2sdk, me2sdk.scorers, me2sdk.scorers.parity, me2sdk.testing, me2sdk.train):
        for name in module.__all__:
            value = getattr(module, name)
            is_value = inspect.isclass(value) and "__call__" not in vars(value)
            hidden = is_value and module in (me2sdk.train, me2sdk.scorers.parity)
            if callable(value) and not hidden and value not in found.values():
                found[f"{module.__name__}.{name}"] = value
    return found


def _example(value: Any) -> str | None:
    found = _EXAMPLE.search(inspect.cleandoc(value.__doc__ or ""))
    return textwrap.dedent(found[1]) if found else None


PUBLIC = _public()
EXAMPLES = {name: code for name, value in PUBLIC.items() if (code := _example(value)) is not None}

# Runs in a process of its own. Each example has a namespace and a folder of its own; only this machine can be reached.
_RUNNER = """
import contextlib, io, json, os, socket, sys, tempfile, traceback

connect, resolve = socket.socket.connect, socket.getaddrinfo
def check(host):
    if host not in ("127.0.0.1", "::1", "localhost", None):
        raise OSError(f"an example may not reach {host}")
def guarded(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6):
        check(address[0])
    return connect(self, address)
def guarded_resolve(host, *rest, **options):
    check(host.decode() if isinstance(host, bytes) else host)
    return resolve(host, *rest, **options)
socket.socket.connect, socket.getaddrinfo = guarded, guarded_resolve

for name, code in json.load(sys.stdin).items():
    os.chdir(tempfile.mkdtemp(dir=sys.argv[1]))
    printed, error = io.StringIO(), ""
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(code, name, "exec"), {"__name__": "example"})
        except BaseException:
            error = traceback.format_exc()
    with open(os.path.join(sys.argv[1], name + ".json"), "w", encoding="utf-8") as file:
        json.dump({"error": error, "printed": printed.getvalue().splitlines()}, file)
"""


class Ran(NamedTuple):
    """How an example went: its traceback or "", and the lines that it printed."""

    error: str
    printed: list[str]


def _missing(name: str) -> bool:
    return name in NEEDS and not installed(NEEDS[name])


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ran]:
    """The examples that are to be tested, all in one process, since most of the time goes into imports."""
    folder = tmp_path_factory.mktemp("examples")
    names = [
        item.callspec.params["name"]
        for item in request.session.items
        if item.path == request.path and getattr(item, "originalname", "") == "test_an_example_runs"
    ]
    codes = {name: EXAMPLES[name] for name in names if not _missing(name)}
    environment = {
        **{
            key: value for key, value in os.environ.items() if not key.startswith(("ME2", "PYTEST", "OPENAI"))
        },
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", _RUNNER, str(folder)],
        input=json.dumps(codes),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return {name: Ran(**json.loads((folder / f"{name}.json").read_text("utf-8"))) for name in codes}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name: str, runs: dict[str, Ran]) -> None:
    if _missing(name):
        pytest.skip(f"the example needs {NEEDS[name]}")
    assert not runs[name].error, runs[name].error
    assert runs[name].printed == _PRINTED.findall(EXAMPLES[name])


def test_every_public_function_and_class_has_an_example() -> None:
    assert PUBLIC.keys() - EXAMPLES.keys() == UNFINISHED


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_short(name: str) -> None:
    lines = [line for line in EXAMPLES[name].splitlines() if line]
    assert 2 <= len(lines) <= 8
    assert max(map(len, lines)) <= 105


def test_names_with_needs_are_public() -> None:
    assert NEEDS.keys() <= PUBLIC.keys()


def test_no_example_is_of_another_form() -> None:
    for name, value in PUBLIC.items():
        text = inspect.cleandoc(value.__doc__ or "")
        assert ">>>" not in text, name
        assert not re.search(r"^Examples:|^Example::", text, re.MULTILINE), name


def test_the_runner_keeps_examples_from_the_network(tmp_path: Path) -> None:
    code = "import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=1)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", _RUNNER, str(tmp_path)],
        input=json.dumps({"one": code}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "may not reach 192.0.2.1" in json.loads((tmp_path / "one.json").read_text("utf-8"))["error"]
