"""How sure a model was of what it wrote, from the log-probabilities of its tokens."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate, zip_longest
from numbers import Real
from typing import Any, NamedTuple

from me2sdk.schema.question import Value

__all__ = ["Certainty"]

_LEAST = -30.0  # 1e-13: what servers write as -9999 or minus infinity must not outweigh a whole trace
_TAIL = 64  # tokens, at least
_TAIL_SHARE = 10  # percent of the tokens
_WINDOW = 32  # tokens: about a step of a short solution


class Certainty(Value):
    """How sure a model was of what it wrote; the measures of DeepConf (arXiv 2508.15260) and self-certainty.

    Those of the tokens that were written need their log-probabilities alone. DeepConf takes its tail and its lowest
    group over ``top_k``, and over 2,048 tokens; here they are short enough for answers of a few hundred. Measures of
    different models do not compare, and neither do those of different numbers of alternatives.

    Attributes:
        tokens: how many tokens had a log-probability. It counts as -30 where it is lower, or minus infinity.
        mean_logprob: mean log-probability of the tokens.
        sum_logprob: their sum, the log-probability of the whole text.
        perplexity: exp(-mean_logprob); lower is surer.
        tail: mean of the last tenth of the tokens, or of the last 64 where that is more.
        lowest_window: lowest mean of 32 tokens in a row.
        top_k: mean over the tokens of minus the mean log-probability of the k most likely alternatives (DeepConf's
            average trace confidence); None, like the next two, where the provider sent fewer than two.
        self_certainty: mean divergence of those k, as a distribution, from a uniform one (arXiv 2502.18581 takes it
            over the whole vocabulary).
        entropy: mean entropy in nats of those k, as a distribution; lower is surer.

    Example:
        ```python
        from me2sdk.schema import Certainty

        content = [{"token": "4", "logprob": -0.2}, {"token": ".", "logprob": -0.4}]
        certainty = Certainty.from_logprobs({"content": content})  # response.choices[0].logprobs
        print(round(certainty.mean_logprob, 2), certainty.tokens)  # -0.3 2
        ```
    """

    tokens: int
    mean_logprob: float
    sum_logprob: float
    perplexity: float
    tail: float
    lowest_window: float
    top_k: float | None = None
    self_certainty: float | None = None
    entropy: float | None = None

    @classmethod
    def from_logprobs(cls, logprobs: Any) -> Certainty | None:
        """Read what a provider sent as ``logprobs``.

        Args:
            logprobs: a dict or an object of OpenAI's form, with ``content`` or, as completions have it, with
                ``token_logprobs`` and ``top_logprobs``; or a list of entries with ``logprob`` and perhaps
                ``top_logprobs``. Entries without a number are left out.

        Returns:
            The measures, or None where it holds no log-probability.
        """
        entries = list(_entries(logprobs))
        values = [value for value, _ in entries if value is not None]
        if not values:
            return None
        total = math.fsum(values)
        mean = total / len(values)
        spread = _spread([top for _, top in entries if len(top) > 1])
        return cls(
            tokens=len(values),
            mean_logprob=mean,
            sum_logprob=total,
            perplexity=math.exp(-mean),
            tail=_mean(values[-max(_TAIL, math.ceil(len(values) * _TAIL_SHARE / 100)) :]),
            lowest_window=_lowest_window(values),
            **({} if spread is None else spread._asdict()),
        )


class _Spread(NamedTuple):
    """Measures over the most likely alternatives of tokens."""

    top_k: float
    self_certainty: float
    entropy: float


def _entries(logprobs: Any) -> Iterable[tuple[float | None, list[float]]]:
    """For each token its log-probability, or None, and those of its alternatives, in any order."""
    content = logprobs if isinstance(logprobs, (list, tuple)) else _get(logprobs, "content")
    if isinstance(content, (list, tuple)):
        for entry in content:
            yield _number(entry), _numbers(_get(entry, "top_logprobs"))
        return
    values, tops = _get(logprobs, "token_logprobs"), _get(logprobs, "top_logprobs")
    if isinstance(values, (list, tuple)):
        tops = tops if isinstance(tops, (list, tuple)) else []
        for value, top in zip_longest(values, tops[: len(values)]):
            yield _number(value), _numbers(top)


def _numbers(top: Any) -> list[float]:
    """The log-probabilities of a list of entries, or of a dict by token."""
    items = top.values() if isinstance(top, dict) else top if isinstance(top, (list, tuple)) else ()
    return [value for item in items if (value := _number(item)) is not None]


def _number(entry: Any) -> float | None:
    """The log-probability of an entry, which may be the number itself."""
    value: Any = entry if isinstance(entry, Real) else _get(entry, "logprob")
    numeric = isinstance(value, Real) and not isinstance(value, bool)
    if not numeric or value != value:
        return None
    return float(min(0.0, max(_LEAST, value)))


def _get(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _lowest_window(values: Sequence[float]) -> float:
    size = min(_WINDOW, len(values))
    sums = [0.0, *accumulate(values)]
    return min(end - start for start, end in zip(sums, sums[size:], strict=False)) / size


def _spread(tops: Sequence[list[float]]) -> _Spread | None:
    if not tops:
        return None
    # Some servers add the token that was written where it is none of the k, so k is what most of the tokens have.
    k = Counter(map(len, tops)).most_common(1)[0][0]
    found = [_spread_of(sorted(top, reverse=True)[:k]) for top in tops]
    return _Spread(*map(_mean, zip(*found, strict=True)))


def _spread_of(top: Sequence[float]) -> _Spread:
    mean = _mean(top)
    log_total = math.log(math.fsum(map(math.exp, top)))
    shares = [value - log_total for value in top]  # logarithms of their shares in the sum
    entropy = -math.fsum(math.exp(share) * share for share in shares)
    return _Spread(-mean, log_total - mean - math.log(len(top)), entropy)
