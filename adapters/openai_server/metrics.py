"""What ``/metrics`` tells, in Prometheus' form. Every label has a bounded number of values."""

from __future__ import annotations

import time
from collections.abc import Collection

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from me2sdk.adapters.openai_server.http import Gone
from me2sdk.adapters.openai_server.limits import Gate
from me2sdk.schema import RerankResult, Usage

__all__ = ["Measured", "Metrics"]

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
_LEFT = "499"  # as nginx counts clients that went away


class Metrics:
    """The counters of one app, in a registry of their own, so that several apps may live in one process."""

    def __init__(self, gate: Gate) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "me2_requests",
            "Requests by route and status (499: client left).",
            ["route", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            "me2_request_seconds", "Time from a request to the end of its answer.", ["route"], buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        in_flight = Gauge("me2_requests_in_flight", "Requests in work.", registry=registry)
        in_flight.set_function(lambda: gate.inside)
        waiting = Gauge("me2_requests_waiting", "Requests that wait for a place.", registry=registry)
        waiting.set_function(lambda: gate.waiting)
        self._candidates = Counter(
            "me2_candidates",
            "Candidates by outcome: scored, unscored or failed.",
            ["outcome"],
            registry=registry,
        )
        self._calls = Counter(
            "me2_upstream_calls", "Answers by where they came from.", ["source"], registry=registry
        )
        self._tokens = Counter("me2_tokens", "Tokens that upstreams reported.", ["kind"], registry=registry)
        self._cost = Counter("me2_cost_usd", "US dollars spent, where prices are known.", registry=registry)
        self._unpriced = Counter(
            "me2_unpriced_requests", "Requests whose cost or tokens are not known.", registry=registry
        )
        self.scorer_seconds = Histogram(
            "me2_scorer_seconds", "Time to score one batch.", ["scorer"], buckets=_SECONDS, registry=registry
        )

    def ranked(self, result: RerankResult) -> None:
        """Count candidates."""
        scored = sum(candidate.score is not None for candidate in result.candidates)
        outcomes = {
            "scored": scored,
            "unscored": len(result.candidates) - scored,
            "failed": sum(failure.stage != "score" for failure in result.failures),
        }
        for outcome, count in outcomes.items():
            self._candidates.labels(outcome).inc(count)

    def spent(self, usage: Usage) -> None:
        """Count what a request cost."""
        self._calls.labels("upstream").inc(usage.calls)
        self._calls.labels("cache").inc(usage.cached_calls)
        self._tokens.labels("prompt").inc(usage.prompt_tokens or 0)
        self._tokens.labels("completion").inc(usage.completion_tokens or 0)
        self._cost.inc(usage.cost or 0.0)
        if usage.cost is None or usage.total_tokens is None:
            self._unpriced.inc()

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)


class Measured:
    """Counts and times requests around an app.

    Args:
        app: the app.
        metrics: where to count.
        routes: the paths to tell apart; any other counts as "other".
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Collection[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and see how it ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = str(scope["path"]).removeprefix(scope.get("root_path", ""))
        route = path if path in self._routes else "/v1/models" if path.startswith("/v1/models/") else "other"
        status, started = _LEFT, time.perf_counter()
        begun = ""

        async def watched(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                begun = str(message["status"])
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                status = begun

        try:
            await self._app(scope, receive, watched)
        except Gone:
            pass
        finally:
            self._metrics.requests.labels(route, status).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - started)
