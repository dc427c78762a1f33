"""``me2 train rm`` and ``me2 quantize`` with a tiny model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra [train]")

from me2sdk.schema import Trace
from me2sdk.testing import tiny_reward_model
from me2sdk.train import Preference, RewardModelConfig, write_preferences
from me2sdk.train.config import load_config, shipped_configs

Me2 = Callable[..., Any]


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    base = tiny_reward_model(tmp_path / "base")
    pairs = tmp_path / "pairs.jsonl"
    write_preferences(
        pairs,
        [
            Preference(question=f"Q{k}", chosen=Trace(reasoning=f"good {k}"), rejected=Trace(reasoning="bad"))
            for k in range(20)
        ],
    )
    values = {"base": base, "train": f"[{pairs}]", "output": tmp_path / "out", "validation": 0.4}
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


@pytest.mark.parametrize("name", shipped_configs("rm"))
def test_shipped_configs_can_be_read(name: str) -> None:
    config = load_config(name, "rm", RewardModelConfig)
    assert config.center_rewards_coefficient == 0.001


def test_the_papers_config_has_its_batch_and_schedule() -> None:
    config = load_config("paper", "rm", RewardModelConfig)
    assert 8 * config.batch_size * config.gradient_accumulation == 192
    assert (config.learning_rate, config.warmup, config.epochs, config.lora) == (1e-6, 0.03, 1, None)


def test_train_then_score_then_quantize(me2: Me2, settings: list[str], tmp_path: Path) -> None:
    done = me2("train", "rm", "tiny", *settings, "--set", "merged=true")
    assert done.code == 0, done.err
    assert "step 4" in done.err
    assert "validation: accuracy" in done.err
    assert "shorter wins" in done.out
    assert done.out.splitlines()[-1] == str(tmp_path / "out")
    again = me2("train", "rm", "tiny", *settings, "--set", "merged=true", "--json")
    assert json.loads(again.out)["steps"] == 4
    changed = me2("train", "rm", "tiny", *settings, "--set", "merged=true", "--set", "seed=1")
    assert (changed.code, "seed: 0 -> 1" in changed.err) == (2, True)

    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"question": "Q1", "candidates": ["good 1", "bad"]}) + "\n")
    ranked = me2("rerank", str(questions), "--scorer", str(tmp_path / "out"), "--json")
    assert (ranked.code, len(json.loads(ranked.out)["result"]["candidates"])) == (0, 2)

    quantized = me2(
        "quantize", str(tmp_path / "out" / "merged"), str(tmp_path / "int8"), "--quantization", "int8"
    )
    assert (quantized.code, quantized.out) == (0, f"{tmp_path / 'int8'}\n")
    assert "14 of 21 tensors in int8" in quantized.err
    assert me2("rerank", str(questions), "--scorer", str(tmp_path / "int8"), "--json").code == 0
    refused = me2("quantize", str(tmp_path / "out" / "merged"), str(tmp_path / "int8"))
    assert (refused.code, "in use" in refused.err) == (2, True)


def test_two_processes_train_one_model(settings: list[str], tmp_path: Path) -> None:
    """As accelerate starts it on several GPUs: gradients are shared, one process writes."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*launch, "-m", "me2sdk.cli", "train", "rm", "tiny", *settings, "--json"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=600,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = done.stdout.strip().splitlines()
    report = json.loads(line)
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    # Two pairs a process and step.
    assert log[0]["epoch"] == pytest.approx(4 / report["train_pairs"], abs=0.05)
    # Each validation pair is counted once, in its own place.
    assert report["validation"]["pairs"] == report["validation_pairs"]
    (best,) = [line for line in log if "eval_loss" in line and line["step"] == report["best_step"]]
    assert report["validation"]["accuracy"] == pytest.approx(best["eval_accuracy"])
