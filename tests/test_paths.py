"""A file or a folder is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from me2sdk._paths import atomic_write


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "card.md"
    path.write_text("old")
    (tmp_path / "card.md.part").write_text("left by a kill")
    with atomic_write(path) as draft:
        assert not draft.exists()
        draft.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["card.md"]


def stopped(path: Path, *, folder: bool = False) -> None:
    with atomic_write(path) as draft:
        if folder:
            draft.mkdir()
        (draft / "weights" if folder else draft).write_text("1")
        raise ValueError("half")


def test_what_raises_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "card.md"
    path.write_text("old")
    with pytest.raises(ValueError, match="half"):
        stopped(path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["card.md"]


def test_a_folder_takes_the_place_of_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.mkdir()
    with atomic_write(path) as draft:
        draft.mkdir()
        (draft / "weights").write_text("1")
    assert (path / "weights").read_text() == "1"
    with pytest.raises(ValueError, match="half"):
        stopped(tmp_path / "other", folder=True)
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
