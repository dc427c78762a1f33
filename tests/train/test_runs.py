"""What runs of training share: the log, checkpoints, settings and reports."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("transformers", reason="needs the extra [train]")

from me2sdk.errors import ConfigurationError
from me2sdk.train import Progress, RewardModelConfig
from me2sdk.train._runs import (
    LogFile,
    StepLog,
    complete_checkpoint,
    read_report,
    read_settings,
    refuse_other_settings,
    write_json,
    write_report,
)


def state(step: int, *, first: bool = True) -> Any:
    return SimpleNamespace(global_step=step, max_steps=9, is_world_process_zero=first)


def test_half_a_checkpoint_is_passed_over(tmp_path: Path) -> None:
    assert complete_checkpoint(tmp_path / "none") is None
    for step, state in ((9, "{}"), (10, '{"half'), (11, None), ("x", "{}")):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    assert complete_checkpoint(tmp_path) == tmp_path / "checkpoint-9"


def log(path: Path, *steps: int, start: int = 0) -> list[Progress]:
    told: list[Progress] = []
    file = LogFile(path, told.append)
    with file:
        file.on_train_begin(None, state(start), None)
        for step in steps:
            file.on_log(None, state(step), None, {"loss": 1.0 / step, "grad_norm": None})
    file.on_log(None, state(99), None, {"eval_loss": 1.0})  # after the end: of the whole run
    return told


def test_a_log_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    told = log(path, 1, 2, 3, 4)
    assert [one[:3] for one in told] == [("training", step, 9) for step in (1, 2, 3, 4)]
    assert told[1].record["loss"] == 0.5
    assert "grad_norm" not in told[1].record
    before = path.read_bytes().splitlines(keepends=True)
    with path.open("ab") as file:
        file.write(b'{"step": 5, "half')
    log(path, 3, start=2)
    after = path.read_bytes().splitlines(keepends=True)
    assert after[:2] == before[:2]
    assert [json.loads(line)["step"] for line in after] == [1, 2, 3]


def test_processes_beside_the_first_know_the_records_and_write_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log(path, 1, 2)
    with path.open("ab") as file:
        file.write(b'{"half')
    before = path.read_bytes()
    with StepLog(path) as other:
        other.on_train_begin(None, state(1, first=False), None)
        assert [record["step"] for record in other.records] == [1]
        other.append({"step": 2})
        assert len(other.records) == 2
    assert path.read_bytes() == before


def test_a_log_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"text": "notes"}\n')
    with pytest.raises(ConfigurationError, match="no run wrote"):
        StepLog(path).on_train_begin(None, state(0), None)
    assert path.read_text() == '{"text": "notes"}\n'


def test_settings_and_reports_of_a_run(tmp_path: Path) -> None:
    assert read_settings(tmp_path) is None
    assert read_report(tmp_path, RewardModelConfig) is None
    write_json(tmp_path / "settings.json", {"lora": {"r": 4}, "seed": 0})
    before = read_settings(tmp_path)
    assert before == {"lora": {"r": 4}, "seed": 0}
    refuse_other_settings(tmp_path, before, {"seed": 0, "lora": {"r": 4}})
    with pytest.raises(ConfigurationError, match=r"other settings \(lora\.r: 4 -> 8\)"):
        refuse_other_settings(tmp_path, before, {"seed": 0, "lora": {"r": 8}})
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(ConfigurationError, match="damaged"):
        read_settings(tmp_path)
    report = RewardModelConfig(base="b", output="o", train=["t"])
    write_report(tmp_path, report)
    assert read_report(tmp_path, RewardModelConfig) == report
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "settings.json"]
