"""`rank_traces`: several traces in order, from verdicts on few of their pairs."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from me2sdk._sync import all_or_none, run_sync
from me2sdk._tracing import span, traced
from me2sdk.errors import ConfigurationError, InvalidTraceError, JudgeError, ME2Error
from me2sdk.judge.pair import Case, check_repeats, shared_question
from me2sdk.judge.verdicts import Comparison, PairFailure, PairVerdict, Preference, Ranking
from me2sdk.judge.views import Exhibit, Judged, Parsing
from me2sdk.llm import LLM, Budget, open_llm
from me2sdk.schema import Question

if TYPE_CHECKING:
    from me2sdk.annotate import Annotator

__all__ = ["arank_traces", "bradley_terry", "expected_comparisons", "rank_traces"]

_PRIOR = 0.02  # precision of the normal prior on strengths: so wide that it hardly moves what verdicts say


@traced("rank_traces")
async def arank_traces(
    question: Question | None,
    traces: Sequence[Judged],
    *,
    model: Any,
    repeats: int = 3,
    structure: bool = True,
    early_stop: bool = False,
    annotator: Annotator | Literal["local"] | None = None,
    max_concurrency: int = 16,
    cache: bool | str | Path | None = None,
    budget: Budget | None = None,
    timeout: float = 120.0,
    **params: Any,
) -> Ranking:
    """Put several traces in order, best-reasoned first; `rank_traces` with ``await``."""
    started = time.perf_counter()
    check_repeats(repeats)
    if isinstance(traces, str) or len(traces) == 0:
        raise InvalidTraceError("rank_traces needs a list with at least one trace.")
    llm = open_llm(
        model,
        verb="rank_traces",
        budget=budget,
        cache=cache,
        max_concurrency=max_concurrency,
        timeout=timeout,
    )
    parsing = Parsing(llm, annotator, params) if structure else None
    async with AsyncExitStack() as stack:
        exhibits = [await stack.enter_async_context(Exhibit(item, question, parsing)) for item in traces]
        text = shared_question(question, *exhibits)
        table = _Table(text, exhibits, llm, params, repeats=repeats, early_stop=early_stop)
        order = await table.sort()
        strengths = table.strengths()
    if len(exhibits) > 1 and not table.comparisons:
        reasons = "; ".join(dict.fromkeys(failure.message for failure in table.failures))[:1000]
        raise JudgeError(f"None of the pairs could be compared. {reasons}", usage=llm.usage)
    compared = {place for pair in table.comparisons for place in pair}
    return Ranking(
        order=tuple(order),
        ranks=tuple(table.ranks(order)),
        strengths=tuple(
            strength if place in compared or len(exhibits) == 1 else None
            for place, strength in enumerate(strengths)
        ),
        comparisons=tuple(table.comparisons.values()),
        failures=tuple(table.failures),
        dags=tuple(exhibit.dag for exhibit in exhibits),
        usage=llm.usage,
        seconds=time.perf_counter() - started,
    )


def rank_traces(
    question: Question | None,
    traces: Sequence[Judged],
    *,
    model: Any,
    repeats: int = 3,
    structure: bool = True,
    early_stop: bool = False,
    annotator: Annotator | Literal["local"] | None = None,
    max_concurrency: int = 16,
    cache: bool | str | Path | None = None,
    budget: Budget | None = None,
    timeout: float = 120.0,
    **params: Any,
) -> Ranking:
    """Put several traces in order, best-reasoned first, from verdicts on pairs of them.

    Pairs are compared as a sorting network would (Batcher's merge exchange), whose rounds hold pairs that can
    be judged side by side; a pair whose order already follows from others is left out. A Bradley-Terry model
    is fitted to the verdicts (a tie is half a win for each), and neighbours in its order that have not met are
    compared too. Each DAG and summary is made once. A pair that fails costs the others nothing.

    Args:
        question: as in `judge_pair`.
        traces: two or more of what `judge_pair` takes.
        model: as in `judge_pair`.
        repeats: as in `judge_pair`.
        structure: as in `judge_pair`.
        early_stop: as in `judge_pair`.
        annotator: as in `judge_pair`.
        max_concurrency: as in `judge_pair`, over all pairs.
        cache: as in `judge_pair`.
        budget: as in `judge_pair`.
        timeout: as in `judge_pair`.
        **params: as in `judge_pair`.

    Returns:
        A `Ranking`: ``.order`` holds places in ``traces``, best first; ``.strengths``, ``.comparisons``.

    Raises:
        JudgeError: no pair could be compared.
        InvalidTraceError: there are no traces, or one is empty.
        ConfigurationError: an argument cannot work.
    """
    return run_sync(
        arank_traces(
            question,
            traces,
            model=model,
            repeats=repeats,
            structure=structure,
            early_stop=early_stop,
            annotator=annotator,
            max_concurrency=max_concurrency,
            cache=cache,
            budget=budget,
            timeout=timeout,
            **params,
        )
    )


class _Sorting:
    """Who met whom, and how it ended."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.comparisons: dict[tuple[int, int], Comparison] = {}
        self.failures: list[PairFailure] = []
        self._beaten: list[set[int]] = [
            set() for _ in range(count)
        ]  # whom each one beat, directly or by others

    async def sort(self) -> list[int]:
        """Compare until the order is clear; returns the traces that have a verdict, best first."""
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
        # Equal strengths stay as sorted; rounded, since they come out of an iteration.
        ranked = [place for place in places if place in compared or len(places) == 1]
        return sorted(ranked, key=lambda place: -round(strengths[place], 9))

    async def _compare(self, pairs: Iterable[tuple[int, int]], *, also_known: bool = False) -> None:
        """Judge those of ``pairs`` that have not met, and whose order does not follow from others."""
        met = {*self.comparisons, *((failure.a, failure.b) for failure in self.failures)}
        wanted = {(min(pair), max(pair)) for pair in pairs} - met
        if not also_known:
            wanted = {(a, b) for a, b in wanted if a not in self._beaten[b] and b not in self._beaten[a]}
        await all_or_none(*(self._judge(a, b) for a, b in sorted(wanted)))

    async def _judge(self, a: int, b: int) -> None:
        """Compare two and `_enter` how it ended."""
        raise NotImplementedError

    def _enter(self, a: int, b: int, verdict: PairVerdict) -> None:
        self.comparisons[a, b] = Comparison(a=a, b=b, verdict=verdict)
        if verdict.preference != "tie":
            self._learn(*((a, b) if verdict.preference == "a" else (b, a)))

    def _learn(self, better: int, worse: int) -> None:
        below = {worse, *self._beaten[worse]}
        for place, beaten in enumerate(self._beaten):
            if place == better or better in beaten:
                beaten |= below - {place}

    def strengths(self) -> list[float]:
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


class _Table(_Sorting):
    """Sorting by what a judge says."""

    def __init__(
        self,
        question: str,
        exhibits: Sequence[Exhibit],
        llm: LLM,
        params: Mapping[str, Any],
        *,
        repeats: int,
        early_stop: bool,
    ) -> None:
        super().__init__(len(exhibits))
        self._question = question
        self._exhibits = exhibits
        self._llm = llm
        self._params = params
        self._repeats, self._early_stop = repeats, early_stop

    async def _judge(self, a: int, b: int) -> None:
        case = Case(self._question, self._exhibits[a], self._exhibits[b], self._llm.session(), self._params)
        try:
            with span("verb", "judge_pair", pair=(a, b)) as watched:
                verdict = await case.judge(self._repeats, early_stop=self._early_stop)
                watched.tell(result=verdict)
        except ConfigurationError:
            raise
        except ME2Error as error:
            failure = PairFailure(a=a, b=b, error=type(error).__name__, message=str(error)[:2000])
            self.failures.append(failure)
            return
        self._enter(a, b, verdict.model_copy(update={"dag_a": None, "dag_b": None}))


_NO_VERDICT = PairVerdict(
    preference="tie", agreement=0.0, consistent=False, rationale="", dimensions={}, aggregate=()
)


class _Draw(_Sorting):
    """Sorting by chance: the order is one of all, and some pairs tie."""

    def __init__(self, count: int, agreement: float, draw: random.Random) -> None:
        super().__init__(count)
        self._agreement, self._draw = agreement, draw
        self._quality = draw.sample(range(count), count)

    async def _judge(self, a: int, b: int) -> None:
        preference: Preference = "tie"
        if self._draw.random() < self._agreement:
            preference = "a" if self._quality[a] > self._quality[b] else "b"
        self._enter(a, b, _NO_VERDICT.model_copy(update={"preference": preference}))


async def expected_comparisons(count: int, agreement: float) -> float:
    """How many pairs of ``count`` traces are compared, on average over orders.

    Args:
        count: how many traces.
        agreement: share of pairs that do not tie.
    """
    draw = random.Random(count)
    rounds = max(4, min(40, 800 // count))
    tables = [_Draw(count, agreement, draw) for _ in range(rounds)]
    for table in tables:
        await table.sort()
    return sum(len(table.comparisons) for table in tables) / rounds


def merge_exchange(count: int) -> Iterator[list[tuple[int, int]]]:
    """Batcher's sorting network (Knuth, TAOCP 3, 5.2.2 M): layers of pairs of places, disjoint in each layer."""
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

    A wide normal prior around 0 keeps them finite where one wins always, and 0 for whoever never met anyone.

    Args:
        count: how many there are.
        wins: for each ordered pair how often the first beat the second; a tie is half a win for each.

    Returns:
        A strength for each, in log-odds; their mean is 0.
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
