"""The bundled scorer: a linear model over features of the trace and of the traces beside it.

It is what ``TRMScorer("mini")`` runs: no torch, no network, loaded in milliseconds. ``data/mini_card.md``
says what it was fitted on, how well it does, and where it fails; ``recipes.mini`` fits it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from me2sdk._sync import in_thread_if_long
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Question, Scores, Trace
from me2sdk.scorers.base import Questions, read_inputs
from me2sdk.scorers.mini.features import FEATURES, clip, extract, read_trace
from me2sdk.scorers.mini.question import read_question
from me2sdk.scorers.mini.reading import Reading
from me2sdk.scorers.mini.relative import RELATIVE, compare
from me2sdk.scorers.text import answer_text, prompt_text

__all__ = ["FEWEST", "FeatureWeight", "MiniScorer", "MiniWeights", "bundled_weights"]

FEWEST = 3
"""Different traces of one question from which on they are compared: of two that differ, neither is the odd one out."""

_CHARACTERS_A_TOKEN = 4
_SHORT = 20_000  # characters of a trace that is remembered once it was read


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
        alone: weights for a trace that is scored alone or with one other, some of `FEATURES`.
        among: weights for three traces and more of one question, some of `FEATURES` and of `RELATIVE`. What they give
            is added to ``share`` of the reward that each trace has alone.
        share: as said.
        provenance: what the weights were fitted on, and how.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    alone: tuple[FeatureWeight, ...]
    among: tuple[FeatureWeight, ...]
    share: float
    provenance: dict[str, Any] = {}


class MiniScorer:
    """Rewards from features of the trace, and from what it shares with the other traces of its question.

    A reward is a Bradley-Terry logit: ``1 / (1 + exp(b - a))`` is the probability that the trace with reward
    ``a`` is better than the one with ``b``, both of the same question and scored in one call. Rewards of different
    questions, or of different calls, cannot be compared: from three traces of a question on they are also
    compared with each other, and each reward depends on all of them.

    Attributes:
        name: name of the scorer.
        version: version of the weights.
        joint: whether traces are compared; see `me2sdk.scorers.is_joint`.

    Example::

        scorer = MiniScorer.load()
        scorer.score("What is 3 + 4 * 2?", ["4 * 2 = 8, so 3 + 8 = 11.", "3 + 4 = 7, so 7 * 2 = 15."])
    """

    def __init__(self, weights: MiniWeights, *, joint: bool = True) -> None:
        """Use ``weights`` instead of the bundled ones, for which there is `load`.

        Raises:
            ConfigurationError: the weights are for other features than this version of me2sdk computes.
        """
        unknown = {feature.name for feature in weights.alone} - FEATURES.keys()
        unknown |= {feature.name for feature in weights.among} - FEATURES.keys() - RELATIVE.keys()
        if unknown:
            raise ConfigurationError(
                f"The weights of {weights.name} {weights.version} are for features that this me2sdk does not compute: "
                f"{', '.join(sorted(unknown))}. Fit them again with python -m recipes.mini fit, or use the bundled "
                "ones: MiniScorer.load()."
            )
        self.name = weights.name
        self.version = weights.version
        self.joint = joint
        self._weights = weights

    def alone(self) -> MiniScorer:
        """The scorer without the comparison: each trace gets the reward that it has alone.

        For rewards that must not depend on which traces are scored together, as in training or behind a server.
        """
        return MiniScorer(self._weights, joint=False)

    @classmethod
    def load(cls) -> MiniScorer:
        """Load the bundled weights.

        Raises:
            ConfigurationError: the installation lacks them or they are damaged.
        """
        return cls(bundled_weights())

    def score(self, question: Questions, traces: Sequence[Trace | str]) -> Scores:
        """Score traces.

        Args:
            question: what was asked: a string, a list of chat messages, None, or a list with one of these a
                trace.
            traces: the traces; a string is read with `Trace.from_text`. Those of one question are compared with each
                other, from three on.

        Returns:
            One finite reward per trace, higher is better. Of a trace with more than 200,000 characters the
            middle is left out, and ``.truncated`` says how much, counted in tokens of four characters.

        Raises:
            ConfigurationError: the number of questions is not that of the traces.
            InvalidTraceError: a trace has no reasoning.
        """
        read = [
            (prompt_text(asked), answer_text(trace, "both")) for asked, trace in read_inputs(question, traces)
        ]
        rewards = [0.0] * len(read)
        for asked, places in _by_question(read).items():
            parts = self._contributions(asked, [read[place][1] for place in places])
            for place, part in zip(places, parts, strict=True):
                rewards[place] = math.fsum(part.values())
        return Scores(rewards, [math.ceil(clip(text)[1] / _CHARACTERS_A_TOKEN) for _, text in read])

    async def ascore(self, question: Questions, traces: Sequence[Trace | str]) -> Scores:
        """`score`, in a thread of its own where the traces are long, so that the event loop goes on."""
        lengths = (
            len(trace) if isinstance(trace, str) else len(trace.reasoning) + len(trace.response or "")
            for trace in traces
        )
        characters = sum(lengths) + len(str(question or ""))
        return await in_thread_if_long(characters, lambda: self.score(question, traces))

    def explain(
        self, question: Question | None, trace: Trace | str, others: Sequence[Trace | str] = ()
    ) -> dict[str, float]:
        """Say what a trace's reward is made of.

        Args:
            question: what was asked.
            trace: the trace.
            others: the other traces that it was scored with.

        Returns:
            What each feature adds to the reward, the largest first; they add up to it. Zero stands for what
            is usual in the training data.
        """
        parts = self.explanations(question, [trace, *others])[0]
        return dict(sorted(parts.items(), key=lambda part: -abs(part[1])))

    def explanations(
        self, question: Question | None, traces: Sequence[Trace | str]
    ) -> list[dict[str, float]]:
        """Say what the rewards of traces are made of that were scored together.

        Args:
            question: what was asked.
            traces: all of them.

        Returns:
            For each trace what each feature adds to its reward.
        """
        read = read_inputs(question, traces)
        texts = [answer_text(one, "both") for _, one in read]
        return self._contributions(prompt_text(read[0][0]), texts) if read else []

    def _contributions(self, question: str, texts: Sequence[str]) -> list[dict[str, float]]:
        """What each feature adds to the reward of each trace of a question."""
        if len(different := list(dict.fromkeys(texts))) < len(texts):  # a copy is no second opinion
            found = dict(zip(different, self._contributions(question, different), strict=True))
            return [dict(found[text]) for text in texts]
        compared = self.joint and len(texts) >= FEWEST
        read = [
            _read_short(question, text) if len(text) <= _SHORT else _read(question, text) for text in texts
        ]
        values: list[Mapping[str, float]] = [own for _, own in read]
        parts = [_weighted(self._weights.alone, own) for own in values]
        if compared:
            beside = compare([reading for reading, _ in read], read_question(clip(question)[0]))
            for part, own, shared in zip(parts, values, beside, strict=True):
                among = _weighted(self._weights.among, {**own, **shared})
                for name in part.keys() | among.keys():
                    part[name] = self._weights.share * part.get(name, 0.0) + among.get(name, 0.0)
        return parts


def _weighted(weights: Sequence[FeatureWeight], values: Mapping[str, float]) -> dict[str, float]:
    return {one.name: one.weight * (values[one.name] - one.mean) / one.scale for one in weights}


def _read(question: str, text: str) -> tuple[Reading, dict[str, float]]:
    reading = read_trace(text)
    return reading, extract(question, reading)


# As candidates come in, those that are there are scored again with each that is new.
_read_short = lru_cache(maxsize=128)(_read)


def _by_question(read: Sequence[tuple[str, str]]) -> dict[str, list[int]]:
    """The places of the traces of each question."""
    places: dict[str, list[int]] = {}
    for place, (asked, _) in enumerate(read):
        places.setdefault(asked, []).append(place)
    return places


@lru_cache(maxsize=1)
def bundled_weights() -> MiniWeights:
    """The weights that come with me2sdk.

    Raises:
        ConfigurationError: the installation lacks them or they are damaged.
    """
    try:
        text = resources.files("me2sdk").joinpath("data/mini.json").read_text(encoding="utf-8")
        return MiniWeights.model_validate_json(text)
    except (OSError, ValidationError) as error:
        raise ConfigurationError(
            f"The weights of the bundled scorer cannot be read ({type(error).__name__}). Install me2sdk again."
        ) from error
