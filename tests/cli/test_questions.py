"""Questions from files of all kinds."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest
from support.needs import needs

from me2sdk import ConfigurationError, InvalidTraceError
from me2sdk.cli.questions import Row, check_field, question_of, read_rows

RECORDS = [{"question": "2, 3?", "n": 1}, {"question": "Übung “4”?", "n": 2}]


def rows(source: Path | str, split: str = "train") -> list[Any]:
    found = list(read_rows(str(source), split, None))
    assert [row.number for row in found] == list(range(1, len(found) + 1))
    return [json.loads(row.text) for row in found]


def test_jsonl_keeps_its_lines_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"question": 1}\n\n{broken\n')
    assert list(read_rows(str(path), "train", None)) == [Row(1, '{"question": 1}\n'), Row(3, "{broken\n")]


def test_csv_with_quotes_a_byte_order_mark_and_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes('\ufeffquestion,n\r\n"2, 3?",1\r\n"a\r\nb",\r\n'.encode())
    assert rows(path) == [{"question": "2, 3?", "n": "1"}, {"question": "a\r\nb", "n": ""}]


def test_a_comma_without_quotes_is_not_half_a_question(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("question,n\nWhat is 2, 3?,1\n")
    with pytest.raises(ConfigurationError, match=r"begins with 'What is 2' has more cells.*quotes"):
        rows(path)
    path.write_text("question\n" + "x" * 200_000 + "\n")
    with pytest.raises(ConfigurationError, match="as JSONL"):
        rows(path)


@needs("pyarrow")
def test_parquet(tmp_path: Path) -> None:
    import datetime

    import pyarrow
    from pyarrow import parquet

    chat = [{"role": "user", "content": "Hi"}]
    table = pyarrow.Table.from_pylist([{"question": chat, "day": datetime.date(2025, 1, 2)}])
    parquet.write_table(table, tmp_path / "in.parquet")
    assert rows(tmp_path / "in.parquet") == [{"question": chat, "day": "2025-01-02"}]


@needs("datasets")
def test_data_sets_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    one = datasets.Dataset.from_list(RECORDS)
    one.save_to_disk(tmp_path / "one")
    assert rows(tmp_path / "one") == RECORDS
    datasets.DatasetDict({"test": one}).save_to_disk(tmp_path / "several")
    assert rows(tmp_path / "several", "test") == RECORDS
    with pytest.raises(ConfigurationError, match="no split 'train'; it has test"):
        rows(tmp_path / "several")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "train.jsonl").write_text("".join(json.dumps(one) + "\n" for one in RECORDS))
    assert rows(tmp_path / "files") == RECORDS


def test_what_is_missing_is_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] in ("datasets", "pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{}")
    for source in ("somebody/questions", str(tmp_path / "saved"), str(tmp_path / "x.parquet")):
        with pytest.raises(ConfigurationError, match=r'pip install "me2sdk\[train\]"'):
            rows(source)


@pytest.mark.parametrize(
    ("name", "word"),
    [("none.csv", "Cannot read"), ("none.jsonl", "Cannot read"), ("notes.txt", "questions come from .jsonl")],
)
def test_other_files_are_refused(tmp_path: Path, name: str, word: str) -> None:
    (tmp_path / "notes.txt").write_text("2 + 2?")
    with pytest.raises(ConfigurationError, match=word):
        rows(tmp_path / name)


@pytest.mark.parametrize("question", [None, "", " ", 5, [], ["x"], {"role": "user"}])
def test_what_is_no_question(question: Any) -> None:
    with pytest.raises(InvalidTraceError, match="needs 'q': a text"):
        question_of({"q": question}, "q")


def test_a_field_that_the_first_row_lacks_is_named_with_those_it_has() -> None:
    with pytest.raises(
        ConfigurationError, match=r"first row of x has no field 'q'; it has 'a', 'b'. Set --question-"
    ):
        check_field("x", Row(1, '{"a": 1, "b": 2}'), "q")
    check_field("x", Row(1, '{"q": 1}'), "q")
    check_field("x", Row(1, "{broken"), "q")  # a fault of this row alone
