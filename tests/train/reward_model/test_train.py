"""Training a reward model end to end, with real tiny models on the CPU."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra [train]")

from safetensors.torch import load_file

from me2sdk import TRMScorer
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Trace
from me2sdk.testing import tiny_reward_model
from me2sdk.train import (
    LoraConfig,
    Preference,
    Progress,
    RewardModelConfig,
    train_reward_model,
    write_preferences,
)

LORA = LoraConfig(r=4, alpha=8)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_reward_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs that differ in one letter, so that they can be told apart."""
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    write_preferences(
        path,
        [
            Preference(
                question=f"What is {k} + {k}?",
                chosen=Trace(reasoning=f"{k} and {k} " + "g" * (k % 5 + 3)),
                rejected=Trace(reasoning=f"{k} and {k} " + "b" * (k % 4 + 3)),
                category="even" if k % 2 == 0 else "odd",
            )
            for k in range(48)
        ],
    )
    return path


Make = Callable[..., RewardModelConfig]


@pytest.fixture
def make(base: Path, pairs: Path, tmp_path: Path) -> Make:
    def config(**changes: Any) -> RewardModelConfig:
        settings: dict[str, Any] = {
            "base": str(base),
            "output": str(tmp_path / "out"),
            "train": [str(pairs)],
            "validation": 0.3,
            "max_steps": 6,
            "learning_rate": 3e-3,
            "batch_size": 4,
            "dtype": "float32",
            "eval_steps": 2,
            "save_steps": 1,
            "log_steps": 1,
            **changes,
        }
        return RewardModelConfig.model_validate(settings)

    return config


def sides(path: Path) -> list[tuple[str, str]]:
    """Question and trace of every side in a file of pairs."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        (r["prompt"][0]["content"], r[side][0]["content"]) for r in records for side in ("chosen", "rejected")
    ]


@pytest.mark.parametrize("lora", [None, LORA])
def test_a_toy_that_can_be_told_apart_is_learnt(make: Make, pairs: Path, lora: LoraConfig | None) -> None:
    config = make(
        lora=lora and lora.model_dump(), max_steps=40, eval_steps=20, save_steps=20, learning_rate=5e-3
    )
    report = train_reward_model(config)
    assert report.validation is not None
    assert report.validation.accuracy == 1.0
    assert report.train_pairs + report.validation_pairs == 48
    assert report.curve[-1].loss < report.curve[0].loss or report.curve[-1].loss < 0.05
    assert {name: found.accuracy for name, found in report.by_category.items()} == {"even": 1.0, "odd": 1.0}
    questions, traces = zip(*sides(pairs), strict=True)
    scores = TRMScorer(config.output).score(list(questions), list(traces))
    assert all(chosen > rejected for chosen, rejected in zip(scores[::2], scores[1::2], strict=True))


class Killed(Exception):
    pass


def kill_at(step: int) -> Callable[[Progress], None]:
    def stop(progress: Progress) -> None:
        if progress.record["step"] == step:
            raise Killed

    return stop


def weights(output: str | Path) -> dict[str, Any]:
    (file,) = Path(output).glob("*model.safetensors")
    return dict(load_file(file))


@pytest.mark.parametrize("lora", [None, {"r": 4, "alpha": 8, "dropout": 0.2}])
def test_a_resumed_run_ends_as_an_undisturbed_one(
    make: Make, tmp_path: Path, lora: dict[str, Any] | None
) -> None:
    whole = make(lora=lora, output=str(tmp_path / "whole"), max_steps=12)  # more than one pass over the pairs
    expected = train_reward_model(whole)
    assert expected.resumed_from is None
    config = make(lora=lora, max_steps=12)
    for step in (4, 11):
        with pytest.raises(Killed):
            train_reward_model(config, on_progress=kill_at(step))
    # A kill while a checkpoint is written leaves half of one.
    half = shutil.copytree(
        Path(config.output, "checkpoints", "checkpoint-10"),
        Path(config.output, "checkpoints", "checkpoint-11"),
    )
    (half / "trainer_state.json").write_text('{"best')
    with Path(config.output, "log.jsonl").open("a") as log:
        log.write('{"step": 11, "lo')
    report = train_reward_model(config)
    assert report.resumed_from == 10
    assert report.curve == expected.curve
    before, after = weights(whole.output), weights(config.output)
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)
    steps = [json.loads(line)["step"] for line in Path(config.output, "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert [step for step in steps if steps.count(step) == 1] == [1, 3, 5, 7, 9, 11]
    best = max(report.curve, key=lambda point: point.accuracy)
    assert report.best_step == best.step
    assert report.validation is not None
    assert report.validation.accuracy == pytest.approx(best.accuracy)


def test_a_finished_run_is_not_done_again_and_other_settings_are_refused(make: Make) -> None:
    config = make(max_steps=2)
    report = train_reward_model(config)
    told: list[Progress] = []
    assert train_reward_model(config, on_progress=told.append) == report
    assert told == []
    with pytest.raises(ConfigurationError, match=r"other settings \(learning_rate: 0\.003 -> 0\.1\)"):
        train_reward_model(make(max_steps=2, learning_rate=0.1))


def test_a_changed_setting_inside_another_is_named_alone(make: Make) -> None:
    lora = {"r": 4, "alpha": 8}
    train_reward_model(make(lora=lora, max_steps=1))
    with pytest.raises(ConfigurationError, match=r"other settings \(lora\.r: 4 -> 2\)"):
        train_reward_model(make(lora={**lora, "r": 2}, max_steps=1))


def test_changed_data_is_refused(make: Make, pairs: Path, tmp_path: Path) -> None:
    data = shutil.copy(pairs, tmp_path / "pairs.jsonl")
    config = make(train=[str(data)])
    with pytest.raises(Killed):
        train_reward_model(config, on_progress=kill_at(2))
    data.write_text("".join(data.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(ConfigurationError, match="started on other pairs"):
        train_reward_model(config)


def logits(output: str | Path, texts: list[str]) -> list[float]:
    """What transformers' own classifier gives, one text at a time."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(output)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(output)
    with torch.inference_mode():
        return [float(model(**tokenizer(text, return_tensors="pt")).logits) for text in texts]


def test_an_adapter_scores_as_the_trainers_model_and_its_merged_checkpoint(
    make: Make, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from me2sdk.train.reward_model import run

    trained: list[dict[str, float]] = []
    original = run.export

    def watch(trainer: Any, *arguments: Any) -> None:
        rows = list(trainer.eval_dataset)
        trained.append({str(row["chosen_ids"]): 0.0 for row in rows})
        for row, margin in zip(rows, trainer.margins.tolist(), strict=True):
            trained[0][str(row["chosen_ids"])] = margin
        original(trainer, *arguments)

    monkeypatch.setattr(run, "export", watch)
    config = make(lora={"r": 4, "alpha": 8, "layers": [1]}, merged=True, base_name="tests/tiny")
    train_reward_model(config)
    adapter = json.loads(Path(config.output, "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == "tests/tiny"
    assert not [name for name in weights(config.output) if ".layers.0." in name]
    questions, traces = map(list, zip(*sides(pairs), strict=True))
    scorer = TRMScorer(config.output, base=config.base)
    scores = scorer.score(questions, traces)
    assert scores == pytest.approx(TRMScorer(f"{config.output}/merged").score(questions, traces), abs=1e-5)
    texts = [f"{question}\n{trace}" for question, trace in zip(questions, traces, strict=True)]
    assert scores == pytest.approx(logits(f"{config.output}/merged", texts), abs=1e-5)
    import transformers

    ids = transformers.AutoTokenizer.from_pretrained(config.output)(texts[::2])["input_ids"]
    margins = {
        str(row): chosen - rejected
        for row, chosen, rejected in zip(ids, scores[::2], scores[1::2], strict=True)
    }
    assert trained[0] == pytest.approx({row: margins[row] for row in trained[0]}, abs=1e-5)


def test_adapters_beside_a_base_in_four_bits(
    make: Make, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bitsandbytes", reason="needs the extra [local]")
    import torch

    from me2sdk.train.reward_model import run

    seen: list[Any] = []
    original = run.export

    def watch(trainer: Any, *arguments: Any) -> None:
        seen.append(trainer)
        original(trainer, *arguments)

    monkeypatch.setattr(run, "export", watch)
    lora = {"r": 4, "alpha": 8, "targets": ["q_proj"]}
    config = make(lora=lora, quantization="nf4", dtype="bfloat16", max_steps=2, merged=True)
    report = train_reward_model(config)
    kinds = {type(module).__name__ for module in seen[0].model.modules()}
    assert "Linear4bit" in kinds
    trained = [p.dtype for p in seen[0].model.parameters() if p.requires_grad]
    assert set(trained) == {torch.float32}
    assert report.trainable == 2 * 4 * (64 + 64) + 64
    assert "quantization_config" not in json.loads(Path(config.output, "config.json").read_text())
    questions, traces = map(list, zip(*sides(pairs), strict=True))
    in_four_bits = TRMScorer(config.output, base=config.base, quantization="nf4").score(questions, traces)
    whole = TRMScorer(f"{config.output}/merged").score(questions, traces)
    assert max(abs(a - b) for a, b in zip(in_four_bits, whole, strict=True)) < max(whole) - min(whole)


def test_the_card_tells_what_was_measured(make: Make, tmp_path: Path) -> None:
    config = make()
    report = train_reward_model(config)
    card = Path(config.output, "README.md").read_text()
    assert report.validation is not None
    assert f"| all | {report.validation_pairs} | {report.validation.accuracy:.3f} |" in card
    assert "| train | pairs.jsonl | even |" in card
    assert '"learning_rate": 0.003' in card
    assert str(tmp_path) not in card.replace(config.base, "")
    assert Path(config.output, "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_package_is_named_before_anything_is_done(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "matplotlib" else find(name, *rest)
    )
    config = make()
    with pytest.raises(ConfigurationError, match=r'needs matplotlib\. Run: pip install "me2sdk\[train\]"'):
        train_reward_model(config)
    assert not Path(config.output).exists()
