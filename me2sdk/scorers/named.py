"""From one name to one scorer."""

from __future__ import annotations

import importlib
from typing import Any

from me2sdk.errors import ConfigurationError
from me2sdk.scorers.base import Scorer
from me2sdk.scorers.baselines import BASELINES, LengthScorer, RandomScorer
from me2sdk.scorers.confidence import ConfidenceScorer
from me2sdk.scorers.local.prm import PRMScorer, is_process_reward_model
from me2sdk.scorers.local.trm import TRMScorer
from me2sdk.scorers.mini import MiniScorer
from me2sdk.scorers.remote import RemoteTRMScorer

__all__ = ["check_fit", "open_named", "options_of"]

_URL = ("http://", "https://")
_PROCESS = "prm:"
_JUDGE = "judge:"
_CONFIDENCE = "confidence"
_OF_SERVERS = frozenset(("api", "model", "reads", "template", "tokenizer"))
_OF_PROCESS_MODELS = frozenset(("quantization", "max_tokens", "dtype", "device", "batch_tokens"))
_OF_MODELS = _OF_PROCESS_MODELS | {"reads", "template"}


def open_named(name: str, **given: Any) -> Scorer:
    """The scorer that a single name stands for; `open_scorer` says which names there are.

    Args:
        name: the name.
        **given: those of the options of `open_scorer` that were set.

    Raises:
        ConfigurationError: there is no such name, or the options do not go with it.
    """
    if not name.removeprefix(_PROCESS).removeprefix(_JUDGE).strip():
        raise ConfigurationError('The name of the scorer is empty. Use "mini", or name a model or a server.')
    if name == "none":
        raise ConfigurationError(
            'There is nothing to score with "none". Verbs take scorer=None; else name a scorer.'
        )
    check_fit(name, given, options_of(name))
    if name == "mini":
        return MiniScorer.load()
    if name == "random":
        return RandomScorer()
    if name in BASELINES:
        return LengthScorer(name)  # type: ignore[arg-type]
    if _is_confidence(name):
        _, colon, measure = name.partition(":")
        return ConfidenceScorer(measure if colon else "mean")  # type: ignore[arg-type]
    if name.startswith(_JUDGE):
        # Judges stand on a higher floor than scorers, which must not import them: they are looked up when one is named.
        judge: Scorer = importlib.import_module("me2sdk.judge").JudgeScorer(name.removeprefix(_JUDGE))
        return judge
    if name.startswith(_URL):
        return RemoteTRMScorer(name, **given)
    if name.startswith(_PROCESS) or (name != "small" and is_process_reward_model(name)):
        check_fit(name, given, _OF_PROCESS_MODELS)
        return PRMScorer(name.removeprefix(_PROCESS), **given)
    return TRMScorer(name, **given)


def options_of(name: str) -> frozenset[str]:
    """The options of `open_scorer` that go with a single name."""
    if name in ("mini", *BASELINES) or name.startswith(_JUDGE) or _is_confidence(name):
        return frozenset()
    if name.startswith(_URL):
        return _OF_SERVERS
    return _OF_PROCESS_MODELS if name.startswith(_PROCESS) else _OF_MODELS


def check_fit(scorer: str | Scorer, given: dict[str, Any], taken: frozenset[str]) -> None:
    """Refuse options that do not go with a scorer.

    Raises:
        ConfigurationError: there is such an option.
    """
    if unfit := sorted(set(given) - taken):
        raise ConfigurationError(
            f"{scorer if isinstance(scorer, str) else type(scorer).__name__} does not take {' and '.join(unfit)}. "
            "api, model and tokenizer are for the URL of a server, reads and template for reward models here or there, "
            "the other options for models that run here."
        )


def _is_confidence(scorer: str) -> bool:
    return scorer.partition(":")[0] == _CONFIDENCE
