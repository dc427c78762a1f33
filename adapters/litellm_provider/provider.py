"""The handlers that LiteLLM is given."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

from me2sdk.adapters.litellm_provider.local import LocalModels, unload_models
from me2sdk.adapters.litellm_provider.wire import chunk, completion_arguments, final_chunks, litellm_errors
from me2sdk.errors import ConfigurationError
from me2sdk.llm import load_litellm
from me2sdk.sampling import drop_in
from me2sdk.traces import refusal_of

__all__ = ["handlers", "register", "unregister"]


def register() -> None:
    """Register the providers ``me2`` and ``transformers`` with LiteLLM for the whole process.

    A second call changes nothing, but is needed after ``litellm.custom_provider_map`` was replaced.

    Raises:
        ConfigurationError: another provider of one of these names is registered.
    """
    litellm = load_litellm()
    taken = {item["provider"]: item["custom_handler"] for item in litellm.custom_provider_map}
    for name, handler in handlers().items():
        if taken.get(name, handler) is not handler:
            raise ConfigurationError(
                f"LiteLLM has another provider {name!r}. Take it out of custom_provider_map first."
            )
        if name not in taken:
            litellm.custom_provider_map.append({"provider": name, "custom_handler": handler})
    litellm.utils.custom_llm_setup()  # else LiteLLM does so at its first call, and refuses n before


def unregister() -> None:
    """Remove both providers from LiteLLM and unload the models of this process."""
    litellm = load_litellm()
    ours = handlers()
    litellm.custom_provider_map[:] = [
        item
        for item in litellm.custom_provider_map
        if item["custom_handler"] is not ours.get(item["provider"])
    ]
    for names in (litellm.provider_list, litellm._custom_providers):
        names[:] = [name for name in names if name not in ours]
    unload_models()


@functools.cache
def handlers() -> dict[str, Any]:
    """The ``litellm.CustomLLM`` objects by provider, as LiteLLM's proxy takes them by name."""
    base = load_litellm().CustomLLM
    return {name: type(own.__name__, (own, base), {})() for name, own in _OWN.items()}


class Reranker:
    """Handles ``me2/<model>``: asks the model several times and answers with the best answer.

    A call may set ``best_of`` (8), ``scorer`` ("mini"), ``select`` ("auto"), and ``answer``, ``min_confidence``,
    ``escalate`` and ``deadline`` as in `best_of_n`, as parameters or in ``extra_body``. ``stop_sampling`` is the
    ``stop`` of `best_of_n`, since LiteLLM's own ends an answer. ``n`` (1) is how many of the best come back as
    ``choices``. Everything else goes to the model.
    """

    def completion(self, **call: Any) -> Any:
        """Answer a call."""
        with litellm_errors(call["model"]):
            return drop_in.completion(**completion_arguments(call))

    async def acompletion(self, **call: Any) -> Any:
        """Answer an awaited call."""
        with litellm_errors(call["model"]):
            return await drop_in.acompletion(**completion_arguments(call))

    def streaming(self, **call: Any) -> Iterator[Any]:
        """Stream the answer that was chosen."""
        yield from _chunks(self.completion(**call))

    async def astreaming(self, **call: Any) -> AsyncIterator[Any]:
        """Stream the answer that was chosen."""
        for item in _chunks(await self.acompletion(**call)):
            yield item


def _chunks(response: Any) -> Iterator[Any]:
    if len(response.choices) > 1:
        raise load_litellm().exceptions.BadRequestError(
            "A stream has one answer: leave n out, or ask without stream.", response.model, "me2sdk"
        )
    message = response.choices[0].message
    if reasoning := getattr(message, "reasoning_content", None):
        yield chunk(role="assistant", reasoning_content=reasoning)
    calls = [{**call.model_dump(), "index": place} for place, call in enumerate(message.tool_calls or ())]
    fields = {"function_call": getattr(message, "function_call", None), "refusal": refusal_of(message)}
    extra = {name: value for name, value in fields.items() if value}
    answer = chunk(role="assistant", content=message.content or "", tool_calls=calls or None, **extra)
    answer._hidden_params = {name: response._hidden_params[name] for name in ("me2sdk", "response_cost")}
    yield answer
    yield from final_chunks(response.choices[0].finish_reason, getattr(response, "usage", None))


_OWN = {"me2": Reranker, "transformers": LocalModels}
