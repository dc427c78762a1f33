"""The generator's own confidence as a reward, which costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

from me2sdk.errors import ConfigurationError, ScoringError
from me2sdk.schema import Trace
from me2sdk.scorers.base import Questions, read_inputs

__all__ = ["ConfidenceMeasure", "ConfidenceScorer"]

ConfidenceMeasure = Literal[
    "mean", "sum", "tail", "lowest_window", "top_k", "self_certainty", "entropy", "perplexity"
]
"""A measure of `me2sdk.schema.Certainty`."""

_ALTERNATIVES = 10


class _Measure(NamedTuple):
    """Where a measure stands in a `Certainty`, which way is surer, and whether it needs alternatives."""

    field: str
    sign: float = 1.0
    of_alternatives: bool = False


_MEASURES = {
    "mean": _Measure("mean_logprob"),
    "sum": _Measure("sum_logprob"),
    "tail": _Measure("tail"),
    "lowest_window": _Measure("lowest_window"),
    "top_k": _Measure("top_k", of_alternatives=True),
    "self_certainty": _Measure("self_certainty", of_alternatives=True),
    "entropy": _Measure("entropy", -1.0, of_alternatives=True),
    "perplexity": _Measure("perplexity", -1.0),
}


class ConfidenceScorer:
    """Scores a trace by how sure its model was of it, from the log-probabilities of its tokens (``trace.certainty``).

    `best_of_n` asks the model for what the scorer needs. With `rerank`, candidates carry it: choices of a response, or
    messages with ``logprobs``. Scores of different models do not compare.

    Args:
        by: the measure, as `me2sdk.schema.Certainty` explains it (DeepConf, arXiv 2508.15260; self-certainty, arXiv
            2502.18581). Of "entropy" and "perplexity", which fall with confidence, the score is the negative.

    Attributes:
        name: "confidence", or "confidence:" and another measure than "mean".
        request: the parameters that it needs with each call: ``logprobs``, and ``top_logprobs`` for "top_k",
            "self_certainty" and "entropy".

    Raises:
        ConfigurationError: there is no such measure.

    Example:
        ```python
        from me2sdk import rerank

        unsure = {"content": "It is 5.", "logprobs": {"content": [{"logprob": -0.7}, {"logprob": -0.9}]}}
        sure = {"content": "It is 4.", "logprobs": {"content": [{"logprob": -0.1}, {"logprob": -0.1}]}}
        result = rerank("What is 2 + 2?", [unsure, sure], scorer="confidence", select="best")
        print(result.best.index, result.best.score)  # 1 -0.1
        ```
    """

    def __init__(self, by: ConfidenceMeasure = "mean") -> None:
        if by not in _MEASURES:
            raise ConfigurationError(
                f"Confidence is measured by one of {', '.join(get_args(ConfidenceMeasure))}, not by {by!r}."
            )
        self.by = by
        self.name = "confidence" if by == "mean" else f"confidence:{by}"
        self._measure = _MEASURES[by]
        self.request: dict[str, Any] = {"logprobs": True}
        if self._measure.of_alternatives:
            self.request["top_logprobs"] = _ALTERNATIVES

    def score(self, question: Questions, traces: Sequence[Trace | str]) -> list[float]:
        """The confidence of each trace.

        Args:
            question: not read.
            traces: the traces, with their ``certainty``.

        Returns:
            One score per trace; higher is surer.

        Raises:
            ScoringError: a trace has no log-probabilities, or not those that the measure needs.
        """
        return [self._score(index, trace) for index, (_, trace) in enumerate(read_inputs(question, traces))]

    def _score(self, index: int, trace: Trace) -> float:
        if trace.certainty is None:
            raise ScoringError(
                f"Trace {index} came without log-probabilities, so nothing says how sure its model was. Ask the model "
                "with logprobs=True, as best_of_n does, and hand in choices or messages with logprobs. Some providers, "
                "such as Anthropic, give none: take another scorer there."
            )
        value: float | None = getattr(trace.certainty, self._measure.field)
        if value is None:
            raise ScoringError(
                f"The log-probabilities of trace {index} came without alternatives, which {self.name} needs. Ask the "
                f'model with top_logprobs={_ALTERNATIVES}, or take "confidence", which needs none.'
            )
        return self._measure.sign * value
