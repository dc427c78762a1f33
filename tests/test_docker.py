"""What the Dockerfile says fits the package; no image is built here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from support.needs import needs

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", "")


def _json(instruction: str) -> list[str]:
    found: list[str] = json.loads(re.findall(rf"{instruction} (\[.*\])", TEXT)[-1])
    return found


def test_the_build_gets_what_it_copies_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in lines
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = [
        re.sub(r"--\S+ ", "", line).split()[:-1] for line in re.findall(r"^COPY (?!--from)(.*)", TEXT, re.M)
    ]
    assert {name for names in copied for name in names} == allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_it_does_not_run_as_root_and_no_key_is_baked_in() -> None:
    last = TEXT.rpartition("\nFROM ")[2]
    assert re.search(r"^USER \d{4,}$", last, re.M)
    assert not re.search(r"^(ENV|ARG) .*(KEY|TOKEN|SECRET)", TEXT, re.M)


def test_it_installs_the_locked_versions_on_a_python_that_is_supported() -> None:
    assert "-c requirements/lock.txt '.[server]'" in TEXT
    [version] = set(re.findall(r"^FROM python:(\S+)-slim", TEXT, re.M))
    assert f"Python :: {version}" in (ROOT / "pyproject.toml").read_text("utf-8")
    assert f"lib/python{version}/" in TEXT


@needs("starlette", "uvicorn", "prometheus_client")
def test_the_entry_point_serves_and_the_health_check_finds_it() -> None:
    command = [{"0.0.0.0": "127.0.0.1", "8000": "0"}.get(word, word) for word in _json("ENTRYPOINT")]
    program = [sys.executable, "-m", "me2sdk.cli", *command[1:]]
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with subprocess.Popen(program, env=environment, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            port = next(
                found[1] for line in running.stderr if (found := re.search(r"http://127.0.0.1:(\d+)", line))
            )
            check = [word.replace(":8000/", f":{port}/") for word in _json("CMD")]
            assert "8000" not in check[-1]
            done = subprocess.run([sys.executable, *check[1:]], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
        finally:
            running.terminate()
    done = subprocess.run([sys.executable, *check[1:]], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0  # nobody is there any more
