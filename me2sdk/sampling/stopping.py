"""When enough candidates have been sampled: the chance that more of them would choose the same answer."""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import lgamma
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from me2sdk.errors import ConfigurationError
from me2sdk.sampling.decision import ballot_of
from me2sdk.schema import BestOfNResult, Candidate
from me2sdk.verify import normalize_answer

__all__ = ["Stop", "Tally", "chance_to_stay", "check_stop", "next_wave", "split_stop", "tally"]

Stop = float | Literal["sure"] | Callable[[BestOfNResult], "bool | Awaitable[bool]"] | None
"""When sampling ends before all candidates are asked for; `best_of_n` lists the forms."""


@dataclass(frozen=True)
class Tally:
    """Votes so far.

    Attributes:
        leader: votes of the leading answer.
        certain: those of them that are for the same answer whatever else will be said: "5" and "5 m" are one answer
            until somebody says "5 cm".
        second: votes of the next answer.
        others: all other votes.
        unanswered: finished candidates that hold no answer. Where they are most, answers do not decide.
    """

    leader: int = 0
    certain: int = 0
    second: int = 0
    others: int = 0
    unanswered: int = 0

    @property
    def votes(self) -> int:
        """All votes."""
        return self.leader + self.second + self.others


def check_stop(stop: Stop) -> None:
    """Refuse what is no rule to stop by.

    Raises:
        ConfigurationError: it is none.
    """
    number = isinstance(stop, int | float) and not isinstance(stop, bool)
    if stop is None or stop == "sure" or callable(stop) or (number and 0.5 <= stop < 1):
        return
    if isinstance(stop, str):
        raise ConfigurationError(
            f'There is no stop={stop!r}; names are "sure". Texts that end an answer go in a list: stop=[{stop!r}].'
        )
    raise ConfigurationError(
        f'stop is a chance of at least 0.5 and below 1 (0.95, say), "sure", or a function; it is {stop!r}.'
    )


def split_stop(stop: Any, params: dict[str, Any], *, texts: bool = False) -> Stop:
    """When sampling ends; texts at which the model is to end an answer, which bear the same name, go to ``params``.

    Args:
        stop: what the caller passed.
        params: what is sent to the model; changed.
        texts: whether a single text, too, is meant for the model, as LiteLLM takes it.
    """
    if isinstance(stop, list | tuple) or (texts and isinstance(stop, str) and stop != "sure"):
        params["stop"] = stop
        return None
    return stop  # type: ignore[no-any-return]


def tally(candidates: Sequence[Candidate], groups: Sequence[int | None]) -> Tally:
    """Count the votes of candidates; ``groups`` are those of their answers."""
    ballot = ballot_of(candidates, groups)
    if not ballot.members:
        return Tally(unanswered=ballot.without)
    ranked = sorted(ballot.members.values(), key=len, reverse=True)
    spelled = Counter(normalize_answer(candidates[place].answer or "") for place in ranked[0])
    leader, second = len(ranked[0]), len(ranked[1]) if len(ranked) > 1 else 0
    others = sum(map(len, ranked)) - leader - second
    return Tally(leader, max(spelled.values()), second, others, ballot.without)


@functools.lru_cache(maxsize=4096)
def chance_to_stay(leader: int, second: int, others: int, missing: int) -> float:
    """The chance that the leading answer still leads the next one after more votes.

    The votes to come are drawn as those that came, with one vote added to each of the leader, the second and all others
    together: the Dirichlet-multinomial distribution with a uniform prior. Equal votes count half.

    Args:
        leader: votes of the leading answer.
        second: votes of the next answer.
        others: all other votes.
        missing: votes to come.
    """
    logs = np.array([lgamma(i + 1) for i in range(missing + 1)])

    def rises(votes: int) -> npt.NDArray[np.float64]:
        """Logarithm of the weight of each number of further votes, for an answer with ``votes`` votes."""
        gained = [lgamma(votes + 1 + i) - lgamma(votes + 1) for i in range(missing + 1)]
        return np.asarray(np.subtract(gained, logs))

    total = leader + second + others + 3
    scale = logs[missing] + lgamma(total) - lgamma(total + missing)
    gains = np.arange(missing + 1)
    to_leader, to_second = gains[:, None], gains[None, :]
    rest = missing - to_leader - to_second
    weights = (
        rises(leader)[:, None]
        + rises(second)[None, :]
        + np.where(rest >= 0, rises(others)[np.maximum(rest, 0)], -np.inf)
    )
    lead = leader + to_leader - second - to_second
    return float((np.exp(weights + scale) * ((lead > 0) + 0.5 * (lead == 0))).sum())


def next_wave(stop: float | Literal["sure"], votes: Tally, left: int) -> int:
    """How many candidates to ask for next: as many as are needed at least before sampling can end.

    Args:
        stop: the chance to reach, or "sure".
        votes: the votes so far.
        left: candidates that may still be asked for.

    Returns:
        0 where sampling can end now, else the number at which it ends if all of them agree with the leader, and at most
        ``left``. No answer that is asked for in this wave could have been saved.
    """

    def enough(more: int) -> bool:
        missing = left - more
        if votes.leader + more < 2:  # one answer agrees with nobody
            return False
        if votes.votes + more < votes.unanswered + (missing if stop == "sure" else 0):
            return False
        if stop == "sure":
            # What is not certain may turn out to be another answer.
            rival = max(votes.second, votes.leader - votes.certain)
            return votes.certain + more > rival + missing
        return chance_to_stay(votes.leader + more, votes.second, votes.others, missing) >= stop

    return min(left, bisect_left(range(left + 1), True, key=enough))
