"""The bundled scorer: a Bradley-Terry model over features of the trace.

It is what ``TRMScorer("mini")`` runs: no torch, no network, loaded in milliseconds. ``data/mini_card.md``
says what it was fitted on, how well it does, and where it fails; ``recipes.mini`` fits it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from me2sdk.errors import ConfigurationError
from me2sdk.schema import Scores, Trace
from me2sdk.scorers.base import Questions, read_inputs
from me2sdk.scorers.mini.features import FEATURES, clip, extract
from me2sdk.scorers.text import prompt_text, trace_text

__all__ = ["FeatureWeight", "MiniScorer", "MiniWeights"]

_CHARACTERS_A_TOKEN = 4


class FeatureWeight(BaseModel):
    """How one feature counts: ``weight * (value - mean) / scale``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    weight: float
    mean: float
    scale: float = Field(gt=0)


class MiniWeights(BaseModel):
    """The weights file.

    Attributes:
        name: name of the scorer.
        version: version of the weights. Rewards of two versions cannot be compared.
        features: a weight for each of the features, in their order.
        provenance: what the weights were fitted on, and how.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    features: tuple[FeatureWeight, ...]
    provenance: dict[str, Any] = {}


class MiniScorer:
    """Rewards from features of the trace.

    A reward is a Bradley-Terry logit: ``1 / (1 + exp(b - a))`` is the probability that the trace with reward
    ``a`` is better reasoned than the one with ``b``, both of the same question. Rewards of different
    questions cannot be compared.

    Attributes:
        name: name of the scorer.
        version: version of the weights.

    Example::

        scorer = MiniScorer.load()
        scorer.score("What is 3 + 4 * 2?", ["4 * 2 = 8, so 3 + 8 = 11.", "3 + 4 = 7, so 7 * 2 = 15."])
    """

    def __init__(self, weights: MiniWeights) -> None:
        """Use ``weights`` instead of the bundled ones, for which there is `load`.

        Raises:
            ConfigurationError: the weights are for other features than this version of me2sdk computes.
        """
        if [feature.name for feature in weights.features] != list(FEATURES):
            raise ConfigurationError(
                f"The weights of {weights.name} {weights.version} are for other features than this me2sdk computes. "
                "Fit them again with python -m recipes.mini fit, or use the bundled ones: MiniScorer.load()."
            )
        self.name = weights.name
        self.version = weights.version
        self._weights = weights.features

    @classmethod
    def load(cls) -> MiniScorer:
        """Load the bundled weights.

        Raises:
            ConfigurationError: the installation lacks them or they are damaged.
        """
        return cls(_bundled())

    def score(self, question: Questions, traces: Sequence[Trace | str]) -> Scores:
        """Score traces.

        Args:
            question: what was asked: a string, a list of chat messages, None, or a list with one of these a
                trace.
            traces: the traces; a string is read with `Trace.from_text`.

        Returns:
            One finite reward per trace, higher is better. Of a trace with more than 200,000 characters the
            middle is left out, and ``.truncated`` says how much, counted in tokens of four characters.

        Raises:
            ConfigurationError: the number of questions is not that of the traces.
            InvalidTraceError: a trace has no reasoning.
        """
        rewards: list[float] = []
        left_out: list[int] = []
        for asked, trace in read_inputs(question, traces):
            text = trace_text(trace)
            rewards.append(math.fsum(self._contributions(prompt_text(asked), text).values()))
            left_out.append(math.ceil(clip(text)[1] / _CHARACTERS_A_TOKEN))
        return Scores(rewards, left_out)

    async def ascore(self, question: Questions, traces: Sequence[Trace | str]) -> Scores:
        """`score`, in a thread of its own so that the event loop goes on."""
        return await asyncio.to_thread(self.score, question, traces)

    def explain(self, question: Questions, trace: Trace | str) -> dict[str, float]:
        """Say what a trace's reward is made of.

        Args:
            question: what was asked.
            trace: the trace.

        Returns:
            What each feature adds to the reward, the largest first; they add up to it. Zero stands for what
            is usual in the training data.
        """
        asked, read = read_inputs(question, [trace])[0]
        parts = self._contributions(prompt_text(asked), trace_text(read))
        return dict(sorted(parts.items(), key=lambda part: -abs(part[1])))

    def _contributions(self, question: str, trace: str) -> dict[str, float]:
        values = extract(question, trace)
        return {f.name: f.weight * (values[f.name] - f.mean) / f.scale for f in self._weights}


@lru_cache(maxsize=1)
def _bundled() -> MiniWeights:
    try:
        text = resources.files("me2sdk").joinpath("data/mini.json").read_text(encoding="utf-8")
        return MiniWeights.model_validate_json(text)
    except (OSError, ValidationError) as error:
        raise ConfigurationError(
            f"The weights of the bundled scorer cannot be read ({type(error).__name__}). Install me2sdk again."
        ) from error
