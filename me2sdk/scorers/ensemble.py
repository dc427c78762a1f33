"""Several scorers as one: their rewards are put on one scale within each question, weighted, and added."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from me2sdk._sync import run_sync
from me2sdk.errors import ConfigurationError, InvalidTraceError, ScoringError
from me2sdk.schema import Scores, Trace
from me2sdk.scorers.base import (
    Questions,
    Scorer,
    bound_scorer,
    is_joint,
    read_inputs,
    score_each,
    scorer_name,
)
from me2sdk.scorers.named import open_named
from me2sdk.scorers.text import prompt_text
from me2sdk.stats import standardised

if TYPE_CHECKING:
    from me2sdk.llm import LLM

__all__ = ["Ensemble", "LabelledQuestion"]

Normalize = Literal["z", "rank"]
LabelledQuestion = tuple[str | None, Sequence[Trace | str], Sequence[bool]]
"""A question, several traces, and for each whether it is right."""

_STEPS, _PENALTY = 500, 1e-3


class Ensemble:
    """Several scorers as one.

    The rewards of each are put on one scale within the traces of a question, weighted and added, so that scorers of
    different scales can be joined. It looks at all traces of a question together; of a single one its reward is 0.
    Where one of the scorers fails on a trace, that trace counts as average there.

    Args:
        scorers: a weight for each scorer, which is an object or a name as `open_scorer` takes it.
        normalize: "z" gives the rewards of a scorer mean 0 and deviation 1; "rank" takes the share of the other
            traces that are beaten, less a half.

    Attributes:
        name: the names of the scorers, joined by "+".
        weights: their weights, by name.

    Raises:
        ConfigurationError: there is no scorer, or a weight is no finite number.

    Example:
        ```python
        from me2sdk import rerank
        from me2sdk.scorers import Ensemble

        both = Ensemble({"mini": 2, "shortest": 1})
        best = rerank("What is 3 + 4?", ["3 + 4 = 8.", "3 + 4 = 7."], scorer=both, select="best").best
        print(best.index, sorted(best.scores))  # 1 ['mini', 'shortest']
        ```
    """

    joint = True

    def __init__(
        self,
        scorers: Mapping[Scorer, float] | Mapping[str, float] | Mapping[str | Scorer, float],
        normalize: Normalize = "z",
    ) -> None:
        if not scorers:
            raise ConfigurationError("An ensemble needs a scorer. Pass {scorer: weight, …}.")
        if normalize not in get_args(Normalize):
            raise ConfigurationError(
                f"normalize is one of {', '.join(get_args(Normalize))}; it is {normalize!r}."
            )
        opened = [open_named(one) if isinstance(one, str) else one for one in scorers]
        for scorer, weight in zip(opened, scorers.values(), strict=True):
            if not callable(getattr(scorer, "score", None)) or not math.isfinite(weight):
                raise ConfigurationError(
                    "An ensemble takes {scorer: weight}, with names, or objects that have score(question, traces), "
                    f"and finite weights; it was given {scorer!r:.60}: {weight!r:.20}."
                )
        self.normalize: Normalize = normalize
        self._scorers = opened
        self._weights = [float(weight) for weight in scorers.values()]
        self._names = _distinct([scorer_name(scorer) for scorer in self._scorers])
        self.name = "+".join(self._names)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each scorer, by name."""
        return dict(zip(self._names, self._weights, strict=True))

    @property
    def request(self) -> dict[str, Any]:
        """What the generator has to be asked for, so that the scorers have what they look at."""
        return {name: value for one in self._scorers for name, value in getattr(one, "request", {}).items()}

    def load(self) -> Ensemble:
        """Load what the scorers need now, instead of at the first score."""
        for scorer in self._scorers:
            if callable(load := getattr(scorer, "load", None)):
                load()
        return self

    def within(self, llm: LLM) -> Ensemble:
        """The same with scorers whose calls to models keep to the limits of ``llm`` and count in its usage."""
        bound = [bound_scorer(scorer, llm) for scorer in self._scorers]
        return Ensemble(dict(zip(bound, self._weights, strict=True)), self.normalize)

    async def ascore(self, question: Questions, traces: Sequence[Trace | str]) -> Scores:
        """`score` with ``await``; the scorers are asked side by side."""
        read = read_inputs(question, traces)
        asked: dict[str, list[int]] = {}
        for place, (one, _) in enumerate(read):
            asked.setdefault(prompt_text(one), []).append(place)
        columns = await asyncio.gather(*(self._column(scorer, read, asked) for scorer in self._scorers))
        total = [0.0] * len(read)
        for weight, (column, _) in zip(self._weights, columns, strict=True):
            for places in asked.values():
                scaled = _scaled([column[place] for place in places], self.normalize)
                for place, share in zip(places, scaled, strict=True):
                    total[place] += weight * share
        parts: list[dict[str, float]] = [{} for _ in read]
        for name, (column, _) in zip(self._names, columns, strict=True):
            for part, value in zip(parts, column, strict=True):
                if value is not None:
                    part[name] = value
        # What one scorer had to leave out, the ensemble has not read whole.
        cut = [max(counts) for counts in zip(*(left_out for _, left_out in columns), strict=True)]
        return Scores(total, cut, parts)

    def score(self, question: Questions, traces: Sequence[Trace | str]) -> Scores:
        """Score traces.

        Args:
            question: what was asked, as for `Scorer.score`.
            traces: the traces.

        Returns:
            One reward per trace; only those of one call and one question can be compared. ``.parts`` holds what each
            scorer gave, by its name.

        Raises:
            ScoringError: one of the scorers could score no trace.
        """
        return run_sync(self.ascore(question, traces))

    async def _column(
        self, scorer: Scorer, read: Sequence[tuple[Any, Trace]], asked: Mapping[str, list[int]]
    ) -> tuple[list[float | None], list[int]]:
        """What one scorer gives each trace, and how many tokens of each it left out."""
        column: list[float | None] = [None] * len(read)
        cut = [0] * len(read)
        error: Exception | None = None
        calls = list(asked.values()) if is_joint(scorer) else [list(range(len(read)))]
        for places in calls:
            questions = [read[place][0] for place in places]
            same = questions[0] if len(asked) == 1 or is_joint(scorer) else questions
            for place, one in zip(
                places, await score_each(scorer, same, [read[place][1] for place in places]), strict=True
            ):
                column[place], cut[place], error = one.score, one.truncated, one.error or error
        if read and all(value is None for value in column):
            raise ScoringError(f"{scorer_name(scorer)} could score none of the {len(read)} traces: {error}")
        return column, cut

    @classmethod
    def fit(
        cls,
        scorers: Sequence[Scorer | str],
        labelled: Sequence[LabelledQuestion] | str | Path,
        *,
        normalize: Normalize = "z",
    ) -> Ensemble:
        """An ensemble whose weights order right traces above wrong ones of the same question as well as can be.

        The weights maximise the Bradley-Terry likelihood of right against wrong (paper §5.1) and are not negative.
        Questions whose traces are all right or all wrong say nothing.

        Args:
            scorers: the scorers.
            labelled: questions with traces of known correctness, or a JSONL file with ``question``, ``candidates`` and
                ``correct`` a line, as `me2 rerank` reads it.
            normalize: as for the ensemble.

        Returns:
            The ensemble.

        Raises:
            ConfigurationError: no question has both right and wrong traces.
            ScoringError: one of the scorers could score no trace of a question.
        """
        rows = _read(labelled) if isinstance(labelled, str | Path) else labelled
        even = cls(dict.fromkeys(scorers, 1.0), normalize)
        differences: list[np.ndarray[Any, Any]] = []
        for question, traces, correct in rows:
            right = np.array([bool(one) for one in correct])
            if right.all() or not right.any():
                continue
            given = even.score(question, traces).parts
            columns = [_scaled([part.get(name) for part in given], normalize) for name in even.weights]
            features = np.array(columns).T
            pairs = features[right][:, None] - features[~right][None]
            differences.append(pairs.reshape(-1, len(columns)) / math.sqrt(pairs.shape[0] * pairs.shape[1]))
        if not differences:
            raise ConfigurationError(
                "No question has both right and wrong traces, so there is nothing to fit."
            )
        weights = _bradley_terry(np.concatenate(differences))
        return cls(dict(zip(even._scorers, map(float, weights), strict=True)), normalize)


def _distinct(names: Sequence[str]) -> list[str]:
    """Names, numbered where several are the same."""
    return [
        name if names.count(name) == 1 else f"{name}#{names[:place].count(name) + 1}"
        for place, name in enumerate(names)
    ]


def _scaled(values: Sequence[float | None], how: Normalize) -> list[float]:
    """Rewards on one scale; one that is missing is average."""
    if how == "z":
        return standardised(values)
    known = [value for value in values if value is not None]
    others = max(1, len(known) - 1)
    return [
        0.0
        if value is None or len(known) < 2
        else (sum(o < value for o in known) + 0.5 * (sum(o == value for o in known) - 1)) / others - 0.5
        for value in values
    ]


def _bradley_terry(differences: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Weights that are not negative, by projected gradient ascent with a small ridge penalty."""
    weights = np.ones(differences.shape[1])
    rate = 4.0 / (np.square(differences).sum() / len(differences) + 4 * _PENALTY)
    for _ in range(_STEPS):
        slope = (1 / (1 + np.exp(differences @ weights))) @ differences / len(differences)
        weights = np.maximum(0.0, weights + rate * (slope - 2 * _PENALTY * weights))
    return weights


def _read(file: str | Path) -> list[LabelledQuestion]:
    import json

    rows: list[LabelledQuestion] = []
    for number, line in enumerate(Path(file).read_text("utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            question, candidates, correct = record.get("question"), record["candidates"], record["correct"]
            traces = [
                Trace.from_message(one, question) if isinstance(one, dict) else Trace.from_text(one, question)
                for one in candidates
            ]
            if len(traces) != len(correct):
                raise ConfigurationError(f"{len(traces)} candidates and {len(correct)} labels.")
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            InvalidTraceError,
            ConfigurationError,
        ) as error:
            raise ConfigurationError(
                f'Line {number} of {file} cannot be read ({error}). It needs "candidates" and "correct", one for each.'
            ) from error
        rows.append((question, traces, correct))
    return rows
