from __future__ import annotations

import json
from pathlib import Path

import pytest

from me2sdk import ConfigurationError
from me2sdk._jsonl import JsonlWriter, read_jsonl


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_resume_keeps_what_is_done_and_cuts_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with JsonlWriter(path, {"scorer": "mini"}) as writer:
        assert writer.find(1, '{"a": 1}') is None
        first = writer.write(1, '{"a": 1}', {"score": 0.5})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"line": 2, "inp')
    with JsonlWriter(path, {"scorer": "mini"}) as again:
        assert again.find(1, '{"a": 1}\n') == first
        assert again.find(2, "x") is None
        again.write(2, "x", {"score": 1.0})
    assert path.read_bytes().startswith(whole)
    assert [record["line"] for record in records(path)] == [1, 2]


def test_other_settings_are_refused_with_the_difference(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with JsonlWriter(path, {"scorer": "mini", "select": "best"}) as writer:
        writer.write(1, "x", {})
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="select: 'best' -> 'vote'"):
        JsonlWriter(path, {"scorer": "mini", "select": "vote"})
    assert path.read_bytes() == before


def test_changed_input_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with JsonlWriter(path, {}) as writer:
        writer.write(1, "x", {})
    with JsonlWriter(path, {}) as writer, pytest.raises(ConfigurationError, match="Line 1"):
        writer.find(1, "y")
    foreign = tmp_path / "foreign.jsonl"
    foreign.write_text('{"question": 1}\n')
    with pytest.raises(ConfigurationError, match="did not write"):
        JsonlWriter(foreign, {})
    assert foreign.read_text() == '{"question": 1}\n'


def test_read_skips_blank_lines_and_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"a": 1}\n\n  \n{"b": "\xff"}')
    assert [(number, line.strip()) for number, line in read_jsonl(str(path))] == [
        (1, '{"a": 1}'),
        (4, '{"b": "�"}'),
    ]
    with pytest.raises(ConfigurationError, match="Cannot read"):
        list(read_jsonl(str(tmp_path / "none.jsonl")))


def test_a_byte_order_mark_and_windows_line_ends_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"b": 2}\r\n\xef\xbb\xbf\n')
    assert [(number, json.loads(line)) for number, line in read_jsonl(str(path))] == [
        (1, {"a": 1}),
        (3, {"b": 2}),
    ]


def test_fields_of_a_row_do_not_stand_for_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with JsonlWriter(path, {"scorer": "mini"}) as writer:
        writer.write(1, "a line", {"input": "of the row", "settings": 3, "line": 9, "score": 0.5})
    with JsonlWriter(path, {"scorer": "mini"}) as again:
        assert again.find(1, "a line") is not None
        assert again.done[1]["score"] == 0.5


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"Cannot write .*No such file or directory"):
        JsonlWriter(tmp_path / "missing" / "out.jsonl", {})
