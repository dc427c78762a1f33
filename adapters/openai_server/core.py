"""Shared by the requests of a server: models, scorers, limits and metrics."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from me2sdk.adapters.openai_server.config import ServerConfig
from me2sdk.adapters.openai_server.errors import ApiError
from me2sdk.adapters.openai_server.limits import RequestLimiter
from me2sdk.adapters.openai_server.metrics import Metrics
from me2sdk.adapters.openai_server.settings import AnswerSettings, ModelConfig
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

__all__ = ["Core", "ServedModel", "ServedScorer"]

_LIMITS = frozenset(("budget", "max_concurrency", "upstream_timeout", "max_retries"))


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
        self._alone: ServedScorer | None = None

    def within(self, llm: LLM) -> ServedScorer:
        """The scorer with the limits of a model; see `me2sdk.scorers.bound_scorer`."""
        return self._with(bound_scorer(self._scorer, llm))

    def alone(self) -> ServedScorer:
        """The scorer as it scores one trace at a time."""
        if self._alone is None:
            self._alone = self._with(alone_scorer(self._scorer))
        return self._alone

    def _with(self, scorer: Scorer) -> ServedScorer:
        if scorer is self._scorer:
            return self
        served = copy.copy(self)
        served._scorer, served._alone = scorer, None
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


@dataclass(frozen=True)
class ServedModel:
    """A model under the name that clients know.

    Attributes:
        name: the name.
        llm: what is asked.
        scorer: what scores its candidates, if a request does not say.
        settings: how its answers are sampled and chosen, if a request does not say.
    """

    name: str
    llm: LLM
    scorer: ServedScorer
    settings: AnswerSettings

    def session(self) -> ServedModel:
        """The same, which counts what one request uses."""
        return replace(self, llm=self.llm.session())


class Core:
    """Shared by the requests of a server.

    Attributes:
        config: the configuration.
        limiter: slots for requests.
        metrics: the metrics.
        scorers: the scorers by the names that clients know; the first is the default.
        models: the models in the same way. Limits, cache and budget hold for all, but for those that have their own.
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
        models = {
            name: model if isinstance(model, ModelConfig) else ModelConfig(model=model)
            for name, model in config.models.items()
        }
        shared = _open(next(iter(models.values())).model, config, config) if models else None
        self.models = {
            name: ServedModel(
                name,
                _open(model.model, config, settings)
                if shared is None or model.own.keys() & _LIMITS
                else shared.session(model.model, params=model.own.get("params")),
                self.scorers[model.scorer or next(iter(self.scorers))],
                settings,
            )
            for name, model in models.items()
            for settings in (config.of_model(name),)
        }
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
        for model in self.models.values():
            await model.llm.aload()

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

    def chosen(
        self, field: str | None, headers: Mapping[str, str], default: ServedScorer | None = None
    ) -> ServedScorer:
        """The scorer that a request names in its field ``scorer`` or its header ``x-me2-scorer``, or the default.

        Raises:
            ApiError: the operator does not allow it.
        """
        if field is not None:
            return self.scorer(field, "scorer")
        header = headers.get("x-me2-scorer")
        return default if header is None and default is not None else self.scorer(header, "x-me2-scorer")

    def model(self, name: str | None) -> ServedModel:
        """The model that a request names, or the default, with a session of its own.

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
        return self.models[name].session()


def _open(model: Any, config: ServerConfig, settings: AnswerSettings) -> LLM:
    return LLM(
        model,
        max_concurrency=settings.max_concurrency,
        timeout=settings.upstream_timeout,
        max_retries=settings.max_retries,
        total_timeout=config.timeout,
        cache=config.cache,
        budget=settings.budget,
        **settings.params,
    )
