"""Shared by the commands that choose among candidates: what options stand for, and what is said of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from me2sdk.cli.io import fail
from me2sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from me2sdk.schema import RerankResult
    from me2sdk.scorers import Scorer


def open_scorer_or_none(name: str, quantization: Literal["int8", "nf4"] | None) -> Scorer | None:
    """The scorer that ``--scorer`` names; None for "none".

    Raises:
        ConfigurationError: there is no such scorer, or it cannot be quantized.
    """
    from me2sdk.scorers import open_scorer

    if name != "none":
        return open_scorer(name, quantization=quantization)
    if quantization:
        raise ConfigurationError("--quantization is for a scorer, and --scorer none is none.")
    return None


def answer_key(name: str) -> str | None:
    """What ``--answer`` says is compared; None for "none"."""
    return None if name == "none" else name


def abstention(result: RerankResult, least: float | None) -> str:
    """Why a result abstains, in words."""
    sure = "is not known" if result.confidence is None else f"of {result.confidence:.3f} is too low"
    return f"abstained: the confidence {sure}, --min-confidence is {least}"


def show_failures(result: RerankResult) -> None:
    """Write a line to standard error for each thing that failed."""
    for failure in result.failures:
        whose = "all candidates" if failure.index is None else f"candidate {failure.index}"
        fail(f"{whose} ({failure.stage}): {failure.error}: {failure.message}")
