"""Each file that ships and is no code is listed with its source and licence."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIST = (ROOT / "me2sdk" / "data" / "README.md").read_text("utf-8")
KNOWN = ("Apache-2.0", "MIT", "CC-BY-4.0")


def _rows() -> list[list[str]]:
    lines = [line for line in LIST.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def _patterns(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def _shipped() -> list[str]:
    """Files of the wheel that are no code, named from its folder me2sdk."""
    names = []
    for folder, target in {"me2sdk": "", "adapters": "adapters/", "train": "train/"}.items():
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and file.suffix != ".py" and "__pycache__" not in file.parts:
                names.append(target + file.relative_to(ROOT / folder).as_posix())
    return names


@pytest.mark.parametrize("name", _shipped())
def test_each_file_that_ships_has_a_source_and_a_licence(name: str) -> None:
    found = [row for row in _rows() if any(fnmatchcase(name, pattern) for pattern in _patterns(row[0]))]
    assert found, f"me2sdk/data/README.md does not list {name}"
    for _, what, source, licence in found:
        assert what
        assert source
        assert any(known in licence for known in KNOWN), licence


def test_nothing_is_listed_that_does_not_ship() -> None:
    for pattern in (pattern for row in _rows() for pattern in _patterns(row[0])):
        assert any(fnmatchcase(name, pattern) for name in _shipped()), pattern


def test_the_notice_names_who_wrote_data_that_ships() -> None:
    notice = " ".join((ROOT / "NOTICE").read_text("utf-8").split())
    sources = [source for _, _, source, _ in _rows()]
    for name in ("StrictPRMBench", "ZeroEval", "reasoning-gym-eval", "grade-school-math", "champ-dataset"):
        assert name in notice
        assert any(name in source for source in sources)
    for holder in re.findall(r"© ([^|]+?) \|", LIST):
        assert f"Copyright {holder}" in notice
