"""A LangChain chat model that asks another model n times."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from pydantic import PrivateAttr, field_validator, model_validator

from me2sdk.adapters._shared import Answered, WrapperConfig, abest_native, best_native
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
    """Asks ``model`` n times per call and returns its best-reasoned answer.

    If every call fails, the first error of the wrapped model is raised. The wrapped model's LangChain cache is not
    used, or all candidates would be the same; this model's own ``cache`` keeps the chosen answer. Streaming yields the
    chosen answer as one chunk. Tools and structured output are those of the wrapped model.

    Args:
        model: a chat model, or one with bound arguments, retries or fallbacks.
        n: answers to sample per call.
        scorer: as in `best_of_n`.
        select: as in `best_of_n`.
        max_concurrency: most calls of the wrapped model in flight, per answer.
    """

    model: Runnable[LanguageModelInput, AIMessage]
    n: int = 8
    scorer: Any = "mini"
    select: Select = "best"
    max_concurrency: int = 16
    _config: WrapperConfig = PrivateAttr()

    @field_validator("model", mode="before")
    @classmethod
    def _is_a_model(cls, model: Any) -> Any:
        if not isinstance(model, Runnable):
            raise ConfigurationError(f"model must be a LangChain chat model, not a {type(model).__name__}.")
        return native.for_sampling(model)

    @model_validator(mode="after")
    def _check(self) -> BestOfNChatModel:
        known = native.identity(self.model)
        name = str(known.get("model_name") or known.get("model") or known["type"])
        self._config = WrapperConfig(
            n=self.n,
            scorer=self.scorer,
            select=self.select,
            max_concurrency=self.max_concurrency,
            model=name,
        )
        return self

    @property
    def _llm_type(self) -> str:
        return "me2sdk-best-of-n"

    @property
    def _identifying_params(self) -> dict[str, Any]:  # also the key in LangChain's cache
        scorer = self.scorer if isinstance(self.scorer, str) else repr(self.scorer)
        return {
            "n": self.n,
            "scorer": scorer,
            "select": self.select,
            "model": native.identity(self.model),
        }

    def _resolve_model_profile(self) -> Any:
        return getattr(self.model, "profile", None)

    def get_num_tokens_from_messages(self, messages: Any, *args: Any, **kwargs: Any) -> int:
        """As the wrapped model counts them."""
        return int(self.model.get_num_tokens_from_messages(messages, *args, **kwargs))  # type: ignore[attr-defined]

    def bind_tools(self, tools: Any, **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        """Best of n over the wrapped model with these tools."""
        return self._over(self.model.bind_tools(tools, **kwargs))  # type: ignore[attr-defined,no-any-return]

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[LanguageModelInput, Any]:
        """Best of n over the wrapped model's own structured output; only the chosen answer is parsed."""
        return self._over(self.model.with_structured_output(schema, **kwargs))  # type: ignore[attr-defined,no-any-return]

    def _over(self, chain: Any) -> Any:
        """A chain that LangChain built, with best of n in place of its first model."""
        if isinstance(chain, RunnableSequence):
            return RunnableSequence(self._over(chain.first), *chain.middle, chain.last)
        if isinstance(chain, RunnableParallel):  # include_raw=True
            return RunnableParallel({name: self._over(step) for name, step in chain.steps__.items()})
        return self.model_copy(update={"model": chain})

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        given = native.arguments(stop, run_manager, kwargs)

        def ask() -> Answered[AIMessage]:
            return native.answered(self.model.invoke(messages, **given))

        return native.chosen(*best_native(convert_to_openai_messages(messages), ask, self._config))

    async def _agenerate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        given = native.arguments(stop, run_manager, kwargs)

        async def ask() -> Answered[AIMessage]:
            return native.answered(await self.model.ainvoke(messages, **given))

        return native.chosen(*await abest_native(convert_to_openai_messages(messages), ask, self._config))

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        yield native.as_chunk(self._generate(*args, **kwargs))

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        yield native.as_chunk(await self._agenerate(*args, **kwargs))
