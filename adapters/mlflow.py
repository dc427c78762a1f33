"""MLflow traces of what the SDK does.

::

    from me2sdk.adapters import mlflow as me2_mlflow

    me2_mlflow.autolog()       # from here on every best_of_n, rerank, judge_pair, … is a trace in the active experiment

A verb is a span of type CHAIN, RERANKER, PARSER or EVALUATOR; below it stand a span for each candidate, one of type
CHAT_MODEL for each call with messages, answer and tokens, and one of type EVALUATOR for each scoring.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from me2sdk import _tracing
from me2sdk.adapters._shared import attributes, error_of, failed, model_of, request_parameters, shown
from me2sdk.errors import GenerationError

try:
    import mlflow
    from mlflow.entities import SpanEvent, SpanStatus, SpanStatusCode
    from mlflow.tracing.constant import SpanAttributeKey
    from mlflow.tracing.provider import detach_span_from_context, set_span_in_context
except ImportError as error:
    raise ImportError('me2sdk.adapters.mlflow needs MLflow. Run: pip install "me2sdk[mlflow]"') from error

__all__ = ["autolog"]

# As texts, since older versions of MLflow have no names for some of them.
_TYPES = {"best_of_n": "CHAIN", "rerank": "RERANKER", "parse_dag": "PARSER"}
_KINDS = {"verb": "EVALUATOR", "candidate": "CHAIN", "call": "CHAT_MODEL", "score": "EVALUATOR"}
_INPUTS = ("question", "trace", "traces", "candidates", "a", "b", "pair")
_lock = threading.Lock()


def autolog(log_traces: bool = True, disable: bool = False, silent: bool = False) -> None:
    """Log traces of all that the SDK does from now on, with questions, answers, rewards, tokens and failures.

    Args:
        log_traces: False is the same as ``disable=True``.
        disable: True logs no more. Spans that are open are logged to their end.
        silent: taken since every autolog of MLflow takes it; there is nothing to silence.
    """
    with _lock:
        if log_traces and not disable:
            _tracing.add(_TRACER)
        else:
            _tracing.remove(_TRACER)


class _Tracer:
    """Starts spans where the SDK says so."""

    def start(self, kind: str, name: str, facts: Mapping[str, Any]) -> _Observer:
        given = attributes(facts)
        asked = {key: shown(facts[key]) for key in _INPUTS if facts.get(key) is not None}
        title = {"candidate": f"{name} {facts.get('index')}", "score": f"score {name}"}.get(kind, name)
        if kind == "call":
            model, provider = model_of(name, facts)
            asked = {"messages": facts["messages"], **request_parameters(facts["params"])}
            given[SpanAttributeKey.MESSAGE_FORMAT] = "openai"
            if provider != "function":  # whose name has no price that MLflow could look up
                asked = {"model": model, **asked}
                given |= {"mlflow.llm.model": model, "mlflow.llm.provider": provider}
        elif kind == "score":
            asked = {
                "scorer": name,
                "traces": len(facts["traces"]),
            }  # their texts stand in the spans beside it
        elif kind == "candidate":
            asked = {"index": facts["index"]}
        parent = mlflow.get_current_active_span()
        return _Observer(
            kind,
            mlflow.start_span_no_context(
                title, _TYPES.get(name, _KINDS[kind]), parent_span=parent, inputs=asked, attributes=given
            ),
        )


class _Observer:
    """One span of the SDK's and of MLflow's."""

    def __init__(self, kind: str, span: Any) -> None:
        self._kind = kind
        self._span = span

    def enter(self) -> None:
        self._token = set_span_in_context(self._span)

    def leave(self) -> None:
        detach_span_from_context(self._token)

    def tell(self, facts: Mapping[str, Any]) -> None:
        self._span.set_attributes(attributes(facts))
        for name in ("answer", "candidate", "scores", "result"):
            if facts.get(name) is not None:
                self._span.set_outputs(shown(facts[name]))
        if "answer" in facts:
            usage = facts["answer"].usage
            if usage.total_tokens is not None:
                tokens = {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}
                self._span.set_attribute(
                    SpanAttributeKey.CHAT_USAGE, {**tokens, "total_tokens": usage.total_tokens}
                )
        if failure := failed(facts):
            self._fail(*failure)

    def end(self, error: BaseException | None) -> None:
        if error is not None and (known := error_of(error)):
            self._fail(*known)
            if self._kind == "call" and isinstance(error, GenerationError):
                self._span.set_attribute("me2sdk.attempts", error.attempts)
        elif error is not None:
            self._span.set_attribute("me2sdk.cancelled", True)
        self._span.end()

    def _fail(self, kind: str, message: str) -> None:
        # No stack trace: those of a caller's own functions may show more than a message does.
        event = SpanEvent("exception", attributes={"exception.type": kind, "exception.message": message})  # type: ignore[abstract]
        self._span.add_event(event)
        self._span.set_status(SpanStatus(SpanStatusCode.ERROR, f"{kind}: {message}"))


_TRACER = _Tracer()
