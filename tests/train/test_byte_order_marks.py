"""Files that Windows editors and spreadsheets wrote: a byte order mark first, and lines that end with CRLF."""

from __future__ import annotations

import json
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from support.needs import needs

from me2sdk.cli.io import read_text
from me2sdk.steps import split_steps
from me2sdk.train import CandidateQuestion, read_candidates
from me2sdk.train.data import Preference
from me2sdk.train.grpo import GRPOConfig
from me2sdk.train.grpo.data import training_rows
from recipes.sources import read_gsm8k

BOM = b"\xef\xbb\xbf"


def lines(path: Path, *records: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(BOM + b"".join(json.dumps(record).encode() + b"\r\n" for record in records))
    return path


def test_questions_with_candidates_and_a_reference_that_is_a_number(tmp_path: Path) -> None:
    record = {
        "question": "7 * 6?",
        "candidates": ["#### 42", "#### 41"],
        "reference": 42,
        "answers": [42, 41.5],
    }
    found = list(read_candidates(lines(tmp_path / "a.jsonl", record, record)))
    assert [(type(one), one.reference, one.answers) for one in found] == [
        (CandidateQuestion, "42", ("42", "41.5"))
    ] * 2


@needs("yaml")
@pytest.mark.parametrize("reference", [42, 42.5, "42"])
def test_prompts_of_grpo(tmp_path: Path, reference: Any) -> None:
    path = lines(tmp_path / "a.jsonl", {"question": "7 * 6?", "reference": reference})
    settings = GRPOConfig.model_construct(
        dataset=str(path), prompt_column=None, reference_column="reference", instruction="", system=""
    )
    assert [(row["question"], row["reference"]) for row in training_rows(settings)] == [
        ("7 * 6?", str(reference))
    ]


def test_data_folders(tmp_path: Path) -> None:
    lines(tmp_path / "gsm8k" / "train.jsonl", {"question": "q", "answer": "7 * 6 = 42\n#### 42"})
    assert [solution.answer for solution in read_gsm8k(tmp_path)] == ["42"]


def test_prefix_sets(tmp_path: Path) -> None:
    path = tmp_path / "prefixes.json"
    path.write_bytes(BOM + b'{"prefixes": ["so"]}')
    assert [step.text for step in split_steps("One.\n\nTwo.\n\nSo three.", path)] == [
        "One.\n\nTwo.",
        "So three.",
    ]


def test_text_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trace.txt"
    path.write_bytes(BOM + "<think>ü</think>42".encode())
    assert read_text(str(path)) == "<think>ü</think>42"
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(path.read_bytes())))
    assert read_text("-") == "<think>ü</think>42"


def test_a_side_of_a_pair_may_end_with_messages_of_tools() -> None:
    tool = {"role": "tool", "content": "saved"}
    sides = {
        "prompt": [{"role": "user", "content": "7 * 6?"}],
        "chosen": [{"role": "assistant", "content": "It is 42."}, tool],
        "rejected": [{"role": "assistant", "content": "It is 41."}, tool, tool],
    }
    pair = Preference.from_record(sides)
    assert (pair.chosen.response, pair.rejected.response) == ("It is 42.", "It is 41.")
    with pytest.raises(ValueError, match="no message of the assistant"):
        Preference.from_record({**sides, "chosen": [tool]})
