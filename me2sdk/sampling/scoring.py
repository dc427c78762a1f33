"""Scoring candidates: equal ones once, each failure on record."""

from __future__ import annotations

from typing import Any, Literal

from me2sdk._tracing import CandidateSpans
from me2sdk.schema import Candidate, Certainty, Failure, Question, Trace
from me2sdk.scorers import ScoredTrace, Scorer, score_each, scorer_name

__all__ = ["KnownScores", "failure", "score_candidates"]

TraceKey = tuple[str, str | None, bool, Certainty | None]
KnownScores = dict[TraceKey, ScoredTrace]
"""What is known of traces that were scored, by their texts and their certainty."""


async def score_candidates(
    scorer: Scorer | None,
    question: Question | None,
    candidates: list[Candidate],
    failures: list[Failure],
    spans: CandidateSpans | None,
    known: KnownScores | None,
) -> list[Candidate]:
    """Candidates with their rewards, then refusals, which have none. What fails is added to ``failures``.

    Equal traces are scored once: what is found is kept in ``known`` for the next call. Where ``known`` is None each is
    scored, since the scorer looks at all of them side by side. Without a scorer none is scored. Without ``spans`` these
    go on, since the candidates will be scored again.
    """

    def end(candidate: Candidate, **facts: Any) -> None:
        if spans is not None:
            spans.end(candidate.index, candidate=candidate, **facts)

    if scorer is None:
        for candidate in candidates:
            end(candidate)
        return candidates
    name = scorer_name(scorer)
    refused = [candidate for candidate in candidates if candidate.refusal is not None]
    for candidate in refused:
        end(candidate, scorer=name)
    others = [candidate for candidate in candidates if candidate.refusal is None]
    if known is None:
        found = await score_each(scorer, question, [candidate.trace for candidate in others])
    else:
        fresh = {
            key: candidate.trace for candidate in others if (key := _trace_key(candidate.trace)) not in known
        }
        scores = await score_each(scorer, question, list(fresh.values()))
        known.update(zip(fresh, scores, strict=True))
        found = [known[_trace_key(candidate.trace)] for candidate in others]
    scored: list[Candidate] = []
    for candidate, one in zip(others, found, strict=True):
        failed: dict[str, Failure] = {}
        if one.error is not None:
            failed = {"failure": failure(candidate.index, "score", one.error, candidate.model)}
            failures.append(failed["failure"])
        else:
            scored_as = {"score": one.score, "scores": dict(one.parts), "score_truncated": one.truncated}
            candidate = candidate.model_copy(update=scored_as)
        scored.append(candidate)
        end(candidate, scorer=name, **failed)
    return [*scored, *refused]


def _trace_key(trace: Trace) -> TraceKey:
    return trace.reasoning, trace.response, trace.truncated, trace.certainty


def failure(
    index: int,
    stage: Literal["generate", "read", "score", "select"],
    error: Exception,
    model: str | None = None,
) -> Failure:
    """An exception as the record of a candidate's failure."""
    return Failure(
        index=index, stage=stage, error=type(error).__name__, message=str(error)[:2000], model=model
    )
