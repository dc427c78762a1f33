"""What is imported is declared, what is declared is imported, and what `make` installs is locked."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
GROUPS = PYPROJECT["dependency-groups"]  # for people who work on me2sdk; they do not ship
OTHER_NAMES = {
    "agents": "openai-agents",
    "llama-index": "llama-index-core",
    "mlflow": "mlflow-tracing",
    "openai": "openai-agents",  # which is built on it
    "opentelemetry": "opentelemetry-api",
    "pydantic-ai": "pydantic-ai-slim",
    "yaml": "pyyaml",
}
"""Distributions by the name that is imported, where the two differ."""
NOT_IMPORTED = {
    "accelerate": "transformers places weights on devices by it",
    "verl": "it imports our reward function, not we it",
}


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _declared() -> set[str]:
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    return {_name(line) for line in PROJECT["dependencies"] + extras} - {"me2sdk"}


def _grouped() -> list[str]:
    """The requirements of all groups, each where it stands itself."""
    return [line for lines in GROUPS.values() for line in lines if isinstance(line, str)]


def _imported() -> dict[str, str]:
    """Distribution by distribution, one file that imports it."""
    found: dict[str, str] = {}
    for folder in ("me2sdk", "adapters", "train"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                    names = [node.module]
                for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"me2sdk"}:
                    name = name.replace("_", "-")
                    found[OTHER_NAMES.get(name, name)] = str(file.relative_to(ROOT))
    return found


def test_what_is_imported_is_declared() -> None:
    undeclared = {name: file for name, file in _imported().items() if name not in _declared()}
    assert undeclared == {}


def test_what_is_declared_is_imported() -> None:
    assert _declared() - set(_imported()) == set(NOT_IMPORTED)


def test_the_base_package_and_its_extras_are_as_the_metadata_says(tmp_path: Path) -> None:
    # Away from the checkout, where an older build may have left metadata of its own.
    code = "import json; from me2sdk.cli.doctor import declared; print(json.dumps(declared()))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    core, extras = json.loads(done.stdout)
    assert core == sorted(_name(line) for line in PROJECT["dependencies"])
    wanted = {
        extra: sorted(_name(line) for line in lines if _name(line) != "me2sdk")
        for extra, lines in PROJECT["optional-dependencies"].items()
    }
    assert extras == {extra: names for extra, names in wanted.items() if names}


def test_the_package_itself_asks_for_lower_bounds_alone() -> None:
    extras = PROJECT["optional-dependencies"].values()
    for line in [*PROJECT["dependencies"], *(line for lines in extras for line in lines), *_grouped()]:
        assert "==" not in line
        assert _name(line) == "me2sdk" or ">=" in line, line


@pytest.mark.parametrize("file", ["lock.txt", "peers.txt", "release.txt", "verl.txt"])
def test_the_lock_is_exact_and_names_no_index(file: str) -> None:
    lines = (ROOT / "requirements" / file).read_text(encoding="utf-8").splitlines()
    assert len(lines) > 50
    for line in lines:
        assert re.fullmatch(r"[\w.-]+==[\w.+!]+( ; .+)?", line), line


def test_the_lock_holds_all_that_is_declared() -> None:
    lock = {
        _name(line) for line in (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8").splitlines()
    }
    for extra, lines in PROJECT["optional-dependencies"].items():
        if extra != "verl":  # which asks for an older transformers: requirements/verl.txt
            assert {_name(line) for line in lines} - {"me2sdk"} <= lock
    assert {_name(line) for line in [*PROJECT["dependencies"], *_grouped()]} <= lock
    assert "pip" in lock  # the one that reads groups


def test_the_tools_of_this_repository_do_not_ship() -> None:
    assert not set(GROUPS) & set(PROJECT["optional-dependencies"])
    assert {_name(line) for line in _grouped()} >= {"pytest", "ruff", "mypy", "mkdocs"}
    assert not {"pytest", "ruff", "mypy", "mkdocs"} & _declared()


def test_each_group_and_extra_that_make_installs_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"--group ([\w-]+)", makefile)) == set(GROUPS) - {"docs"}  # which test includes
    named = {extra for found in re.findall(r"\.\[([\w,-]+)\]", makefile) for extra in found.split(",")}
    assert named == set(re.findall(r"--extra ([\w-]+)", makefile))
    assert named <= set(PROJECT["optional-dependencies"])
