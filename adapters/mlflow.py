"""MLflow traces of the SDK's work.

::

    from me2sdk.adapters import mlflow as me2_mlflow

    me2_mlflow.autolog()       # from now on every best_of_n, rerank, judge_pair, … is a trace in the active experiment

A verb is a span of type CHAIN, RERANKER, PARSER or EVALUATOR. Its children are a span per candidate, one of type
CHAT_MODEL per call with messages, answer and tokens, and one of type EVALUATOR per scoring.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from me2sdk import _tracing
from me2sdk.adapters._shared import attributes, error_of, failure_of, json_value, model_of, request_parameters
from me2sdk.errors import GenerationError

try:
    import mlflow
    from mlflow.entities import SpanEvent, SpanStatus, SpanStatusCode
    from mlflow.tracing.constant import SpanAttributeKey
    from mlflow.tracing.provider import detach_span_from_context, set_span_in_context
except ImportError as error:
    raise ImportError('me2sdk.adapters.mlflow needs MLflow. Run: pip install "me2sdk[mlflow]"') from error

__all__ = ["autolog"]

# As strings, since older versions of MLflow have no constants for some of them.
_TYPES = {"best_of_n": "CHAIN", "rerank": "RERANKER", "parse_dag": "PARSER"}
_KINDS = {"verb": "EVALUATOR", "candidate": "CHAIN", "call": "CHAT_MODEL", "score": "EVALUATOR"}
_INPUTS = ("question", "trace", "traces", "candidates", "a", "b", "pair")
_lock = threading.Lock()


def autolog(log_traces: bool = True, disable: bool = False, silent: bool = False) -> None:
    """Log traces of all the SDK's work from now on, with questions, answers, rewards, tokens and failures.

    Args:
        log_traces: False is the same as ``disable=True``.
        disable: True stops logging. Spans that are open are still logged.
        silent: has no effect; every autolog of MLflow takes it.
    """
    with _lock:
        if log_traces and not disable:
            _tracing.add(_TRACER)
        else:
            _tracing.remove(_TRACER)


class _Tracer:
    """Starts a span of MLflow per span of the SDK."""

    def start(self, kind: str, name: str, facts: Mapping[str, Any]) -> _Observer:
        given = attributes(facts)
        inputs = {key: json_value(facts[key]) for key in _INPUTS if facts.get(key) is not None}
        title = {"candidate": f"{name} {facts.get('index')}", "score": f"score {name}"}.get(kind, name)
        if kind == "call":
            model, provider = model_of(name, facts)
            inputs = {"messages": facts["messages"], **request_parameters(facts["params"])}
            given[SpanAttributeKey.MESSAGE_FORMAT] = "openai"
            if provider != "function":  # MLflow has no price for a function
                inputs = {"model": model, **inputs}
                given |= {"mlflow.llm.model": model, "mlflow.llm.provider": provider}
        elif kind == "score":
            # The texts are in the spans beside it.
            inputs = {"scorer": name, "traces": len(facts["traces"])}
        elif kind == "candidate":
            inputs = {"index": facts["index"]}
        parent = mlflow.get_current_active_span()
        return _Observer(
            kind,
            mlflow.start_span_no_context(
                title, _TYPES.get(name, _KINDS[kind]), parent_span=parent, inputs=inputs, attributes=given
            ),
        )


class _Observer:
    """The span of MLflow for a span of the SDK."""

    def __init__(self, kind: str, span: Any) -> None:
        self._kind = kind
        self._span = span

    def enter(self) -> None:
        self._token = set_span_in_context(self._span)

    def leave(self) -> None:
        detach_span_from_context(self._token)

    def record(self, facts: Mapping[str, Any]) -> None:
        self._span.set_attributes(attributes(facts))
        for name in ("answer", "candidate", "scores", "result"):
            if facts.get(name) is not None:
                self._span.set_outputs(json_value(facts[name]))
        if "answer" in facts:
            usage = facts["answer"].usage
            if usage.total_tokens is not None:
                tokens = {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}
                self._span.set_attribute(
                    SpanAttributeKey.CHAT_USAGE, {**tokens, "total_tokens": usage.total_tokens}
                )
        if failure := failure_of(facts):
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
        # No stack trace, since one of a caller's own functions may show more than a message does.
        event = SpanEvent("exception", attributes={"exception.type": kind, "exception.message": message})  # type: ignore[abstract]
        self._span.add_event(event)
        self._span.set_status(SpanStatus(SpanStatusCode.ERROR, f"{kind}: {message}"))


_TRACER = _Tracer()
