"""A LlamaIndex LLM that asks another LLM n times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from me2sdk.adapters._shared import OPTIONS, WrapperConfig, with_model
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Select

try:
    from llama_index.core.base.llms import types
    from llama_index.core.bridge.pydantic import Field, PrivateAttr, SerializeAsAny, model_validator
    from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
    from llama_index.core.llms.function_calling import FunctionCallingLLM
    from llama_index.core.llms.llm import LLM, ToolSelection
except ImportError as error:
    raise ImportError(
        'me2sdk.adapters.llama_index needs llama-index-core. Run: pip install "me2sdk[llama-index]"'
    ) from error

from me2sdk.adapters.llama_index import native as _native

__all__ = ["BestOfNLLM"]


class BestOfNLLM(FunctionCallingLLM):
    """Asks ``llm`` n times per call and returns its best answer.

    If every call fails, the first error of the wrapped LLM is raised. Streaming yields the chosen answer as one chunk.
    Tools, structured predictions and agents work if they work with the wrapped LLM, whose metadata is passed on.
    ``additional_kwargs`` of an answer holds the result and the tokens of all candidates. A ``usage`` in ``raw``, from
    which LlamaIndex counts tokens, is also their sum.

    Args:
        llm: the LLM to ask. Its retries, timeouts and callbacks hold; its callbacks see each candidate.
        n: answers to sample per call, at most.
        scorer: as in `best_of_n`, and so are the next six.
        select: how the best is chosen.
        answer: what is compared.
        stop: when to stop before all are sampled. The ``stop`` of a call is the LLM's: texts at which an answer ends.
        min_confidence: below this the result says that it abstains.
        escalate: the stronger LLM to ask where the choice is not sure, or an `Escalate` of one.
        deadline: seconds for each answer, scoring included.
        max_concurrency: most calls of an LLM in flight, per answer.
    """

    llm: SerializeAsAny[LLM] = Field(exclude=True)  # it may hold a key
    n: int = 8
    scorer: Any = Field(default="mini", exclude=True)
    select: Select = "auto"
    answer: Any = Field(default="auto", exclude=True)
    stop: Any = Field(default=None, exclude=True)
    min_confidence: float | None = None
    escalate: Any = Field(default=None, exclude=True)
    deadline: float | None = None
    max_concurrency: int = 16
    _config: WrapperConfig = PrivateAttr()

    @model_validator(mode="before")
    @classmethod
    def _as_the_wrapped(cls, values: Any) -> Any:
        return (
            {**_native.prompt_settings(values.get("llm")), **values} if isinstance(values, dict) else values
        )

    @model_validator(mode="after")
    def _check(self) -> BestOfNLLM:
        with_model(self.escalate, lambda llm: _native.check(llm, "escalate"))
        options = {name: getattr(self, name) for name in OPTIONS}
        self._config = WrapperConfig(**options, model=self.llm, name_of=_native.name_of)
        return self

    @classmethod
    def class_name(cls) -> str:
        """The class's name for LlamaIndex."""
        return "BestOfNLLM"

    @property
    def metadata(self) -> types.LLMMetadata:
        """The metadata of the wrapped LLM."""
        return self.llm.metadata

    @llm_chat_callback()
    def chat(self, messages: Sequence[types.ChatMessage], **kwargs: Any) -> types.ChatResponse:
        """The best answer of n to a chat."""
        return _native.best(self._config, lambda llm: llm.chat, messages, **kwargs)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[types.ChatMessage], **kwargs: Any) -> types.ChatResponseGen:
        """The best answer of n to a chat, as one chunk."""
        yield _native.chunk(_native.best(self._config, lambda llm: llm.chat, messages, **kwargs))

    @llm_chat_callback()
    async def achat(self, messages: Sequence[types.ChatMessage], **kwargs: Any) -> types.ChatResponse:
        """The best answer of n to a chat."""
        return await _native.abest(self._config, lambda llm: llm.achat, messages, **kwargs)

    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **kwargs: Any) -> types.ChatResponseAsyncGen:
        """The best answer of n to a chat, as one chunk."""
        return _native.achunk(self._config, lambda llm: llm.achat, messages, **kwargs)

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> types.CompletionResponse:
        """The best completion of n."""
        return _native.best(self._config, lambda llm: llm.complete, prompt, formatted=formatted, **kwargs)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        """The best completion of n, as one chunk."""
        kwargs["formatted"] = formatted
        yield _native.chunk(_native.best(self._config, lambda llm: llm.complete, prompt, **kwargs))

    @llm_completion_callback()
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> types.CompletionResponse:
        """The best completion of n."""
        return await _native.abest(
            self._config, lambda llm: llm.acomplete, prompt, formatted=formatted, **kwargs
        )

    @llm_completion_callback()
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> types.CompletionResponseAsyncGen:
        """The best completion of n, as one chunk."""
        return _native.achunk(self._config, lambda llm: llm.acomplete, prompt, formatted=formatted, **kwargs)

    def _calling(self) -> FunctionCallingLLM:
        if not isinstance(self.llm, FunctionCallingLLM):
            raise ConfigurationError(
                f"{type(self.llm).__name__} does not call tools. Wrap a FunctionCallingLLM, or use a ReActAgent."
            )
        return self.llm

    def _prepare_chat_with_tools(self, *args: Any, tool_required: bool = False, **kwargs: Any) -> Any:
        kwargs["tool_required"] = tool_required  # LlamaIndex checks for this name
        return self._calling()._prepare_chat_with_tools_compat(*args, **kwargs)

    def _validate_chat_with_tools_response(self, *args: Any, **kwargs: Any) -> Any:
        return self._calling()._validate_chat_with_tools_response(*args, **kwargs)

    def get_tool_calls_from_response(self, *args: Any, **kwargs: Any) -> list[ToolSelection]:
        """As the wrapped LLM reads them."""
        return self._calling().get_tool_calls_from_response(*args, **kwargs)
