"""Inputs and outputs of the SDK's verbs and calls as JSON values."""

from __future__ import annotations

from typing import Any

from me2sdk.dag import ReasoningDAG
from me2sdk.judge import PairVerdict, Ranking
from me2sdk.llm import Answer
from me2sdk.schema import Candidate, RerankResult, Trace

__all__ = ["choice", "json_value"]


def choice(result: RerankResult) -> dict[str, Any]:
    """What a choice rests on and how sure it is, as JSON values: the same fields wherever an adapter reports one.

    Nothing is asked for, stopped early or escalated where outputs are reranked; these are None then.
    """
    return {
        "confidence": result.confidence,
        "chosen_by": result.chosen_by,
        "abstained": result.abstained,
        "answers": [
            {"text": answer.text, "votes": answer.votes, "confidence": answer.confidence}
            for answer in result.answers
        ],
        **{name: getattr(result, name, None) for name in ("asked", "stopped_early", "escalated")},
    }


def json_value(value: Any) -> Any:
    """A question, a trace, a result or a list of them as a JSON value, with texts."""
    if isinstance(value, Answer):
        return {
            "choices": [
                {"message": choice.message, "finish_reason": choice.finish_reason} for choice in value.choices
            ]
        }
    if isinstance(value, Candidate):
        return {"response": value.response, "answer": value.answer, "reward": value.score}
    if isinstance(value, RerankResult):
        best = json_value(value.candidates[0]) if value.candidates else {}
        others = [
            {"index": one.index, "answer": one.answer, "reward": one.score, "confidence": one.confidence}
            for one in value.candidates
        ]
        failures = [one.model_dump() for one in value.failures]
        return {**best, **choice(value), "candidates": others, "failures": failures}
    if isinstance(value, Trace):
        return {"reasoning": value.reasoning, "response": value.response}
    if isinstance(value, ReasoningDAG):
        return {"steps": len(value.nodes), **value.metrics().model_dump()}
    if isinstance(value, PairVerdict):
        return {"preference": value.preference, "agreement": value.agreement, "rationale": value.rationale}
    if isinstance(value, Ranking):
        return {"order": list(value.order), "strengths": list(value.strengths)}
    return [json_value(item) for item in value] if isinstance(value, (list, tuple)) else value
