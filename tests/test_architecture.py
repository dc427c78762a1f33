"""The pages for people who change me2sdk name files, functions and floors that exist."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAGES = (ARCHITECTURE, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
FOLDERS = ("me2sdk", "adapters", "train")
FLOORS = {
    contract["containers"][0]: contract["layers"]
    for contract in CONTRACTS
    if contract["type"] == "layers" and contract["containers"][0] in ("me2sdk", "me2sdk.train")
}


def _named(page: Path) -> list[str]:
    """What a page names as code, outside of blocks."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    roots = tuple(f"{path.name}/" for path in ROOT.iterdir() if path.is_dir())
    paths = [name for name in _named(page) if name.startswith(roots) and not re.search(r"[*<> A-Z]", name)]
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_function_that_the_page_names_is_in_its_file() -> None:
    found = re.findall(r"`([A-Za-z_][\w.]*)`\s+in\s+`([\w/]+\.py)`", ARCHITECTURE.read_text("utf-8"))
    assert len(found) > 30
    missing = [f"{name} in {file}" for name, file in found if name not in _defined(ROOT / file)]
    assert missing == []


def _defined(file: Path) -> set[str]:
    if not file.exists():
        return set()
    names: set[str] = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}.{one.name}"
                for one in node.body
                if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))
            }
    return names


def test_the_floors_are_those_that_import_linter_holds() -> None:
    drawn = re.findall(r"^```text\n(.*?)^```$", ARCHITECTURE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert [block.splitlines() for block in drawn] == [FLOORS["me2sdk"], FLOORS["me2sdk.train"]]


@pytest.mark.parametrize("package", FLOORS)
def test_every_room_is_explained(package: str) -> None:
    names = {name.rstrip("/") for name in _named(ARCHITECTURE)}
    for room in (room for floor in FLOORS[package] for room in floor.split(" | ")):
        inside = f"{package.replace('me2sdk.', '')}/{room}"
        assert {room, inside, f"{inside}.py"} & names, room


def _rooms() -> set[str]:
    """Every package inside me2sdk, but for the three that install together."""
    packages = {_module(file.parent) for folder in FOLDERS for file in (ROOT / folder).rglob("__init__.py")}
    return packages - {"me2sdk", "me2sdk.adapters", "me2sdk.train"}


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts if parts[0] == "me2sdk" else ("me2sdk", *parts)).removesuffix(".__init__")


def test_other_rooms_import_from_the_room_and_no_private_name() -> None:
    rooms = _rooms()
    wrong = []
    for file in sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")):
        importer = _module(file)
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("me2sdk"):
                continue
            room = max(
                (room for room in rooms if f"{node.module}.".startswith(f"{room}.")), key=len, default=""
            )
            inside = not room or f"{importer}.".startswith(f"{room}.")
            inside = inside or (importer.startswith("me2sdk.scorers.") and room.startswith("me2sdk.scorers"))
            names = [alias.name for alias in node.names]
            private = [name for name in names if name.startswith("_") and node.module != "me2sdk"]
            if not inside and (node.module != room or private):
                wrong.append(f"{importer}: from {node.module} import {', '.join(names)}")
    assert wrong == []


def test_few_files_stand_outside_of_rooms() -> None:
    def entries(folder: str) -> int:
        return sum(not entry.name.startswith("__pycache__") for entry in (ROOT / folder).iterdir())

    assert sum(entry.is_file() for entry in (ROOT / "me2sdk").iterdir()) <= 14
    assert sum(entry.suffix == ".py" for entry in (ROOT / "train").iterdir()) <= 4
    assert entries("adapters") <= 16


def test_no_row_of_floors_lets_neighbours_import_each_other() -> None:
    rows = [row for contract in CONTRACTS if contract["type"] == "layers" for row in contract["layers"]]
    assert len(rows) > 20
    assert [row for row in rows if ":" in row] == []
