"""OpenTelemetry spans of the SDK's work, by the semantic conventions for generative AI.

::

    from me2sdk.adapters import otel

    otel.instrument()          # from now on every best_of_n, rerank, judge_pair, … is recorded

A verb is a span ``invoke_workflow best_of_n``. Its children are a span ``candidate`` per answer, with its reward in a
``gen_ai.evaluation.result`` event, a client span ``chat {model}`` per call with its retries, and a span
``score {scorer}`` per scoring. Attributes that the conventions do not name begin with ``me2sdk.``.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import me2sdk
from me2sdk import _tracing
from me2sdk.adapters._shared import attributes, error_of, failure_of, genai
from me2sdk.errors import GenerationError
from me2sdk.schema import RerankResult

try:
    from opentelemetry import context, trace
    from opentelemetry.trace import SpanKind, Status, StatusCode
except ImportError as error:
    raise ImportError('me2sdk.adapters.otel needs OpenTelemetry. Run: pip install "me2sdk[otel]"') from error

__all__ = ["instrument", "uninstrument"]

_lock = threading.Lock()
_active: _Tracer | None = None


def instrument(tracer_provider: trace.TracerProvider | None = None, capture_content: bool = False) -> None:
    """Record spans of all the SDK's work from now on. A second call replaces the settings of the first.

    Args:
        tracer_provider: where spans go; by default the global one, which may also be set later.
        capture_content: True also records prompts and answers, as ``gen_ai.input.messages`` and
            ``gen_ai.output.messages``. They may hold personal data. False, the default, records models, settings,
            times, costs and scores, and the messages of errors without keys.
    """
    global _active
    tracer = trace.get_tracer("me2sdk", me2sdk.__version__, tracer_provider)
    with _lock:
        if _active is not None:
            _tracing.remove(_active)
        _active = _Tracer(tracer, capture_content)
        _tracing.add(_active)


def uninstrument() -> None:
    """Stop recording. Spans that are open are still recorded."""
    global _active
    with _lock:
        if _active is not None:
            _tracing.remove(_active)
        _active = None


class _Tracer:
    """Starts a span of OpenTelemetry per span of the SDK."""

    def __init__(self, tracer: trace.Tracer, content: bool) -> None:
        self._tracer = tracer
        self._content = content

    def start(self, kind: str, name: str, facts: Mapping[str, Any]) -> _Observer:
        given = attributes(facts)
        prompt = facts.get("messages" if kind == "call" else "question")
        if kind == "call":
            given |= genai.request(name, facts)
            name = f"chat {given['gen_ai.request.model']}"
        elif kind == "verb":
            given |= {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": name}
            name = f"invoke_workflow {name}"
        elif kind == "score":
            given["me2sdk.scorer"], name = name, f"score {name}"
        if self._content and prompt and kind in ("call", "verb"):
            given["gen_ai.input.messages"] = genai.messages(prompt)
        span_kind = SpanKind.CLIENT if kind == "call" else SpanKind.INTERNAL
        return _Observer(kind, self._tracer.start_span(name, kind=span_kind, attributes=given), self._content)


class _Observer:
    """The span of OpenTelemetry for a span of the SDK."""

    def __init__(self, kind: str, span: trace.Span, content: bool) -> None:
        self._kind = kind
        self._span = span
        self._content = content

    def enter(self) -> None:
        self._token = context.attach(trace.set_span_in_context(self._span))

    def leave(self) -> None:
        context.detach(self._token)

    def record(self, facts: Mapping[str, Any]) -> None:
        self._span.set_attributes(attributes(facts))
        answer, result = facts.get("answer"), facts.get("result")
        outputs: list[Any] = []
        if answer is not None:
            self._span.set_attributes(genai.response(answer))
            outputs = [(choice.message, choice.finish_reason) for choice in answer.choices]
        elif isinstance(result, RerankResult) and result.candidates:
            message = {"role": "assistant", "content": result.best.response}
            outputs = [(message, result.best.finish_reason)]
        if self._content and outputs:
            chat, reasons = zip(*outputs, strict=True)
            self._span.set_attribute("gen_ai.output.messages", genai.messages(list(chat), list(reasons)))
        if "candidate" in facts and "scorer" in facts:
            self._span.add_event("gen_ai.evaluation.result", genai.evaluation(facts))
        if failure := failure_of(facts):
            self._fail(*failure)

    def end(self, error: BaseException | None) -> None:
        if error is not None and (known := error_of(error)):
            self._fail(*known)
            if self._kind == "call" and isinstance(error, GenerationError):
                self._span.set_attribute("me2sdk.attempts", error.attempts)
                if error.status is not None:
                    self._span.set_attribute("http.response.status_code", error.status)
        elif error is not None:
            self._span.set_attribute("me2sdk.cancelled", True)
        self._span.end()

    def _fail(self, kind: str, message: str) -> None:
        # No stack trace, since one of a caller's own functions may show more than a message does.
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR, message))
