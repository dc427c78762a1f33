"""What judging returns: the verdict on a pair of traces, and the ranking of several.

All of them serialise with ``model_dump_json()`` and load back equal with ``model_validate_json()``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from me2sdk._choices import Dimension
from me2sdk.dag import ReasoningDAG
from me2sdk.schema import Failure, Usage, Value, Vote

__all__ = [
    "Comparison",
    "DimensionVerdict",
    "PairFailure",
    "PairVerdict",
    "Preference",
    "Ranking",
]

Preference = Literal["a", "b", "tie"]
"""Which of two traces is preferred, if any."""


class DimensionVerdict(Value):
    """The label of the votes on one dimension.

    Attributes:
        preference: "a" or "b" if all votes that could be read say so and each order has one; "failed" if an order
            has none, so that nothing is known; otherwise "tie".
        agreement: share of the most frequent decision among the votes that could be read; 0.0 if none could.
        rationale: that of the first vote; if votes disagree, of the first vote for each decision.
        votes: every vote, failed ones included, in the order of repeats.
    """

    preference: Literal["a", "b", "tie", "failed"]
    agreement: float
    rationale: str
    votes: tuple[Vote, ...]


class PairVerdict(Value):
    """Which of two traces is reasoned better (paper §4.3).

    Attributes:
        preference: "a" or "b" where all aggregate votes that could be read agree on it, else "tie".
        agreement: share of the most frequent decision among these votes.
        consistent: whether all of them say the same, even if that is a tie.
        rationale: that of the first of these votes; if they disagree, of the first for each decision.
        dimensions: the verdict on each dimension, by the same rule.
        aggregate: the votes that the preference comes from.
        stopped_early: whether asking stopped because the votes could no longer agree.
        models: the models that judged.
        prompts: version of each prompt that was used.
        dag_a: the DAG of trace a, or None without structure.
        dag_b: the DAG of trace b, or None without structure.
        failures: super-nodes of a and b whose summary failed, so that an extract replaced it. Their
            ``index`` is the super-node.
        usage: what this verdict cost: the judgements, and the DAGs and summaries made for it.
        seconds: wall-clock time.

    Example:
        ```python
        from me2sdk import Dimension, judge_pair

        judge = lambda messages, **params: "Both are right. <|decision|>Tie"  # or "openai/gpt-4o-mini"
        verdict = judge_pair("What is 2 + 2?", "It is 4.", "Four.", model=judge, structure=False, repeats=1)
        print(verdict.dimensions[Dimension.MICRO_EFFICIENCY].preference, len(verdict.votes))  # tie 10
        ```
    """

    preference: Preference
    agreement: float
    consistent: bool
    rationale: str
    dimensions: dict[Dimension, DimensionVerdict]
    aggregate: tuple[Vote, ...]
    stopped_early: bool = False
    models: tuple[str, ...] = ()
    prompts: dict[str, int] = Field(default_factory=dict)
    dag_a: ReasoningDAG | None = None
    dag_b: ReasoningDAG | None = None
    failures: tuple[Failure, ...] = ()
    usage: Usage = Usage()
    seconds: float = Field(default=0.0, ge=0)

    @property
    def votes(self) -> tuple[Vote, ...]:
        """All votes: those on the four dimensions, then the aggregate ones."""
        return tuple(v for d in self.dimensions.values() for v in d.votes) + self.aggregate


class Comparison(Value):
    """A pair that was compared for a ranking.

    Attributes:
        a: place in the input of the trace that the verdict calls a.
        b: place in the input of the one that it calls b.
        verdict: the verdict. Its DAGs are left out, since the ranking holds them once; `Ranking.comparison` puts
            them back.
    """

    a: int
    b: int
    verdict: PairVerdict


class PairFailure(Value):
    """A pair that could not be compared.

    Attributes:
        a: place in the input of one trace.
        b: place in the input of the other.
        error: name of the exception class.
        message: what it said, without keys.
    """

    a: int
    b: int
    error: str
    message: str


class Ranking(Value):
    """Several traces in order, best-reasoned first.

    Attributes:
        order: places in the input, best first. Only traces with at least one verdict are ranked.
        ranks: for each trace in ``order`` its rank from 1. Neighbours whose verdict is a tie share one.
        strengths: for each trace of the input its Bradley-Terry strength (log-odds; the mean is 0; the
            difference of two is the fitted logit of one being preferred), or None if it has no verdict.
        comparisons: every verdict, in the order in which they were asked for.
        failures: pairs that could not be compared.
        dags: the DAG of each trace of the input, or None without structure or where it failed.
        usage: what everything cost, DAGs and summaries included.
        seconds: wall-clock time.

    Example:
        ```python
        from me2sdk import rank_traces

        judge = lambda messages, **params: "Both are right. <|decision|>Tie"  # or "openai/gpt-4o-mini"
        ranking = rank_traces("What is 2 + 2?", ["It is 4.", "Four."], model=judge, structure=False)
        print(ranking.comparison(0, 1).verdict.preference)  # tie
        ```
    """

    order: tuple[int, ...]
    ranks: tuple[int, ...]
    strengths: tuple[float | None, ...]
    comparisons: tuple[Comparison, ...]
    failures: tuple[PairFailure, ...] = ()
    dags: tuple[ReasoningDAG | None, ...] = ()
    usage: Usage = Usage()
    seconds: float = Field(default=0.0, ge=0)

    @property
    def unranked(self) -> tuple[int, ...]:
        """Traces without any verdict, since every comparison with them failed."""
        return tuple(place for place, strength in enumerate(self.strengths) if strength is None)

    def comparison(self, first: int, second: int) -> Comparison | None:
        """The comparison of two traces of the input, in either order, with their DAGs; None if there is none."""
        for found in self.comparisons:
            if {found.a, found.b} == {first, second}:
                dags = {"dag_a": self.dags[found.a], "dag_b": self.dags[found.b]}
                return found.model_copy(update={"verdict": found.verdict.model_copy(update=dags)})
        return None
