"""Real runs of TRL's GRPOTrainer on a two-layer random model."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from me2sdk.errors import ConfigurationError
from me2sdk.train import GRPOConfig, GRPOReport, Progress, train_grpo
from me2sdk.train.config import load_config, shipped_configs

pytest.importorskip("trl")
pytest.importorskip("peft")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from support.tiny_policy import tiny_policy

    return tiny_policy(tmp_path_factory.mktemp("policy"))


@pytest.fixture
def tiny(policy: Path, tmp_path: Path) -> Any:
    def settings(*overrides: str) -> GRPOConfig:
        own = [f"model={policy}", f"output={tmp_path / 'run'}"]
        return load_config("tiny", "grpo", GRPOConfig, [*own, *overrides])

    return settings


@pytest.fixture
def digits(tmp_path: Path) -> str:
    """Questions whose answer is whatever digit the policy happens to write, so that some rewards are 1."""
    path = tmp_path / "digits.jsonl"
    rows = [{"prompt": f"Write {n}.", "answer": str(n % 10)} for n in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("alpha", [0.0, 0.2])
def test_a_run_writes_weights_curves_and_a_report(tiny: Any, tmp_path: Path, alpha: float) -> None:
    told: list[Progress] = []
    report = train_grpo(tiny(f"reward.alpha={alpha}"), on_progress=told.append)
    folder = tmp_path / "run"
    assert (report.steps, report.prompts, report.left_out, report.resumed_from) == (2, 20, 0, None)
    assert [point["step"] for point in report.curve] == [one.record["step"] for one in told] == [1, 2]
    assert [one[:3] for one in told] == [("training", 1, 2), ("training", 2, 2)]
    assert [one.step for one in report.held_out] == [0, 2]
    for point in report.curve:
        assert point["length"] == 8
        assert point["clipped"] == 1
        assert point["r_v"] == point["r"] == 0  # random bytes hold no answer
    assert GRPOReport.model_validate_json((folder / "report.json").read_text()) == report
    with (folder / "curve.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2"]
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "model.safetensors").stat().st_size > 100_000
    assert len((folder / "log.jsonl").read_text().splitlines()) == 2
    assert train_grpo(tiny(f"reward.alpha={alpha}")) == report  # at once


def test_rewards_move_the_weights_and_adapters_are_saved(
    tiny: Any, tmp_path: Path, digits: str, monkeypatch: Any
) -> None:
    """Every completion counts as right here, with thinking rewards that differ."""
    from me2sdk.train.rewards import gated

    async def right(*args: Any, **kwargs: Any) -> Any:
        from me2sdk.schema import Verification

        return Verification(outcome="right", method="text", answer="1", reference="1")

    monkeypatch.setattr(gated, "averify_answer", right)
    data = [f"dataset={digits}", "reference_column=answer", "held_out=null", "lora.r=4", "lora.layers=[1]"]
    report = train_grpo(tiny(*data, "instruction=Now.", "system=Be quick."))
    assert report.prompts == 12
    for point in report.curve:
        assert point["r_v"] == 1
        assert point["r"] is not None
        assert 0.8 <= point["r"] <= 1
        assert point["r_std"] is not None
        assert point["r_std"] > 0
        assert point["r_t"] is not None
    assert (tmp_path / "run" / "adapter_model.safetensors").is_file()
    from safetensors.torch import load_file

    weights = load_file(tmp_path / "run" / "adapter_model.safetensors")
    assert any(weight.abs().max() > 0 for name, weight in weights.items() if "lora_B" in name)
    assert all("layers.1." in name for name in weights)


def test_a_run_goes_on_where_it_stopped(tiny: Any, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(progress: Progress) -> None:
        if progress.done == 3:
            raise Killed

    whole = train_grpo(tiny("steps=4", f"output={tmp_path / 'whole'}"))
    with pytest.raises(Killed):
        train_grpo(tiny("steps=4"), on_progress=kill)
    with (tmp_path / "run" / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "half')
    resumed = train_grpo(tiny("steps=4"))
    assert resumed.resumed_from == 2
    own = {"output", "seconds", "resumed_from"}
    assert resumed.model_dump(exclude=own) == whole.model_dump(exclude=own)
    raised = train_grpo(tiny("steps=5"))
    assert (raised.resumed_from, raised.steps, raised.curve[:4]) == (4, 5, whole.curve)
    with pytest.raises(ConfigurationError, match=r"other settings \(reward.alpha: 0.2 -> 0.5\)"):
        train_grpo(tiny("steps=4", "reward.alpha=0.5"))


def test_a_run_whose_completions_are_all_cut_stops(tiny: Any) -> None:
    with pytest.raises(ConfigurationError, match="Raise max_completion_length"):
        train_grpo(tiny("max_clipped=0.9", "steps=5", "held_out=null"))


def test_long_prompts_are_left_out_and_counted(tiny: Any, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    rows = [{"question": "x" * (10 if n % 2 else 900), "reference": 4} for n in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = [f"dataset={path}", "held_out=null", "steps=1"]
    report = train_grpo(tiny(*data, "max_prompt_length=100"))
    assert (report.prompts, report.left_out) == (4, 4)
    with pytest.raises(ConfigurationError, match="All 8 prompts have more than"):
        train_grpo(tiny(*data, "max_prompt_length=2", f"output={tmp_path / 'other'}"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("generations=3", "do not fit each other"),
        ("model=./no/such/folder", "no/such/folder"),
        ("reward.scorer=null", "alpha above 0 needs a scorer"),
        ("reward.alpha=2", "reward.alpha"),
        ("typo=1", "typo: unknown"),
        ("lora.targets=[nowhere]", "linear layers are down_proj"),
    ],
)
def test_settings_that_cannot_work(tiny: Any, override: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        train_grpo(tiny(override))


def test_a_damaged_settings_file(tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.json").write_text("{")
    with pytest.raises(ConfigurationError, match="damaged"):
        train_grpo(tiny())


def test_shipped_configs_are_whole() -> None:
    assert shipped_configs("grpo") == ["paper", "small", "tiny"]
    paper = load_config("paper", "grpo", GRPOConfig)
    assert (paper.learning_rate, paper.generations, paper.temperature, paper.steps) == (5e-7, 8, 1.0, 300)
    assert (paper.clip, paper.dual_clip, paper.kl_beta, paper.entropy_coef) == (0.3, 10, 1e-4, 1e-3)
    assert (paper.max_prompt_length, paper.max_completion_length, paper.reward.alpha) == (2048, 8192, 0.2)
    on_eight = paper.batch_size * 8
    assert on_eight * paper.gradient_accumulation / paper.generations == 128
    assert paper.steps_per_generation is not None
    assert on_eight * paper.steps_per_generation / paper.generations == 512
    load_config("small", "grpo", GRPOConfig)
