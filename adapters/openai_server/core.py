"""What the requests of a server share: models, scorers, places and counters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from me2sdk.adapters.openai_server.errors import ApiError
from me2sdk.adapters.openai_server.limits import Gate
from me2sdk.adapters.openai_server.metrics import Metrics
from me2sdk.adapters.openai_server.settings import ServerSettings
from me2sdk.errors import ConfigurationError
from me2sdk.llm import LLM
from me2sdk.sampling import ready
from me2sdk.schema import Scores, Trace
from me2sdk.scorers import Questions, RemoteTRMScorer, Scorer, TRMScorer, ask_scorer

__all__ = ["Core", "ServedScorer"]


class ServedScorer:
    """A scorer under the name that clients know, on the clock.

    Args:
        name: the name.
        scorer: as in `ServerSettings.scorers`.
        metrics: where its time is counted.

    Raises:
        ConfigurationError: it is no scorer.
    """

    def __init__(self, name: str, scorer: Any, metrics: Metrics) -> None:
        if isinstance(scorer, str):
            is_url = scorer.startswith(("http://", "https://"))
            scorer = RemoteTRMScorer(scorer) if is_url else TRMScorer(scorer)
        if not callable(getattr(scorer, "score", None)):
            raise ConfigurationError(
                f"The scorer {name!r} must be a name, a URL, or have score(question, traces); "
                f"{type(scorer).__name__} has not."
            )
        self.name = name
        self._scorer: Scorer = scorer
        self._seconds = metrics.scorer_seconds.labels(name)

    async def aload(self) -> None:
        """Load it, which can take minutes."""
        await ready(self._scorer, "best")

    def score(self, question: Questions, traces: Sequence[Trace | str]) -> list[float]:
        """As the scorer itself does."""
        return self._scorer.score(question, traces)

    async def ascore(self, question: Questions, traces: Sequence[Trace | str]) -> Scores:
        """As the scorer itself does, in a thread where it has no coroutine."""
        started = time.perf_counter()
        try:
            return await ask_scorer(self._scorer, question, traces)
        finally:
            self._seconds.observe(time.perf_counter() - started)


class Core:
    """What the requests of a server share.

    Attributes:
        settings: how the server is set up.
        gate: places for requests.
        metrics: counters.
        scorers: the scorers by the names that clients know; the first is the default.
        models: the models in the same way, each a view of one `LLM`, so that limits, cache and budget hold for all.
        key: the bearer token to ask for, or None.

    Raises:
        ConfigurationError: a model or scorer cannot work.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.gate = Gate(settings.max_requests, settings.max_waiting)
        self.metrics = Metrics(self.gate)
        self.key = settings.api_key.get_secret_value() if settings.api_key else None
        self.scorers = {
            name: ServedScorer(name, scorer, self.metrics) for name, scorer in settings.scorers.items()
        }
        self.models: dict[str, LLM] = {}
        if settings.models:
            llm = LLM(
                next(iter(settings.models.values())),
                max_concurrency=settings.max_concurrency,
                timeout=settings.upstream_timeout,
                max_retries=settings.max_retries,
                total_timeout=settings.timeout,
                cache=settings.cache,
                budget=settings.budget,
                **settings.params,
            )
            self.models = {name: llm.session(model) for name, model in settings.models.items()}
        self._loading: asyncio.Task[None] | None = None

    @property
    def loaded(self) -> bool:
        """Whether every scorer is loaded."""
        task = self._loading
        return task is not None and task.done() and not task.cancelled() and task.exception() is None

    def load(self) -> asyncio.Task[None]:
        """Begin to load the scorers, and what the models need, if that has not begun."""
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
            ApiError: it is not one of those that the operator allows.
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
            ApiError: it is not one of those that the operator allows.
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
