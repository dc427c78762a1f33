"""A model of the OpenAI Agents SDK that asks another model n times."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any

from me2sdk.adapters._shared import (
    Answered,
    WrapperConfig,
    abest_native,
    as_assistant,
    as_chat,
    is_cut_off,
    with_model,
)
from me2sdk.sampling import AnswerKey, Escalate, Stop
from me2sdk.schema import Message, Select
from me2sdk.scorers import Scorer

try:
    from agents import Model, ModelProvider, ModelResponse, MultiProvider, OpenAIProvider, Usage
    from agents.exceptions import ModelBehaviorError, UserError
    from agents.items import TResponseStreamEvent
    from openai.types.responses import ResponseUsage
except ImportError as error:
    raise ImportError(
        'me2sdk.adapters.openai_agents needs the OpenAI Agents SDK. Run: pip install "me2sdk[openai-agents]"'
    ) from error

__all__ = ["BestOfNModel", "BestOfNProvider"]


class BestOfNModel(Model):
    """Asks ``model`` n times per turn and returns its best answer, with the usage of all answers.

    If every request fails, the first error of the wrapped model is raised, so that retry policies still apply. A
    streamed turn yields the events of the chosen answer as the wrapped model sent them, after it is chosen.

    Args:
        model: a model of the SDK, or the name of one for OpenAI's chat completions.
        n: answers to sample per turn, at most.
        scorer: as in `best_of_n`, and so are the next six.
        select: how the best is chosen.
        answer: what is compared.
        stop: when to stop before all are sampled.
        min_confidence: below this the result says that it abstains.
        escalate: the stronger model to ask where the choice is not sure, as ``model``, or an `Escalate` of one.
        deadline: seconds for each turn, scoring included.
        max_concurrency: most requests in flight, per answer.

    Raises:
        ConfigurationError: a setting cannot work.
    """

    def __init__(
        self,
        model: Model | str,
        *,
        n: int = 8,
        scorer: str | Scorer | None = "mini",
        select: Select = "auto",
        answer: AnswerKey = "auto",
        stop: Stop = None,
        min_confidence: float | None = None,
        escalate: Escalate | Model | str | None = None,
        deadline: float | None = None,
        max_concurrency: int = 16,
    ) -> None:
        self.wrapped = _model(model)
        self._config = WrapperConfig(
            n=n,
            scorer=scorer,
            select=select,
            answer=answer,
            stop=stop,
            min_confidence=min_confidence,
            escalate=with_model(escalate, _model),
            deadline=deadline,
            max_concurrency=max_concurrency,
            model=self.wrapped,
            name_of=lambda model: str(getattr(model, "model", type(model).__name__)),
        )
        # `__getattr__` is not called for this, which the base class defines.
        self.get_retry_advice = self.wrapped.get_retry_advice  # type: ignore[method-assign]

    def __getattr__(self, name: str) -> Any:
        """Other attributes are those of the wrapped model."""
        if name == "wrapped":  # not set yet
            raise AttributeError(name)
        return getattr(self.wrapped, name)

    async def close(self) -> None:
        """Close the wrapped model, and the stronger one."""
        for model in self._models():
            await model.close()

    async def _cleanup_on_run_end(self, owner: object) -> None:
        for model in self._models():
            await model._cleanup_on_run_end(owner)

    def _models(self) -> list[Model]:
        return [self.wrapped, *([self._config.stronger] if self._config.stronger is not None else [])]

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """Ask n times and return the best answer; called by the SDK."""
        question, limit = _read(args, kwargs)

        async def ask(model: Model) -> Answered[ModelResponse]:
            response = await model.get_response(*args, **kwargs)
            # The SDK drops the finish reason of chat completions.
            full = limit is not None and response.usage.output_tokens >= limit
            return _answered(response, response.output, response.usage, full or is_cut_off(response.output))

        result, best, arrived = await abest_native(question, ask, self._config)
        best = replace(best, usage=_total(response.usage for response in arrived))
        best.best_of_n = result  # type: ignore[attr-defined]
        return best

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[TResponseStreamEvent]:
        """The events of the best answer of n; called by the SDK."""
        question, _ = _read(args, kwargs)

        async def ask(model: Model) -> Answered[list[Any]]:
            events: list[Any] = [event async for event in model.stream_response(*args, **kwargs)]
            if not events or events[-1].type not in ("response.completed", "response.incomplete"):
                raise ModelBehaviorError(f"The stream ended without a response: {events[-1:]}")
            end, cut = events[-1].response, events[-1].type == "response.incomplete"
            done = [event.item for event in events if event.type == "response.output_item.done"]
            return _answered(events, end.output or done, end.usage, cut)

        result, best, arrived = await abest_native(question, ask, self._config)
        end = best[-1].response
        if usages := [events[-1].response.usage for events in arrived if events[-1].response.usage]:
            total = _total(Usage(**{name: getattr(one, name) for name in _COUNTS}) for one in usages)
            end.usage = ResponseUsage(**{name: getattr(total, name) for name in _COUNTS})
            object.__setattr__(
                end.usage, "_agents_sdk_request_usages", usages
            )  # from which the SDK counts requests
        end.best_of_n = result
        for event in best:
            yield event


class BestOfNProvider(ModelProvider):
    """Wraps each model of ``provider``, by default the SDK's own, as a `BestOfNModel` with these settings."""

    def __init__(self, provider: ModelProvider | None = None, **settings: Any) -> None:
        self.provider = provider or MultiProvider()
        self.aclose = self.provider.aclose  # type: ignore[method-assign]
        self._settings = settings

    def get_model(self, model_name: str | None) -> Model:
        """The wrapped model of that name."""
        return BestOfNModel(self.provider.get_model(model_name), **self._settings)


_COUNTS = tuple(ResponseUsage.model_fields)
_SIGNATURE = inspect.signature(Model.get_response)


def _model(given: Model | str) -> Model:
    return OpenAIProvider(use_responses=False).get_model(given) if isinstance(given, str) else given


def _total(usages: Iterable[Usage]) -> Usage:
    total = Usage()
    for usage in usages:
        total.add(usage)
    return total


def _read(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Message] | str, int | None]:
    """The question, and the most tokens of an answer."""
    arguments = _SIGNATURE.bind(None, *args, **kwargs).arguments
    if arguments.get("conversation_id"):
        raise UserError("Each of n answers would be added to the conversation. Leave conversation_id out.")
    question = as_chat(arguments["system_instructions"], arguments["input"]) or ""
    return question, arguments["model_settings"].max_tokens


def _answered(native: Any, output: list[Any], usage: Any, cut: bool) -> Answered[Any]:
    tokens = {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens} if usage else {}
    return Answered(native, as_assistant(output), finish_reason="length" if cut else None, **tokens)
