"""Quantizing checkpoints tensor by tensor, with real small models on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [local]")
pytest.importorskip("bitsandbytes", reason="needs bitsandbytes, from the extra [local]")

from safetensors.torch import load_file, save_file  # noqa: E402

from me2sdk import TRMScorer  # noqa: E402
from me2sdk.errors import ConfigurationError  # noqa: E402
from me2sdk.testing import tiny_reward_model  # noqa: E402
from me2sdk.train import quantize_checkpoint  # noqa: E402

TRACES = ["So 17 × 3 = 51.", "x", "First I split the number.\n\nThen I add both parts. " * 9]


def in_shards(folder: Path, count: int) -> None:
    """Cut the checkpoint in ``folder`` into several files with an index."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {}
    for k in range(count):
        name = f"model-{k + 1:05}-of-{count:05}.safetensors"
        part = dict(list(weights.items())[k::count])
        save_file(part, folder / name, metadata={"format": "pt"})
        places |= dict.fromkeys(part, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "bert"])
@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_scores_are_those_of_quantizing_while_loading(
    tmp_path: Path, architecture: Any, quantization: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tiny_reward_model(tmp_path / "source", architecture=architecture)
    expected = TRMScorer(str(source), quantization=quantization, device="cpu").score("Question?", TRACES)
    in_shards(source, 3)
    monkeypatch.setattr("me2sdk.train.reward_model.quantize._SHARD_BYTES", 30_000)
    report = quantize_checkpoint(source, tmp_path / "small", quantization=quantization, device="cpu")
    assert len(list((tmp_path / "small").glob("*.safetensors"))) > 1
    assert report.quantized in (13, 14)
    assert report.bytes_written < 0.5 * report.bytes_read
    scorer = TRMScorer(str(tmp_path / "small"), device="cpu")
    assert scorer.score("Question?", TRACES) == pytest.approx(expected, abs=1e-6)


def test_the_files_are_those_that_transformers_saves(tmp_path: Path) -> None:
    import transformers

    from me2sdk.scorers.local import quantization_settings

    source = tiny_reward_model(tmp_path / "source")
    quantize_checkpoint(source, tmp_path / "ours", device="cpu")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        source,
        dtype=torch.bfloat16,
        device_map={"": "cpu"},
        quantization_config=quantization_settings("nf4", torch.bfloat16, ["score"]),
    )
    model.save_pretrained(tmp_path / "theirs")
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("ours", "theirs"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    configs = [json.loads((tmp_path / n / "config.json").read_text()) for n in ("ours", "theirs")]
    assert configs[0]["quantization_config"] == configs[1]["quantization_config"]
    assert ours["score.weight"].dtype is torch.bfloat16


MEASURE = """
import resource, sys
from me2sdk.testing import tiny_reward_model
from me2sdk.train import quantize_checkpoint
source, scratch = sys.argv[1:]
quantize_checkpoint(tiny_reward_model(scratch + "/tiny"), scratch + "/warm")  # imports and buffers
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
report = quantize_checkpoint(source, scratch + "/out")
print(report.bytes_read, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


def test_the_checkpoint_is_never_in_memory_whole(tmp_path: Path) -> None:
    import transformers

    source = tiny_reward_model(tmp_path / "source")
    config = transformers.AutoConfig.from_pretrained(
        source, hidden_size=1024, intermediate_size=2816, num_hidden_layers=5, num_attention_heads=8,
        num_key_value_heads=8, head_dim=128,
    )  # fmt: skip
    config.save_pretrained(source)
    with torch.device("meta"):
        shapes = transformers.AutoModelForSequenceClassification.from_config(config).state_dict()
    (source / "model.safetensors").unlink()
    places = {}
    for k in range(4):
        part = {name: torch.randn(t.shape) for name, t in list(shapes.items())[k::4]}
        save_file(part, source / f"part-{k}.safetensors", metadata={"format": "pt"})
        places |= dict.fromkeys(part, f"part-{k}.safetensors")
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(source), str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )
    size, grown = map(int, done.stdout.split())
    assert size > 250e6
    assert grown < 0.6 * size


def test_what_cannot_be_quantized_is_refused(tmp_path: Path) -> None:
    source = tiny_reward_model(tmp_path / "source")
    done = tmp_path / "done"
    quantize_checkpoint(source, done)
    before = sorted(done.iterdir())
    for given, options, message in [
        (source, {"output": done}, "in use"),
        (done, {}, "quantized already"),
        (source, {"quantization": "int4"}, "nf4"),
        (tmp_path, {}, "could not be loaded"),
    ]:
        with pytest.raises(ConfigurationError, match=message):
            quantize_checkpoint(given, **{"output": tmp_path / "new", **options})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="quantized already"):
        TRMScorer(str(done), quantization="nf4").load()
    assert sorted(done.iterdir()) == before
    weights = load_file(source / "model.safetensors")
    del weights["score.weight"]
    save_file(
        {**weights, "lm_head.weight": torch.zeros(2, 2)},
        source / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(ConfigurationError, match=r"no weights for score\.weight"):
        quantize_checkpoint(source, tmp_path / "new")
    (source / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="adapter"):
        quantize_checkpoint(source, tmp_path / "new")
    assert {path.name for path in tmp_path.iterdir()} == {"source", "done"}


def test_tensors_that_no_such_model_has_are_left_out_and_named(tmp_path: Path) -> None:
    source = tiny_reward_model(tmp_path / "source")
    weights = load_file(source / "model.safetensors")
    save_file(
        {**weights, "lm_head.weight": torch.zeros(2, 2)},
        source / "model.safetensors",
        metadata={"format": "pt"},
    )
    report = quantize_checkpoint(source, tmp_path / "new", quantization="int8")
    assert report.unused == ("lm_head.weight",)
    assert report.tensors == len(weights) + 1
