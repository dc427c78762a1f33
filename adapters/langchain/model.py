"""A LangChain chat model that asks another model n times."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

from pydantic import PrivateAttr, field_validator, model_validator

from me2sdk.adapters._shared import (
    OPTIONS,
    Answered,
    WrapperConfig,
    abest_native,
    best_native,
    with_model,
)
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Select

try:
    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
    from langchain_core.outputs import ChatGenerationChunk, ChatResult
    from langchain_core.runnables import Runnable, RunnableParallel, RunnableSequence
except ImportError as error:
    raise ImportError(
        'me2sdk.adapters.langchain needs langchain-core. Run: pip install "me2sdk[langchain]"'
    ) from error

from me2sdk.adapters.langchain import messages as native

__all__ = ["BestOfNChatModel"]


class BestOfNChatModel(BaseChatModel):
    """Asks ``model`` n times per call and returns its best answer.

    If every call fails, the first error of the wrapped model is raised. The wrapped model's LangChain cache is not
    used, or all candidates would be the same; this model's own ``cache`` keeps the chosen answer. Streaming yields the
    chosen answer as one chunk. Tools and structured output are those of the wrapped model.

    Args:
        model: a chat model, or one with bound arguments, retries or fallbacks.
        n: answers to sample per call, at most.
        scorer: as in `best_of_n`, and so are the next six.
        select: how the best is chosen.
        answer: what is compared.
        stop: when to stop before all are sampled. The ``stop`` of a call is LangChain's: texts at which an answer ends.
        min_confidence: below this the result says that it abstains.
        escalate: the stronger model to ask where the choice is not sure, as ``model``, or an `Escalate` of one.
        deadline: seconds for each answer, scoring included.
        max_concurrency: most calls of a model in flight, per answer.
    """

    model: Runnable[LanguageModelInput, AIMessage]
    n: int = 8
    scorer: Any = "mini"
    select: Select = "auto"
    answer: Any = "auto"
    stop: Any = None
    min_confidence: float | None = None
    escalate: Any = None
    deadline: float | None = None
    max_concurrency: int = 16
    _config: WrapperConfig = PrivateAttr()

    @field_validator("model", mode="before")
    @classmethod
    def _is_a_model(cls, model: Any) -> Any:
        return _sampled(model, "model")

    @field_validator("escalate", mode="before")
    @classmethod
    def _is_a_stronger_model(cls, escalate: Any) -> Any:
        return with_model(escalate, lambda model: _sampled(model, "escalate"))

    @model_validator(mode="after")
    def _check(self) -> BestOfNChatModel:
        options = {name: getattr(self, name) for name in OPTIONS}
        self._config = WrapperConfig(**options, model=self.model, name_of=native.name_of)
        return self

    @property
    def _llm_type(self) -> str:
        return "me2sdk-best-of-n"

    @property
    def _identifying_params(self) -> dict[str, Any]:  # also the key in LangChain's cache
        known: dict[str, Any] = {"model": native.identity(self.model)}
        for name in ("n", "scorer", "select", "answer", "stop", "min_confidence", "deadline"):
            value = getattr(self, name)
            known[name] = value if isinstance(value, str | int | float | None) else repr(value)
        if (stronger := self._config.escalation) is not None:
            known["escalate"] = {**native.identity(stronger.model), "n": stronger.n, "below": stronger.below}
        return known

    def _resolve_model_profile(self) -> Any:
        return getattr(self.model, "profile", None)

    def get_num_tokens_from_messages(self, messages: Any, *args: Any, **kwargs: Any) -> int:
        """As the wrapped model counts them."""
        return int(self.model.get_num_tokens_from_messages(messages, *args, **kwargs))  # type: ignore[attr-defined]

    def bind_tools(self, tools: Any, **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        """Best of n over the wrapped model with these tools."""
        return self._over(lambda model: model.bind_tools(tools, **kwargs))  # type: ignore[no-any-return]

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[LanguageModelInput, Any]:
        """Best of n over the wrapped model's own structured output; only the chosen answer is parsed."""
        return self._over(lambda model: model.with_structured_output(schema, **kwargs))  # type: ignore[no-any-return]

    def _over(self, build: Callable[[Any], Any]) -> Any:
        """What LangChain builds over a model, with best of n in place of its first model."""
        escalate = with_model(self._config.escalation, lambda model: _models_of(build(model))[0])

        def wrap(model: Any) -> Any:
            own = self.model_copy(update={"model": model, "escalate": escalate})
            own._config = replace(self._config, model=model, escalate=escalate)
            return own

        return _with_models(build(self.model), wrap)

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        given = native.arguments(stop, run_manager, kwargs)

        def ask(model: Any) -> Answered[AIMessage]:
            return native.answered(model.invoke(messages, **given))

        return native.chosen(*best_native(convert_to_openai_messages(messages), ask, self._config))

    async def _agenerate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        given = native.arguments(stop, run_manager, kwargs)

        async def ask(model: Any) -> Answered[AIMessage]:
            return native.answered(await model.ainvoke(messages, **given))

        return native.chosen(*await abest_native(convert_to_openai_messages(messages), ask, self._config))

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        yield native.as_chunk(self._generate(*args, **kwargs))

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        yield native.as_chunk(await self._agenerate(*args, **kwargs))


def _sampled(model: Any, name: str) -> Any:
    if not isinstance(model, Runnable):
        raise ConfigurationError(f"{name} must be a LangChain chat model, not a {type(model).__name__}.")
    return native.for_sampling(model)


def _with_models(chain: Any, change: Callable[[Any], Any]) -> Any:
    """A chain that LangChain built over a model, with that model changed."""
    if isinstance(chain, RunnableSequence):
        return RunnableSequence(_with_models(chain.first, change), *chain.middle, chain.last)
    if isinstance(chain, RunnableParallel):  # include_raw=True
        return RunnableParallel({name: _with_models(step, change) for name, step in chain.steps__.items()})
    return change(chain)


def _models_of(chain: Any) -> list[Any]:
    found: list[Any] = []
    _with_models(chain, lambda model: found.append(model) or model)  # type: ignore[func-returns-value]
    return found
