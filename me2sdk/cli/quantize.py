"""``me2 quantize``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from me2sdk.cli.io import emit, note
from me2sdk.cli.options import Json

Source = Annotated[str, typer.Argument(help="Folder or hub name of a reward model in safetensors.")]
Output = Annotated[Path, typer.Argument(help="Folder to write; --scorer takes it.")]


def quantize(
    source: Source,
    output: Output,
    quantization: Annotated[str, typer.Option(help="nf4 (4 bits per weight) or int8.")] = "nf4",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")] = None,
    as_json: Json = False,
) -> None:
    """Write a reward model in 4 or 8 bits, without ever holding it whole in memory."""
    from me2sdk.train.reward_model import quantize_checkpoint

    report = quantize_checkpoint(
        source,
        output,
        quantization=quantization,  # type: ignore[arg-type]
        device=device,
        revision=revision,
    )
    if as_json:
        emit(report.model_dump_json())
        return
    note(
        f"{report.quantized} of {report.tensors} tensors in {quantization}; {report.bytes_read / 1e9:.2f} GB became "
        f"{report.bytes_written / 1e9:.2f} GB"
    )
    emit(str(output))
