"""The engines behind `me2sdk.adapters.dspy.BestOfNLM`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import fields, replace
from typing import Any

import dspy
from dspy import lm15

from me2sdk.adapters._shared import Answered, WrapperConfig, abest_native, best_native, record
from me2sdk.adapters.dspy.messages import answered, question
from me2sdk.schema import BestOfNResult

__all__ = ["AsyncEngine", "Engine", "results"]


class _BestOfN:
    """Shared by both engines: DSPy asks an engine what its model supports."""

    def __init__(self, config: WrapperConfig) -> None:
        self._lm = config.model
        self._config = config

    @property
    def supports_function_calling(self) -> bool:
        return bool(self._lm.supports_function_calling)

    @property
    def supports_reasoning(self) -> bool:
        return bool(self._lm.supports_reasoning)

    @property
    def supports_response_schema(self) -> bool:
        return bool(self._lm.supports_response_schema)

    @property
    def supported_params(self) -> set[str]:
        return set(self._lm.supported_params)


class Engine(_BestOfN):
    """Answers a request with the best of n answers."""

    def complete(self, request: Any) -> Any:
        """The best answer, with the usage of all answers, and the result in its ``provider_data``."""

        def ask(lm: Any) -> Answered[Any]:
            with _unobserved():
                return answered(lm(replace(request, model=lm.model), cache=False))

        return _chosen(*best_native(question(request), ask, self._config))

    def stream(self, request: Any) -> Iterator[Any]:
        """The events of the best answer."""
        yield from lm15.response_to_events(self.complete(request))

    def close(self) -> None:
        """Nothing to close: the LM belongs to the caller."""


class AsyncEngine(_BestOfN):
    """`Engine` for asynchronous calls."""

    async def complete(self, request: Any) -> Any:
        """The best answer, with the usage of all answers, and the result in its ``provider_data``."""

        async def ask(lm: Any) -> Answered[Any]:
            with _unobserved():
                return answered(await lm.acall(replace(request, model=lm.model), cache=False))

        return _chosen(*await abest_native(question(request), ask, self._config))

    async def stream(self, request: Any) -> AsyncIterator[Any]:
        """The events of the best answer."""
        for event in lm15.response_to_events(await self.complete(request)):
            yield event

    async def aclose(self) -> None:
        """Nothing to close: the LM belongs to the caller."""


def _unobserved() -> Any:
    """No streaming of candidates; their tokens and turns are counted with the chosen answer."""
    return dspy.context(send_stream=None, usage_tracker=None, caller_modules=[])


def results(response: Any) -> Iterator[BestOfNResult]:
    """The results in the response of an entry of the history."""
    for item in response if isinstance(response, tuple) else (response,):
        found = (getattr(item, "provider_data", None) or {}).get("me2sdk")
        if found is not None:
            yield BestOfNResult.model_validate(found)


def _chosen(result: BestOfNResult, best: Any, arrived: list[Any]) -> Any:
    usages = [response.usage for response in arrived]
    counts = {field.name: [getattr(usage, field.name) for usage in usages] for field in fields(lm15.Usage)}
    usage = lm15.Usage(**{name: None if None in values else sum(values) for name, values in counts.items()})
    data = best.provider_data if isinstance(best.provider_data, dict) else {}
    return replace(best, usage=usage, provider_data={**data, "me2sdk": record(result)})
