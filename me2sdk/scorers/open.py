"""From a name to a scorer: every verb, command, server and trainer reads names here."""

from __future__ import annotations

from typing import Literal

from me2sdk.errors import ConfigurationError
from me2sdk.scorers.base import Scorer
from me2sdk.scorers.baselines import BASELINES, LengthScorer, RandomScorer
from me2sdk.scorers.local.prm import PRMScorer, is_process_reward_model
from me2sdk.scorers.local.trm import DType, TRMScorer
from me2sdk.scorers.mini import MiniScorer
from me2sdk.scorers.remote import RemoteTRMScorer

__all__ = ["open_scorer"]


def open_scorer(
    name: str,
    *,
    api: Literal["sglang", "vllm", "tei"] = "sglang",
    quantization: Literal["int8", "nf4"] | None = None,
    max_tokens: int | None = None,
    dtype: DType | None = None,
) -> Scorer:
    """The scorer that a name stands for.

    Args:
        name: "mini" or another scorer that ships with me2sdk; "shortest", "longest" or "random"; an http(s) URL of a
            server that holds a reward model; a folder or hub name of a reward model; ``prm:`` and a folder or hub
            name for a process reward model, which is also known by its config.
        api: the server's protocol, for a URL.
        quantization: for a folder or hub name.
        max_tokens: for a folder or hub name.
        dtype: for a folder or hub name, as `TRMScorer` takes it.

    Raises:
        ConfigurationError: the options cannot work, or do not go with the name.
    """
    if name in BASELINES or name == "mini" or name.startswith(("http://", "https://")):
        if quantization is not None or max_tokens is not None:
            raise ConfigurationError(
                f"{name} takes neither quantization nor max_tokens; they are for models that run here."
            )
        if name == "random":
            return RandomScorer()
        if name == "mini":
            return MiniScorer.load()
        return LengthScorer(name) if name in BASELINES else RemoteTRMScorer(name, api=api)  # type: ignore[arg-type]
    if name.startswith("prm:") or (name != "small" and is_process_reward_model(name)):
        return PRMScorer(name.removeprefix("prm:"), quantization=quantization, max_tokens=max_tokens)
    return TRMScorer(name, quantization=quantization, max_tokens=max_tokens, dtype=dtype)
