from __future__ import annotations

from pathlib import Path

import pytest

from me2sdk import ConfigurationError
from me2sdk.train.evaluate.journal import Journal


def test_results_come_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.jsonl"
    with Journal(path) as journal:
        assert journal.begin("a", {"seed": 1}) == {}
        journal.put("a", {"x": [1.5], "y": [2.5]})
        journal.put("a", {})
        journal.begin("b", {})
        journal.put("b", {"x": "other"})
    assert len(path.read_text().splitlines()) == 2
    with Journal(path) as journal:
        assert journal.begin("a", {"seed": 1}) == {"x": [1.5], "y": [2.5]}
        assert journal.begin("b", {}) == {"x": "other"}
        assert journal.begin("c", {}) == {}


def test_half_a_line_from_a_kill_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with Journal(path) as journal:
        journal.begin("a", {})
        journal.put("a", {"x": 1})
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    with Journal(path) as journal:
        assert journal.begin("a", {}) == {"x": 1}
        journal.put("a", {"y": 2})
    with Journal(path) as journal:
        assert journal.begin("a", {}) == {"x": 1, "y": 2}


def test_changed_settings_are_refused_and_told(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with Journal(path) as journal:
        journal.begin("a", {"params": {"temperature": 0.5}, "same": (1, 2)})
        journal.put("a", {"x": 1})
    with Journal(path) as journal:
        with pytest.raises(
            ConfigurationError, match=r"of a with other settings \(params.temperature: 0.5 -> 0.7\)"
        ):
            journal.begin("a", {"params": {"temperature": 0.7}, "same": (1, 2)})
        assert journal.begin("a", {"params": {"temperature": 0.5}, "same": (1, 2)}) == {"x": 1}
        assert journal.begin("another", {"params": {}}) == {}


@pytest.mark.parametrize("line", ["{}", "[]", "x", '{"by": "a", "settings": {}, "results": 3}'])
def test_other_files_are_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ConfigurationError, match="no measurement wrote"):
        Journal(path)
    assert path.read_text() == line + "\n"


def test_without_a_file_nothing_is_written() -> None:
    with Journal(None) as journal:
        found = journal.begin("a", {})
        journal.put("a", {"x": 1})
        assert found == {"x": 1}
