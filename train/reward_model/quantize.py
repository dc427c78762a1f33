"""Writing a reward model in 4 or 8 bits, tensor by tensor, for machines that could not hold it otherwise."""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

from me2sdk._paths import atomic_write
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Value

__all__ = ["QuantizationReport", "quantize_checkpoint"]

_log = logging.getLogger(__name__)
_SHARD_BYTES = 500_000_000
_INDEX, _WHOLE = "model.safetensors.index.json", "model.safetensors"
Quantization = Literal["nf4", "int8"]


class QuantizationReport(Value):
    """What was written.

    Attributes:
        output: the folder.
        quantization: "nf4" or "int8".
        tensors: how many tensors the source holds.
        quantized: how many of them were quantized; the others, the score head among them, are plain floats.
        unused: names of tensors that no such model has; they were left out.
        bytes_read: size of the source's tensors.
        bytes_written: size of the weights that were written.
    """

    output: str
    quantization: Quantization
    tensors: int
    quantized: int
    unused: tuple[str, ...]
    bytes_read: int
    bytes_written: int


def quantize_checkpoint(
    source: str | Path,
    output: str | Path,
    *,
    quantization: Quantization = "nf4",
    device: str = "auto",
    revision: str | None = None,
) -> QuantizationReport:
    """Write a reward model whose linear layers, all but the head, are quantized by bitsandbytes.

    One tensor at a time is read, quantized and written, so neither the source's checkpoint (32 GB for TRM-8B in
    float32) nor the result has to fit the memory. The scores are those of ``TRMScorer(source,
    quantization=...)``, which holds what it does not quantize, the head among it, in bfloat16 as this does.

    Args:
        source: folder or hub name of a sequence-classification reward model in safetensors.
        output: folder to write, which must not exist or be empty. ``TRMScorer(output)`` loads it.
        quantization: "nf4" (4 bits a weight) or "int8".
        device: where to quantize: "auto", "cpu" or a CUDA device.
        revision: branch, tag or commit on the hub.

    Returns:
        What was read and written.

    Raises:
        ConfigurationError: the source is no such model, is an adapter or quantized already, lacks tensors, or the
            output folder is in use; or a package of the extra ``local`` is missing.

    Example:
        ```python
        from me2sdk.testing import tiny_reward_model
        from me2sdk.train import quantize_checkpoint

        checkpoint = tiny_reward_model("my-trm")  # or "zzzhr97/TRM-8B"
        report = quantize_checkpoint(checkpoint, "my-trm-int8", quantization="int8", device="cpu")
        print(report.quantization)  # int8
        ```
    """
    if quantization not in get_args(Quantization):
        raise ConfigurationError(f'quantization is "nf4" or "int8", not {quantization!r}.')
    for package in ("torch", "transformers", "bitsandbytes", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise ConfigurationError(f'Quantizing needs {package}. Run: pip install "me2sdk[local]"')
    target = Path(output)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigurationError(f"{target} is in use. Give a folder that does not exist or is empty.")
    from me2sdk.scorers.local import as_configuration_error

    with atomic_write(target) as draft, as_configuration_error(str(source)):
        folder = Path(source) if Path(source).is_dir() else _download(str(source), revision)
        return _quantize(str(source), folder, draft, str(target), quantization, device)


def _download(source: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    wanted = ["*.safetensors", "*.json", "*.jinja", "tokenizer*", "*.model", "*.txt"]
    return Path(snapshot_download(source, revision=revision, allow_patterns=wanted, ignore_patterns=["*/*"]))


def _quantize(
    source: str, folder: Path, draft: Path, target: str, quantization: Quantization, device: str
) -> QuantizationReport:
    import torch
    import transformers

    from me2sdk.scorers.local import (
        TEMPLATE_KEY,
        check_labels,
        head_modules,
        known_template,
        pick_device,
        quantization_settings,
    )

    if (folder / "adapter_config.json").is_file():
        raise ConfigurationError(f"{folder} is an adapter. Merge it into its base first (`merged: true`).")
    config = transformers.AutoConfig.from_pretrained(folder)
    if getattr(config, "quantization_config", None):
        raise ConfigurationError(f"{folder} is quantized already.")
    check_labels(str(folder), config)
    heads = head_modules(config)
    settings = quantization_settings(quantization, torch.bfloat16, heads)
    place = pick_device(device) if device != "auto" or torch.cuda.is_available() else torch.device("cpu")
    with torch.device("meta"):
        model = transformers.AutoModelForSequenceClassification.from_config(config)
    transformers.integrations.replace_with_bnb_linear(
        model, modules_to_not_convert=heads, quantization_config=settings
    )
    wanted = set(model.state_dict())
    files = _files(folder)
    if missing := sorted(wanted - files.keys()):
        raise ConfigurationError(
            f"{folder} has no weights for {', '.join(missing[:5])}. Name a trained reward model whose tensors are "
            "named as transformers names them; others can be loaded and saved with it once."
        )
    draft.mkdir(parents=True)
    writer = _Shards(draft)
    read = quantized = 0
    for name, tensor in _tensors({name: file for name, file in files.items() if name in wanted}):
        read += tensor.nbytes
        module = model.get_submodule(name.rpartition(".")[0])
        if name.endswith(".weight") and hasattr(module, "source_cls"):  # it was replaced above
            quantized += 1
            for key, value in _layer_state(tensor, module, settings, place).items():
                writer.add(f"{name.removesuffix('weight')}{key}", value)
        else:
            # In one precision, as transformers loads it: it would not mix them on its own.
            writer.add(name, tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor)
    written = writer.close()
    if template := known_template(source, config):  # the copy has another name
        setattr(config, TEMPLATE_KEY, template)
    config.quantization_config = settings
    config.dtype = torch.bfloat16
    config.architectures = [type(model).__name__]
    config.save_pretrained(draft)
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(draft)
    return QuantizationReport(
        output=target,
        quantization=quantization,
        tensors=len(files),
        quantized=quantized,
        unused=tuple(sorted(files.keys() - wanted)),
        bytes_read=read,
        bytes_written=written,
    )


def _files(folder: Path) -> dict[str, Path]:
    """The file of each tensor, files in order."""
    from safetensors import safe_open

    if (folder / _INDEX).is_file():
        index = json.loads((folder / _INDEX).read_text("utf-8"))["weight_map"]
        return {name: folder / file for name, file in sorted(index.items(), key=lambda item: item[1])}
    if not (folder / _WHOLE).is_file():
        raise ConfigurationError(f"{folder} holds no safetensors (pickled weights are never read).")
    with safe_open(folder / _WHOLE, "pt") as file:
        return dict.fromkeys(file.keys(), folder / _WHOLE)


def _tensors(files: dict[str, Path]) -> Iterator[tuple[str, Any]]:
    from safetensors import safe_open

    for name, path in files.items():
        # Opened again for each tensor: the pages of a mapped file count as memory as long as it is open.
        with safe_open(path, "pt") as file:
            yield name, file.get_tensor(name)


def _layer_state(tensor: Any, module: Any, settings: Any, device: Any) -> dict[str, Any]:
    """What bitsandbytes saves of a linear layer with this weight."""
    import bitsandbytes as bnb
    import torch
    from transformers.pytorch_utils import Conv1D

    weight = tensor.to(torch.bfloat16)
    if issubclass(module.source_cls, Conv1D):
        weight = weight.T.contiguous()
    rows, columns = weight.shape
    with torch.device("meta"):
        if settings.load_in_4bit:
            layer = bnb.nn.Linear4bit(
                columns,
                rows,
                bias=False,
                compute_dtype=settings.bnb_4bit_compute_dtype,
                compress_statistics=settings.bnb_4bit_use_double_quant,
                quant_type=settings.bnb_4bit_quant_type,
            )
        else:
            layer = bnb.nn.Linear8bitLt(columns, rows, bias=False, has_fp16_weights=False)
    kind, options = (
        type(layer.weight),
        {name: value for name, value in layer.weight.__dict__.items() if name not in ("CB", "SCB", "module")},
    )
    layer.weight = kind(weight, requires_grad=False, **options).to(device)
    return {key: value.cpu() for key, value in layer.state_dict().items()}


class _Shards:
    """Collects tensors and writes them to files of limited size, with an index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.waiting: dict[str, Any] = {}
        self.names: list[list[str]] = []
        self.size = self.total = 0

    def add(self, name: str, tensor: Any) -> None:
        if self.waiting and self.size + tensor.nbytes > _SHARD_BYTES:
            self._flush()
        # A copy, since the tensor may be a view of the mapped file.
        self.waiting[name] = tensor.clone().contiguous()
        self.size += tensor.nbytes

    def _flush(self) -> None:
        from safetensors.torch import save_file

        save_file(self.waiting, self.folder / f"part-{len(self.names)}", metadata={"format": "pt"})
        self.names.append(list(self.waiting))
        self.total += self.size
        self.waiting, self.size = {}, 0

    def close(self) -> int:
        """Write what is left and the index; return the size of all tensors in bytes."""
        self._flush()
        count = len(self.names)
        if count == 1:
            (self.folder / "part-0").rename(self.folder / _WHOLE)
            return self.total
        places: dict[str, str] = {}
        for number, names in enumerate(self.names):
            file = f"model-{number + 1:05}-of-{count:05}.safetensors"
            (self.folder / f"part-{number}").rename(self.folder / file)
            places |= dict.fromkeys(names, file)
        index = {"metadata": {"total_size": self.total}, "weight_map": places}
        (self.folder / _INDEX).write_text(json.dumps(index, indent=2) + "\n", "utf-8")
        return self.total
