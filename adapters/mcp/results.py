"""What tools return: structured, and small enough for the context of an agent."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from me2sdk.adapters._shared import choice
from me2sdk.dag import ReasoningDAG
from me2sdk.judge import PairVerdict
from me2sdk.schema import BestOfNResult, Candidate, RerankResult, Usage

__all__ = ["BestAnswer", "Dag", "Rewards", "SortedCandidates", "Verdict"]


class Spent(BaseModel):
    """What was used. What a provider did not report is null."""

    calls: int
    tokens: int | None
    usd: float | None

    @classmethod
    def of(cls, usage: Usage) -> Spent:
        """What ``usage`` says."""
        return cls(calls=usage.calls, tokens=usage.total_tokens, usd=usage.cost)


class GroupedAnswer(BaseModel):
    """One of the answers that candidates give."""

    text: str
    votes: int
    confidence: float | None


class Failed(BaseModel):
    """Something that did not work; the index is that of the candidate, or null where it concerns all."""

    index: int | None
    stage: str
    error: str
    message: str


class Chosen(BaseModel):
    """A candidate."""

    index: int = Field(description="Its place in the order asked for or handed in, from 0.")
    answer: str | None = Field(description="What of it was compared with the others.")
    reward: float | None = Field(
        description="The scorer's reward. Only differences within one call mean something."
    )
    confidence: float | None
    text: str | None = Field(default=None, description="Its response, where that is not known to the caller.")

    @classmethod
    def of(cls, candidate: Candidate, text: bool) -> Chosen:
        """A candidate, with its text or without."""
        return cls(
            index=candidate.index,
            answer=candidate.answer,
            reward=candidate.score,
            confidence=candidate.confidence,
            text=candidate.response if text else None,
        )


class _Choice(BaseModel):
    confidence: float | None = Field(
        description="The chance that the chosen answer is right, from 0 to 1; null where nothing can say."
    )
    abstained: bool = Field(description="Whether the confidence is below min_confidence.")
    chosen_by: str = Field(description="What the choice rests on.")
    answers: list[GroupedAnswer] = Field(
        description="The answers that candidates give, the chosen one first."
    )
    scorer: str
    failures: list[Failed]


def _choice(result: RerankResult) -> dict[str, Any]:
    found = choice(result)
    failures = [
        Failed(index=one.index, stage=one.stage, error=one.error, message=one.message[:500])
        for one in result.failures
    ]
    fields = ("confidence", "abstained", "chosen_by", "answers")
    return {**{name: found[name] for name in fields}, "scorer": result.scorer, "failures": failures}


class BestAnswer(_Choice):
    """The best of several answers of a model."""

    text: str = Field(description="The whole best response.")
    answer: str | None = Field(description="The final answer that it states, if it states one.")
    reward: float | None
    asked: int = Field(description="Candidates that were asked for.")
    answered: int = Field(description="Candidates that came back.")
    stopped_early: bool
    seconds: float
    usage: Spent
    candidates: list[Chosen] = Field(description="All of them, best first, where the call asks for them.")

    @classmethod
    def of(cls, result: BestOfNResult, show_all: bool) -> BestAnswer:
        """What a result says."""
        best = result.candidates[0]
        return cls(
            **_choice(result),
            text=best.response,
            answer=best.answer,
            reward=best.score,
            asked=result.asked,
            answered=len(result.candidates),
            stopped_early=result.stopped_early,
            seconds=round(result.seconds, 3),
            usage=Spent.of(result.usage),
            candidates=[Chosen.of(one, text=True) for one in result.candidates] if show_all else [],
        )


class SortedCandidates(_Choice):
    """Candidates that were handed in, in order."""

    order: list[int] = Field(
        description="Places of the candidates, best first; those that cannot be read are left out."
    )
    candidates: list[Chosen] = Field(description="The same with rewards, best first.")

    @classmethod
    def of(cls, result: RerankResult) -> SortedCandidates:
        """What a result says."""
        ranked = [Chosen.of(one, text=False) for one in result.candidates]
        return cls(**_choice(result), order=[one.index for one in ranked], candidates=ranked)


class Rewards(BaseModel):
    """Rewards of traces, higher is better. Only differences within one call mean something."""

    scorer: str
    rewards: list[float]
    truncated: list[int] = Field(description="For each trace, tokens that the scorer had to leave out.")


class DimensionResult(BaseModel):
    """The verdict on one dimension."""

    preference: Literal["a", "b", "tie", "failed"]
    agreement: float
    rationale: str


class Verdict(BaseModel):
    """Which of two traces is reasoned better."""

    preference: Literal["a", "b", "tie"] = Field(
        description="a or b only where all judgements in both orders agree."
    )
    agreement: float = Field(description="Share of the most frequent decision.")
    rationale: str
    dimensions: dict[str, DimensionResult]
    usage: Spent

    @classmethod
    def of(cls, verdict: PairVerdict) -> Verdict:
        """What a verdict says."""
        dimensions = {
            dimension.value: DimensionResult(
                preference=one.preference, agreement=one.agreement, rationale=one.rationale
            )
            for dimension, one in verdict.dimensions.items()
        }
        return cls(
            preference=verdict.preference,
            agreement=verdict.agreement,
            rationale=verdict.rationale,
            dimensions=dimensions,
            usage=Spent.of(verdict.usage),
        )


class DagStep(BaseModel):
    """A step of the trace."""

    id: int
    action: str = Field(description="root, continue, backtrack or merge.")
    parents: list[int]
    text: str = Field(description="Its beginning.")


class Dag(BaseModel):
    """A trace as a graph of its steps."""

    metrics: dict[str, float] = Field(
        description="Its shape in numbers: steps, branches, depth, backtrack_rate, …"
    )
    main_path: list[int] = Field(description="Steps that lead to the answer.")
    steps: list[DagStep]
    errors: list[str] = Field(
        description="Steps whose annotation could not be read; they continue the main path."
    )
    mermaid: str | None = Field(description="The graph as a Mermaid diagram, where the call asks for it.")

    @classmethod
    def of(cls, dag: ReasoningDAG, characters: int, mermaid: bool) -> Dag:
        """What a DAG says; of each step so many characters."""
        steps = [
            DagStep(id=node.id, action=node.action, parents=list(node.parents), text=node.text[:characters])
            for node in dag.nodes
        ]
        return cls(
            metrics=dag.metrics().model_dump(),
            main_path=list(dag.dominant_path()),
            steps=steps,
            errors=[f"step {error.step}: {error.message}" for error in dag.errors],
            mermaid=dag.to_mermaid() if mermaid else None,
        )
