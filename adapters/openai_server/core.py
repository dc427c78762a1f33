"""Shared by the requests of a server: models, scorers, limits and metrics."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Mapping, Sequence

from me2sdk.adapters.openai_server.config import ServerConfig
from me2sdk.adapters.openai_server.errors import ApiError
from me2sdk.adapters.openai_server.limits import RequestLimiter
from me2sdk.adapters.openai_server.metrics import Metrics
from me2sdk.llm import LLM
from me2sdk.schema import Scores, Trace
from me2sdk.scorers import (
    Questions,
    Scorer,
    alone_scorer,
    ask_scorer,
    asks_for,
    bound_scorer,
    is_joint,
    load_scorer,
    open_scorer,
)

__all__ = ["Core", "ServedScorer"]


class ServedScorer:
    """A scorer under the name that clients know, whose time is measured.

    Args:
        name: the name.
        scorer: as in `ServerConfig.scorers`.
        metrics: where its time is counted.

    Raises:
        ConfigurationError: it is no scorer.
    """

    def __init__(self, name: str, scorer: str | Scorer, metrics: Metrics) -> None:
        self.name = name
        self._scorer = open_scorer(scorer)
        self._seconds = metrics.scorer_seconds.labels(name)
        self.joint = is_joint(self._scorer)
        self.request = asks_for(self._scorer)

    def within(self, llm: LLM) -> ServedScorer:
        """The scorer with the limits of a model; see `me2sdk.scorers.bound_scorer`."""
        return self._with(bound_scorer(self._scorer, llm))

    def alone(self) -> ServedScorer:
        """The scorer as it scores one trace at a time."""
        return self._with(alone_scorer(self._scorer))

    def _with(self, scorer: Scorer) -> ServedScorer:
        served = copy.copy(self)
        served._scorer = scorer
        served.joint = is_joint(scorer)
        return served

    async def aload(self) -> None:
        """Load it, which can take minutes."""
        await load_scorer(self._scorer)

    def score(self, question: Questions, traces: Sequence[Trace | str]) -> list[float]:
        """The scores of the scorer."""
        return self._scorer.score(question, traces)

    async def ascore(self, question: Questions, traces: Sequence[Trace | str]) -> Scores:
        """The scores of the scorer, in a thread if it has no coroutine."""
        started = time.perf_counter()
        try:
            return await ask_scorer(self._scorer, question, traces)
        finally:
            self._seconds.observe(time.perf_counter() - started)


class Core:
    """Shared by the requests of a server.

    Attributes:
        config: the configuration.
        limiter: slots for requests.
        metrics: the metrics.
        scorers: the scorers by the names that clients know; the first is the default.
        models: the models in the same way, each a view of one `LLM`, so that limits, cache and budget hold for all.
        key: the bearer token to ask for, or None.

    Raises:
        ConfigurationError: a model or scorer cannot work.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.limiter = RequestLimiter(config.max_requests, config.max_waiting)
        self.metrics = Metrics(self.limiter)
        self.key = config.api_key.get_secret_value() if config.api_key else None
        self.scorers = {
            name: ServedScorer(name, scorer, self.metrics) for name, scorer in config.scorers.items()
        }
        self.models: dict[str, LLM] = {}
        if config.models:
            llm = LLM(
                next(iter(config.models.values())),
                max_concurrency=config.max_concurrency,
                timeout=config.upstream_timeout,
                max_retries=config.max_retries,
                total_timeout=config.timeout,
                cache=config.cache,
                budget=config.budget,
                **config.params,
            )
            self.models = {name: llm.session(model) for name, model in config.models.items()}
        self._loading: asyncio.Task[None] | None = None

    @property
    def loaded(self) -> bool:
        """Whether every scorer is loaded."""
        task = self._loading
        return task is not None and task.done() and not task.cancelled() and task.exception() is None

    def load(self) -> asyncio.Task[None]:
        """Start to load the scorers, and what the models need, if that has not started."""
        if self._loading is None or self._loading.cancelled():
            self._loading = asyncio.create_task(self._load())
        return self._loading

    async def _load(self) -> None:
        for scorer in self.scorers.values():
            await scorer.aload()
        for llm in self.models.values():
            await llm.aload()

    async def ready(self) -> None:
        """Wait until everything is loaded.

        Raises:
            ConfigurationError: something cannot be loaded.
        """
        await asyncio.shield(self.load())

    def scorer(self, name: str | None, param: str) -> ServedScorer:
        """The scorer that a request names, or the default.

        Raises:
            ApiError: the operator does not allow it.
        """
        if name is None:
            return next(iter(self.scorers.values()))
        if name not in self.scorers:
            raise ApiError(
                400, f"{param} is one of {', '.join(self.scorers)}.", param=param, code="unknown_scorer"
            )
        return self.scorers[name]

    def chosen(self, field: str | None, headers: Mapping[str, str]) -> ServedScorer:
        """The scorer that a request names in its field ``scorer`` or its header ``x-me2-scorer``, or the default.

        Raises:
            ApiError: the operator does not allow it.
        """
        if field is not None:
            return self.scorer(field, "scorer")
        return self.scorer(headers.get("x-me2-scorer"), "x-me2-scorer")

    def model(self, name: str | None) -> tuple[str, LLM]:
        """The name and a session of the model that a request names, or of the default.

        Raises:
            ApiError: it is not served.
        """
        if name is None and self.models:
            name = next(iter(self.models))
        if name is None or name not in self.models:
            served = ", ".join(self.models) or "none, this server only scores"
            raise ApiError(
                404, f"The model {(name or '')[:100]!r} does not exist. Models served: {served}.",
                param="model", code="model_not_found",
            )  # fmt: skip
        return name, self.models[name].session()
