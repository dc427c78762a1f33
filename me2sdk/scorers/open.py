"""From a name to a scorer: every verb, command, server, adapter and trainer reads names here."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from pathlib import Path
from typing import Any, Literal, overload

from me2sdk.errors import ConfigurationError
from me2sdk.scorers.base import Scorer
from me2sdk.scorers.ensemble import Ensemble
from me2sdk.scorers.local.trm import DType
from me2sdk.scorers.named import check_fit, open_named, options_of
from me2sdk.scorers.text import Reads, Template

__all__ = ["load_scorer", "open_scorer", "options_for"]

_JOINED = "+"
_lock = threading.Lock()


def open_scorer(
    scorer: str | Scorer,
    *,
    api: Literal["sglang", "vllm", "tei"] | None = None,
    model: str | None = None,
    quantization: Literal["int8", "nf4"] | None = None,
    max_tokens: int | None = None,
    dtype: DType | None = None,
    device: str | None = None,
    batch_tokens: int | None = None,
    reads: Reads | None = None,
    template: Template | None = None,
    tokenizer: str | None = None,
) -> Scorer:
    """The scorer that a name stands for. Its weights are loaded at the first score.

    Args:
        scorer: "mini" or "small", which ship with me2sdk; "confidence", or "confidence:tail" and the like for another
            measure of `ConfidenceScorer`; "shortest", "longest" or "random"; an http(s) URL of a
            server that holds a reward model; a folder or hub name of a reward model; ``prm:`` and a folder or hub
            name for a process reward model, which is also known by its config; ``judge:`` and a LiteLLM model for a
            `JudgeScorer` that grades traces; several of these joined by "+", as in "mini+small", for an `Ensemble`
            with equal weights, or with weights as JSON, as in ``{"mini": 2, "small": 1}``. An object with
            ``score(question, traces)`` comes back as it is.
        api: protocol of the server, for a URL; "sglang" if None.
        model: name of the served model, for a URL.
        quantization: for "small", a folder or a hub name, and so are the rest; as `TRMScorer` takes them.
        max_tokens: longest input in tokens.
        dtype: precision of the weights.
        device: where to run; "auto" if None.
        batch_tokens: most tokens in one forward pass.
        reads: the part of a trace that is scored, for a reward model here or behind a server; as `TRMScorer` and
            `RemoteTRMScorer` take it, and so is the next.
        template: whether the model reads plain text or a chat.
        tokenizer: for the URL of an SGLang server whose model reads chats; as `RemoteTRMScorer` takes it.

    Returns:
        The scorer.

    Raises:
        ConfigurationError: it is neither a name nor a scorer, or the options cannot work or do not go with it.

    Example:
        ```python
        from me2sdk.scorers import open_scorer

        right, wrong = open_scorer("mini").score("What is 3 + 4?", ["3 + 4 = 7.", "3 + 4 = 8."])
        print(right > wrong)  # True
        ```
    """
    options: dict[str, Any] = {
        "api": api,
        "model": model,
        "quantization": quantization,
        "max_tokens": max_tokens,
        "dtype": dtype,
        "device": device,
        "batch_tokens": batch_tokens,
        "reads": reads,
        "template": template,
        "tokenizer": tokenizer,
    }
    given = {name: value for name, value in options.items() if value is not None}
    check_fit(scorer, given, _options_of(scorer))
    if not isinstance(scorer, str):
        if not callable(getattr(scorer, "score", None)):
            raise ConfigurationError(
                "scorer must be a name or have score(question, traces) -> list[float]; "
                f"{type(scorer).__name__} has not."
            )
        return scorer
    if joined := _joined(scorer):
        return Ensemble(
            {open_scorer(one, **options_for(one, **given)): weight for one, weight in joined.items()}
        )
    return open_named(scorer, **given)


def _joined(scorer: str) -> dict[str, float]:
    """Names and weights of an ensemble; none where the plus belongs to an address or a folder."""
    if scorer.lstrip().startswith("{"):
        return _weighted(scorer)
    names = scorer.split(_JOINED)
    if len(names) < 2 or "://" in scorer or not all(map(str.strip, names)) or Path(scorer).exists():
        return {}
    return dict.fromkeys(names, 1.0)


def _weighted(scorer: str) -> dict[str, float]:
    try:
        found = json.loads(scorer)
    except ValueError:
        found = None
    if not found or not all(isinstance(weight, int | float) for weight in found.values()):
        raise ConfigurationError(
            f'{scorer:.80} is no ensemble. Write names and weights as JSON: {{"mini": 2, "small": 1}}.'
        )
    return {str(name): float(weight) for name, weight in found.items()}


def options_for(scorer: str, **options: Any) -> dict[str, Any]:
    """Those options of `open_scorer` that go with a name, for several scorers with the same options."""
    taken = _options_of(scorer)
    return {name: value for name, value in options.items() if name in taken}


@overload
async def load_scorer(scorer: str | Scorer) -> Scorer: ...
@overload
async def load_scorer(scorer: str | Scorer | None) -> Scorer | None: ...
async def load_scorer(scorer: str | Scorer | None) -> Scorer | None:
    """The scorer that a name stands for, loaded; the scorers of the last two names are kept. None stays None.

    Args:
        scorer: as for `open_scorer`.

    Returns:
        The scorer.

    Raises:
        ConfigurationError: there is no such scorer, or it cannot be loaded.
    """
    if scorer is None:
        return None
    if isinstance(scorer, str) or callable(getattr(scorer, "load", None)):
        return await asyncio.to_thread(_load, scorer)
    return open_scorer(scorer)


def _load(scorer: str | Scorer) -> Scorer:
    if isinstance(scorer, str):
        with _lock:  # or two calls at a time would each load a model of their own
            scorer = _open_named(scorer)
    else:
        scorer = open_scorer(scorer)
    if callable(load := getattr(scorer, "load", None)):
        load()
    return scorer


@functools.lru_cache(maxsize=2)  # loading one can take minutes, holding one gigabytes
def _open_named(name: str) -> Scorer:
    return open_scorer(name)


def _options_of(scorer: str | Scorer) -> frozenset[str]:
    if not isinstance(scorer, str):
        return frozenset()
    return frozenset().union(*map(options_of, _joined(scorer) or [scorer]))
