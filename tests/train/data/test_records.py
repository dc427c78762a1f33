from __future__ import annotations

from pathlib import Path

import pytest
from support.needs import needs

from me2sdk.errors import ConfigurationError
from me2sdk.train.data import read_records
from me2sdk.train.data.records import pyarrow_parquet


@needs("datasets")
def test_records_of_each_kind_of_file_come_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"n": 1}\n\n{"n": 2}\n')
    assert [(place.partition(" of")[0], record) for place, record in read_records(tmp_path / "a.jsonl")] == [
        ("Line 1", {"n": 1}),
        ("Line 3", {"n": 2}),
    ]
    arrow, parquet = pyarrow_parquet()
    parquet.write_table(arrow.Table.from_pylist([{"n": 1}, {"n": 2}]), tmp_path / "train.parquet")
    for source in (tmp_path / "train.parquet", tmp_path):  # a folder is a data set
        assert [record for _, record in read_records(source)] == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"n": 1}\n{', "Line 2 of .* is not JSON"),
        ("a.jsonl", "[1]\n", "Line 1 of .* is not a JSON object"),
        pytest.param("a.parquet", "no parquet", "Cannot read", marks=needs("pyarrow")),
        ("b.jsonl", None, "Cannot read"),
        pytest.param("b.parquet", None, "Cannot read", marks=needs("pyarrow")),
        pytest.param(
            "nothing", None, "neither a .jsonl or .parquet file nor a data set", marks=needs("datasets")
        ),
    ],
)
def test_what_cannot_be_read_is_said(name: str, content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        list(read_records(tmp_path / name))


def test_files_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"n": 1}\r\n{"n": 2}\r\n')
    assert [record for _, record in read_records(path)] == [{"n": 1}, {"n": 2}]
