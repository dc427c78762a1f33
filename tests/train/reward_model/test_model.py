"""What a reward model is made from: head, padding token, adapters."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
transformers = pytest.importorskip("transformers", reason="needs the extra [train]")

from me2sdk.errors import ConfigurationError  # noqa: E402
from me2sdk.testing import tiny_reward_model  # noqa: E402
from me2sdk.train import LoraConfig, RewardModelConfig  # noqa: E402
from me2sdk.train._runs import find_model, peft_config  # noqa: E402
from me2sdk.train.reward_model.model import base_name, load_base, load_tokenizer  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny_reward_model(tmp_path / "base")


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def config(base: Path, **changes: Any) -> RewardModelConfig:
    return RewardModelConfig.model_validate(
        {"base": str(base), "output": "out", "train": ["x"], "dtype": "float32", **changes}
    )


@pytest.mark.parametrize("pad", ["<eos>", "<bos>", None])
def test_padding_gets_a_token_of_its_own(base: Path, pad: str | None) -> None:
    edit_json(base / "tokenizer_config.json", pad_token=pad)
    tokenizer = load_tokenizer(str(base))
    assert tokenizer.pad_token == "<pad>"  # there, and unused
    assert tokenizer.padding_side == "right"


def test_a_text_that_ends_in_eos_is_read_at_its_last_token(base: Path) -> None:
    """The trap: where padding is eos too, the reward would be read one token early."""
    edit_json(base / "tokenizer_config.json", pad_token="<eos>")
    edit_json(base / "config.json", pad_token_id=1)
    tokenizer = load_tokenizer(str(base))
    model = load_base(config(base), str(base), tokenizer, CPU).eval()
    ids = tokenizer("It is 51.<eos>")["input_ids"]
    assert ids[-1] == tokenizer.eos_token_id
    with torch.inference_mode():
        expected = model.score(model.model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1])
        padded = torch.tensor([[*ids, tokenizer.pad_token_id, tokenizer.pad_token_id], [0] * (len(ids) + 2)])
        mask = (torch.arange(len(ids) + 2) < torch.tensor([[len(ids)], [len(ids) + 2]])).long()
        found = model(input_ids=padded, attention_mask=mask).logits[0]
    assert float(found) == pytest.approx(float(expected), abs=1e-5)
    assert model.config.pad_token_id == tokenizer.pad_token_id != model.config.eos_token_id


def without_pad(base: Path) -> None:
    """Take every token from the tokenizer that padding could have."""
    tokenizer = json.loads((base / "tokenizer.json").read_text())
    text = json.dumps(tokenizer).replace("<pad>", "<eot>")
    (base / "tokenizer.json").write_text(text)
    edit_json(base / "tokenizer_config.json", pad_token="<eos>")


def test_a_vocabulary_without_a_free_token_grows(base: Path) -> None:
    without_pad(base)
    tokenizer = load_tokenizer(str(base))
    rows = transformers.AutoConfig.from_pretrained(base).vocab_size
    assert tokenizer.pad_token_id == rows
    model = load_base(config(base), str(base), tokenizer, CPU)
    assert model.get_input_embeddings().num_embeddings == rows + 1
    with pytest.raises(ConfigurationError, match="no token that could serve as padding"):
        load_base(config(base, lora={}), str(base), tokenizer, CPU)


def test_a_language_model_gets_a_head_and_a_reward_model_keeps_its_own(base: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(base))
    kept = load_base(config(base), str(base), tokenizer, CPU)
    original = transformers.AutoModelForSequenceClassification.from_pretrained(base)
    assert torch.equal(kept.score.weight, original.score.weight)
    causal = tmp_path / "causal"
    shutil.copytree(base, causal)
    settings = transformers.AutoConfig.from_pretrained(base)
    transformers.AutoModelForCausalLM.from_config(settings).save_pretrained(causal)
    edit_json(causal / "config.json", id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1})
    model = load_base(config(causal), str(causal), tokenizer, CPU)
    assert model.score.weight.shape == (1, 64)


def test_bases_that_cannot_serve_are_refused(base: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(base))
    with pytest.raises(ConfigurationError, match="max_length=9000 is more than the context"):
        load_base(config(base, max_length=9000), str(base), tokenizer, CPU)
    with pytest.raises(ConfigurationError, match="could not be loaded"):
        load_tokenizer(str(tmp_path / "nothing"))
    (base / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="is an adapter"):
        load_base(config(base), str(base), tokenizer, CPU)


def test_adapters_go_where_they_are_told(base: Path) -> None:
    pytest.importorskip("peft", reason="needs the extra [train]")
    model = load_base(config(base, lora={}), str(base), load_tokenizer(str(base)), CPU)
    names = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert peft_config(LoraConfig(), model).target_modules == names
    assert peft_config(LoraConfig(targets=["q_proj"], layers=[1]), model).layers_to_transform == [1]
    with pytest.raises(ConfigurationError, match=r"c_attn.*q_proj"):
        peft_config(LoraConfig(targets=["c_attn"]), model)
    with pytest.raises(ConfigurationError, match="from 0 to 1"):
        peft_config(LoraConfig(layers=[2]), model)


def test_smollm2_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    short = config(Path("smollm2"))
    assert find_model(short.base).endswith(("SmolLM2-135M-Instruct", "smollm2-92871040"))
    assert base_name(short) == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert base_name(config(Path("folder"), base_name="org/name")) == "org/name"


@pytest.mark.parametrize(
    "changes", [{"quantization": "nf4"}, {"merged": True}, {"train": []}, {"validation": 1.5}]
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"lora|train|validation"):
        config(Path("x"), **changes)
