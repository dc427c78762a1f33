"""From a name to a scorer: every verb, command, server, adapter and trainer reads names here."""

from __future__ import annotations

import asyncio
import functools
import threading
from typing import Any, Literal

from me2sdk.errors import ConfigurationError
from me2sdk.scorers.base import Scorer
from me2sdk.scorers.baselines import BASELINES, LengthScorer, RandomScorer
from me2sdk.scorers.local.prm import PRMScorer, is_process_reward_model
from me2sdk.scorers.local.trm import DType, TRMScorer
from me2sdk.scorers.mini import MiniScorer
from me2sdk.scorers.remote import RemoteTRMScorer

__all__ = ["load_scorer", "open_scorer", "options_for"]

_URL = ("http://", "https://")
_PROCESS = "prm:"
_OF_SERVERS = frozenset(("api", "model"))
_OF_MODELS = frozenset(("quantization", "max_tokens", "dtype", "device", "batch_tokens"))
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
) -> Scorer:
    """The scorer that a name stands for. Its weights are loaded at the first score.

    Args:
        scorer: "mini" or "small", which ship with me2sdk; "shortest", "longest" or "random"; an http(s) URL of a
            server that holds a reward model; a folder or hub name of a reward model; ``prm:`` and a folder or hub
            name for a process reward model, which is also known by its config. An object with
            ``score(question, traces)`` comes back as it is.
        api: protocol of the server, for a URL; "sglang" if None.
        model: name of the served model, for a URL.
        quantization: for "small", a folder or a hub name, and so are the rest; as `TRMScorer` takes them.
        max_tokens: longest input in tokens.
        dtype: precision of the weights.
        device: where to run; "auto" if None.
        batch_tokens: most tokens in one forward pass.

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
    }
    given = {name: value for name, value in options.items() if value is not None}
    if unfit := sorted(set(given) - _options_of(scorer)):
        raise ConfigurationError(
            f"{scorer if isinstance(scorer, str) else type(scorer).__name__} does not take {' and '.join(unfit)}. "
            "api and model are for the URL of a server, the other options for models that run here."
        )
    if not isinstance(scorer, str):
        if not callable(getattr(scorer, "score", None)):
            raise ConfigurationError(
                "scorer must be a name or have score(question, traces) -> list[float]; "
                f"{type(scorer).__name__} has not."
            )
        return scorer
    if not scorer.removeprefix(_PROCESS).strip():
        raise ConfigurationError('The name of the scorer is empty. Use "mini", or name a model or a server.')
    if scorer == "mini":
        return MiniScorer.load()
    if scorer == "random":
        return RandomScorer()
    if scorer in BASELINES:
        return LengthScorer(scorer)  # type: ignore[arg-type]
    if scorer.startswith(_URL):
        return RemoteTRMScorer(scorer, **given)
    if scorer.startswith(_PROCESS) or (scorer != "small" and is_process_reward_model(scorer)):
        return PRMScorer(scorer.removeprefix(_PROCESS), **given)
    return TRMScorer(scorer, **given)


def options_for(scorer: str, **options: Any) -> dict[str, Any]:
    """Those options of `open_scorer` that go with a name, for several scorers with the same options."""
    taken = _options_of(scorer)
    return {name: value for name, value in options.items() if name in taken}


async def load_scorer(scorer: str | Scorer) -> Scorer:
    """The scorer that a name stands for, loaded; the scorers of the last two names are kept.

    Args:
        scorer: as for `open_scorer`.

    Returns:
        The scorer.

    Raises:
        ConfigurationError: there is no such scorer, or it cannot be loaded.
    """
    return await asyncio.to_thread(_load, scorer)


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
    if not isinstance(scorer, str) or scorer == "mini" or scorer in BASELINES:
        return frozenset()
    return _OF_SERVERS if scorer.startswith(_URL) else _OF_MODELS
