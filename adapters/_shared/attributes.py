"""The attributes of spans under ``me2sdk.``, the same for every tracer: without texts and keys."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from me2sdk.adapters._shared.content import choice
from me2sdk.dag import ReasoningDAG
from me2sdk.judge import PairVerdict, Ranking
from me2sdk.llm import LLM, Answer, redact
from me2sdk.schema import Candidate, Failure, RerankResult, Usage
from me2sdk.scorers import scorer_name

__all__ = ["attributes", "error_of", "failure_of", "model_of", "request_parameters"]

_SETTINGS = (
    "attempts",
    "early_stop",
    "index",
    "n",
    "repeats",
    "samples",
    "seconds",
    "select",
    "structure",
    "window",
)
# All that is recorded of a request; its other parameters may be keys or personal data.
_REQUEST = {
    "frequency_penalty": "frequency_penalty",
    "max_completion_tokens": "max_tokens",
    "max_tokens": "max_tokens",
    "presence_penalty": "presence_penalty",
    "reasoning_effort": "reasoning.level",
    "seed": "seed",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
}


def request_parameters(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a request that are plain settings, by their names in OpenTelemetry's conventions."""
    return {_REQUEST[name]: value for name, value in params.items() if name in _REQUEST and _plain(value)}


def model_of(name: str, facts: Mapping[str, Any]) -> tuple[str, str]:
    """The name of a called model without its provider's prefix, and LiteLLM's name of the provider."""
    provider = facts["provider"](facts["params"])
    return name.removeprefix(f"{provider}/"), provider


def failure_of(facts: Mapping[str, Any]) -> tuple[str, str] | None:
    """Class and message of the failure of a candidate, or None. A candidate without a score has not failed."""
    failure = facts.get("failure")
    return (failure.error, failure.message) if failure and failure.stage != "score" else None


def error_of(error: BaseException) -> tuple[str, str] | None:
    """Class and message of an error, without keys; None for a cancellation."""
    if not isinstance(error, Exception):
        return None
    return getattr(error, "error_type", None) or type(error).__name__, redact(str(error))


def attributes(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as flat attributes: numbers, names and lists of them."""
    found = {name: facts[name] for name in _SETTINGS if _plain(facts.get(name))}
    for name, read in _READERS.items():
        if facts.get(name) is not None:
            found |= read(facts[name])
    return {f"me2sdk.{name}": value for name, value in found.items() if value is not None}


def _plain(value: Any) -> bool:
    return isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))


def _models(model: Any) -> dict[str, Any]:
    if isinstance(model, LLM):
        return {"models": list(model.models)}
    models = model if isinstance(model, (list, tuple)) else [model]
    return {
        "models": [
            one if isinstance(one, str) else getattr(one, "__name__", type(one).__name__) for one in models
        ]
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "calls": usage.calls,
        "cached_calls": usage.cached_calls,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cost_usd": usage.cost,
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "reward": candidate.score,
        "truncated": candidate.trace.truncated,
        "cached": bool(candidate.usage and candidate.usage.cached_calls),
    }


def _failure(failure: Failure) -> dict[str, Any]:
    return {"stage": failure.stage}


def _result(result: Any) -> dict[str, Any]:
    if isinstance(result, list):  # the DAGs of several traces
        steps = sum(len(dag.nodes) for dag in result)
        return {"steps": steps, **_usage(sum((dag.usage for dag in result), Usage()))}
    usage = getattr(result, "usage", None)
    found = _usage(usage) if usage is not None else {}
    if isinstance(result, ReasoningDAG):
        found |= {"steps": len(result.nodes), "failures": len(result.errors)}
    elif isinstance(result, PairVerdict):
        found |= {"preference": result.preference, "agreement": result.agreement}
    elif isinstance(result, Ranking):
        found |= {"order": list(result.order), "failures": len(result.failures)}
    elif isinstance(result, RerankResult):
        best = result.candidates[0] if result.candidates else None
        found |= {"best.index": best and best.index, "best.reward": best and best.score}
        found |= {"scorer": result.scorer or None, "failures": len(result.failures)}
        found |= {name: value for name, value in choice(result).items() if name != "answers"}
    return found


def _count(items: Any) -> dict[str, Any]:
    return {"traces": len(items)} if isinstance(items, Sequence) and not isinstance(items, str) else {}


_READERS = {
    # Of a call it is what the model said, of a verb the setting that says what is compared.
    "answer": lambda answer: {"cost_usd": answer.usage.cost} if isinstance(answer, Answer) else {},
    "candidate": _candidate,
    "candidates": _count,
    "failure": _failure,
    "model": _models,
    "pair": lambda pair: {"pair": list(pair)},
    "result": _result,
    "scorer": lambda scorer: {"scorer": scorer if isinstance(scorer, str) else scorer_name(scorer)},
    "scores": lambda scores: {"rewards": list(scores)},
    "traces": _count,
}
