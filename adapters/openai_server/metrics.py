"""The Prometheus metrics of ``/metrics``. Every label has a bounded number of values."""

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

from me2sdk.adapters.openai_server.http import ClientDisconnected
from me2sdk.adapters.openai_server.limits import RequestLimiter
from me2sdk.schema import RerankResult, Usage

__all__ = ["Metrics", "MetricsMiddleware"]

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
_CLIENT_LEFT = "499"  # as in nginx


class Metrics:
    """The metrics of one app, in a registry of its own, so that several apps can share a process."""

    def __init__(self, limiter: RequestLimiter) -> None:
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
        in_flight.set_function(lambda: limiter.running)
        waiting = Gauge("me2_requests_waiting", "Requests that wait for a place.", registry=registry)
        waiting.set_function(lambda: limiter.waiting)
        candidates = Counter(
            "me2_candidates",
            "Candidates by outcome: scored, unscored or failed.",
            ["outcome"],
            registry=registry,
        )
        calls = Counter(
            "me2_upstream_calls", "Answers by where they came from.", ["source"], registry=registry
        )
        tokens = Counter("me2_tokens", "Tokens that upstreams reported.", ["kind"], registry=registry)
        # Looking a label up takes longer than counting.
        self._candidates = {one: candidates.labels(one) for one in ("scored", "unscored", "failed")}
        self._calls = {one: calls.labels(one) for one in ("upstream", "cache")}
        self._tokens = {one: tokens.labels(one) for one in ("prompt", "completion")}
        self._cost = Counter("me2_cost_usd", "US dollars spent, where prices are known.", registry=registry)
        self._unpriced = Counter(
            "me2_unpriced_requests", "Requests whose cost or tokens are not known.", registry=registry
        )
        self.scorer_seconds = Histogram(
            "me2_scorer_seconds", "Time to score one batch.", ["scorer"], buckets=_SECONDS, registry=registry
        )

    def count_candidates(self, result: RerankResult) -> None:
        """Count candidates by outcome."""
        scored = sum(candidate.score is not None for candidate in result.candidates)
        outcomes = {
            "scored": scored,
            "unscored": len(result.candidates) - scored,
            "failed": sum(failure.stage in ("generate", "read") for failure in result.failures),
        }
        for outcome, count in outcomes.items():
            if count:
                self._candidates[outcome].inc(count)

    def count_usage(self, usage: Usage) -> None:
        """Count the calls, tokens and cost of a request."""
        for counter, amount in (
            (self._calls["upstream"], usage.calls),
            (self._calls["cache"], usage.cached_calls),
            (self._tokens["prompt"], usage.prompt_tokens),
            (self._tokens["completion"], usage.completion_tokens),
            (self._cost, usage.cost),
        ):
            if amount:
                counter.inc(amount)
        if usage.cost is None or usage.total_tokens is None:
            self._unpriced.inc()

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)


class MetricsMiddleware:
    """Counts and times the requests of an app.

    Args:
        app: the app.
        metrics: where to count.
        routes: the paths that get a label of their own; any other counts as "other".
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Collection[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count how it ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = str(scope["path"]).removeprefix(scope.get("root_path", ""))
        route = path if path in self._routes else "/v1/models" if path.startswith("/v1/models/") else "other"
        status, started = _CLIENT_LEFT, time.perf_counter()
        sent = ""

        async def watched(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                sent = str(message["status"])
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                status = sent

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnected:
            pass
        finally:
            self._metrics.requests.labels(route, status).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - started)
