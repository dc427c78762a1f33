"""Comparing pairs until an order is clear: a sorting network, and a Bradley-Terry model of the verdicts."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from me2sdk._sync import all_or_none
from me2sdk._tracing import span
from me2sdk.errors import ConfigurationError, ME2Error
from me2sdk.judge.pair import PairComparison
from me2sdk.judge.verdicts import Comparison, PairFailure, PairVerdict, Preference
from me2sdk.judge.views import JudgedTrace
from me2sdk.llm import LLM, Structured

__all__ = [
    "JudgedTournament",
    "SimulatedTournament",
    "Tournament",
    "bradley_terry",
    "expected_comparisons",
    "merge_exchange",
]

_PRIOR = 0.02  # precision of the normal prior on strengths: so wide that it hardly moves them


class Tournament:
    """Sorts traces, given as numbers, by comparing pairs of them. How a pair is compared is up to subclasses.

    Args:
        count: how many traces there are.

    Attributes:
        comparisons: by pair of traces, the smaller number first.
        failures: pairs that could not be compared.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self.comparisons: dict[tuple[int, int], Comparison] = {}
        self.failures: list[PairFailure] = []
        self._beaten: list[set[int]] = [set() for _ in range(count)]  # directly, or through others

    async def sort(self) -> list[int]:
        """Compare until the order is clear; return the traces that have a verdict, best first."""
        places = list(range(self._count))
        for layer in merge_exchange(self._count):
            await self._compare((places[i], places[j]) for i, j in layer)
            for i, j in layer:
                if places[i] in self._beaten[places[j]]:
                    places[i], places[j] = places[j], places[i]
        while True:
            order = self._order(places)
            met = len(self.comparisons) + len(self.failures)
            await self._compare(itertools.pairwise(order), also_known=True)
            if len(self.comparisons) + len(self.failures) == met:
                return order

    def _order(self, places: Sequence[int]) -> list[int]:
        strengths = self.strengths()
        compared = {place for pair in self.comparisons for place in pair}
        # Equal strengths keep the sorted order; they are rounded since they come out of an iteration.
        ranked = [place for place in places if place in compared or len(places) == 1]
        return sorted(ranked, key=lambda place: -round(strengths[place], 9))

    async def _compare(self, pairs: Iterable[tuple[int, int]], *, also_known: bool = False) -> None:
        """Judge the pairs that have not met, and whose order does not follow from other verdicts."""
        met = {*self.comparisons, *((failure.a, failure.b) for failure in self.failures)}
        wanted = {(min(pair), max(pair)) for pair in pairs} - met
        if not also_known:
            wanted = {(a, b) for a, b in wanted if a not in self._beaten[b] and b not in self._beaten[a]}
        await all_or_none(*(self._judge(a, b) for a, b in sorted(wanted)))

    async def _judge(self, a: int, b: int) -> None:
        """Compare two traces and record how it ended."""
        raise NotImplementedError

    def _record(self, a: int, b: int, verdict: PairVerdict) -> None:
        self.comparisons[a, b] = Comparison(a=a, b=b, verdict=verdict)
        if verdict.preference != "tie":
            self._add_win(*((a, b) if verdict.preference == "a" else (b, a)))

    def _add_win(self, better: int, worse: int) -> None:
        below = {worse, *self._beaten[worse]}
        for place, beaten in enumerate(self._beaten):
            if place == better or better in beaten:
                beaten |= below - {place}

    def strengths(self) -> list[float]:
        """The Bradley-Terry strength of each trace, in log-odds; 0 for those without a verdict."""
        wins: dict[tuple[int, int], float] = {}
        for (a, b), comparison in self.comparisons.items():
            share = {"a": 1.0, "b": 0.0, "tie": 0.5}[comparison.verdict.preference]
            wins[a, b], wins[b, a] = share, 1.0 - share
        return bradley_terry(self._count, wins)

    def ranks(self, order: Sequence[int]) -> Iterator[int]:
        """Ranks from 1; neighbours with a tie share one."""
        rank = 0
        for number, place in enumerate(order):
            pair = tuple(sorted((order[number - 1], place)))
            met = self.comparisons.get((pair[0], pair[1])) if number else None
            if met is None or met.verdict.preference != "tie":
                rank = number + 1
            yield rank


class JudgedTournament(Tournament):
    """A tournament decided by a judge.

    Args:
        question: what was asked, as text.
        traces: the traces.
        llm: the judge.
        params: parameters of the calls.
        repeats: how often a pair is judged in each order.
        early_stop: whether to stop asking about a pair once its label can only be a tie.
        structured: whether the judge is held to a JSON schema.
    """

    def __init__(
        self,
        question: str,
        traces: Sequence[JudgedTrace],
        llm: LLM,
        params: Mapping[str, Any],
        *,
        repeats: int,
        early_stop: bool,
        structured: Structured = False,
    ) -> None:
        super().__init__(len(traces))
        self._question = question
        self._traces = traces
        self._llm = llm
        self._params = params
        self._repeats, self._early_stop = repeats, early_stop
        self._structured = structured

    async def _judge(self, a: int, b: int) -> None:
        comparison = PairComparison(
            self._question,
            self._traces[a],
            self._traces[b],
            self._llm.session(),
            self._params,
            structured=self._structured,
        )
        try:
            with span("verb", "judge_pair", pair=(a, b)) as watched:
                verdict = await comparison.judge(self._repeats, early_stop=self._early_stop)
                watched.record(result=verdict)
        except ConfigurationError:
            raise
        except ME2Error as error:
            failure = PairFailure(a=a, b=b, error=type(error).__name__, message=str(error)[:2000])
            self.failures.append(failure)
            return
        self._record(a, b, verdict.model_copy(update={"dag_a": None, "dag_b": None}))


_NO_VERDICT = PairVerdict(
    preference="tie", agreement=0.0, consistent=False, rationale="", dimensions={}, aggregate=()
)


class SimulatedTournament(Tournament):
    """A tournament decided by chance: one of all orders is the true one, and some pairs tie.

    Args:
        count: how many traces there are.
        agreement: probability that a pair does not tie.
        draw: the source of chance.
    """

    def __init__(self, count: int, agreement: float, draw: random.Random) -> None:
        super().__init__(count)
        self._agreement, self._draw = agreement, draw
        self._quality = draw.sample(range(count), count)

    async def _judge(self, a: int, b: int) -> None:
        preference: Preference = "tie"
        if self._draw.random() < self._agreement:
            preference = "a" if self._quality[a] > self._quality[b] else "b"
        self._record(a, b, _NO_VERDICT.model_copy(update={"preference": preference}))


async def expected_comparisons(count: int, agreement: float) -> float:
    """How many pairs a ranking compares, on average over simulated orders.

    Args:
        count: how many traces are ranked.
        agreement: share of pairs that do not tie.

    Returns:
        The average number of pairs.
    """
    draw = random.Random(count)
    rounds = max(4, min(40, 800 // count))
    tournaments = [SimulatedTournament(count, agreement, draw) for _ in range(rounds)]
    for tournament in tournaments:
        await tournament.sort()
    return sum(len(tournament.comparisons) for tournament in tournaments) / rounds


def merge_exchange(count: int) -> Iterator[list[tuple[int, int]]]:
    """Batcher's sorting network (Knuth, TAOCP 3, 5.2.2 M).

    Args:
        count: how many places there are to sort.

    Returns:
        Layers of pairs of places. The pairs of a layer are disjoint, so they can be compared side by side.
    """
    top = 1 << max(0, (count - 1).bit_length() - 1)
    p = top if count > 1 else 0
    while p:
        q, r, d = top, 0, p
        while d:
            yield [(i, i + d) for i in range(count - d) if i & p == r]
            d, q, r = q - p, q // 2, p
        p //= 2


def bradley_terry(count: int, wins: Mapping[tuple[int, int], float]) -> list[float]:
    """Strengths that make ``wins`` most likely under P(i beats j) = sigmoid(s_i - s_j).

    A wide normal prior around 0 keeps the strength of one that always wins finite, and that of one that was never
    compared at 0.

    Args:
        count: how many are compared.
        wins: for each ordered pair, how often the first beat the second; a tie is half a win for each.

    Returns:
        Strengths in log-odds, whose mean is 0.
    """
    import numpy as np

    won = np.zeros((count, count))
    for (winner, loser), times in wins.items():
        won[winner, loser] = times
    met = won + won.T
    strengths = np.zeros(count)
    for _ in range(200):  # Newton's method; far fewer are needed
        chance = 1.0 / (1.0 + np.exp(strengths[None, :] - strengths[:, None]))
        slope = (won - met * chance).sum(axis=1) - _PRIOR * strengths
        spread = met * chance * (1.0 - chance)
        curve = np.diag(spread.sum(axis=1) + _PRIOR) - spread
        step = np.linalg.solve(curve, slope)
        strengths += step * min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-12))  # else it may overshoot
        if float(np.abs(step).max()) < 1e-10:
            break
    return [float(strength) for strength in strengths]
