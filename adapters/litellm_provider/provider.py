"""The handlers that LiteLLM is given."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

from me2sdk.adapters.litellm_provider.local import Local, forget_models
from me2sdk.adapters.litellm_provider.wire import last_pieces, piece, typed_errors, upstream_call
from me2sdk.errors import ConfigurationError
from me2sdk.llm import load
from me2sdk.sampling import drop_in
from me2sdk.traces import refusal_of

__all__ = ["handlers", "register", "unregister"]


def register() -> None:
    """Tell LiteLLM of the providers ``me2`` and ``transformers``, for the whole process. A second time does nothing.

    Call it again if ``litellm.custom_provider_map`` was replaced meanwhile.

    Raises:
        ConfigurationError: somebody else has registered a provider of one of these names.
    """
    litellm = load()
    taken = {item["provider"]: item["custom_handler"] for item in litellm.custom_provider_map}
    for name, handler in handlers().items():
        if taken.get(name, handler) is not handler:
            raise ConfigurationError(
                f"LiteLLM has another provider {name!r}. Take it out of custom_provider_map first."
            )
        if name not in taken:
            litellm.custom_provider_map.append({"provider": name, "custom_handler": handler})
    litellm.utils.custom_llm_setup()  # LiteLLM does so at its first call; before, it would not know that we take n


def unregister() -> None:
    """Take both providers out of LiteLLM again; models that were loaded are let go."""
    litellm = load()
    ours = handlers()
    litellm.custom_provider_map[:] = [
        item
        for item in litellm.custom_provider_map
        if item["custom_handler"] is not ours.get(item["provider"])
    ]
    for names in (litellm.provider_list, litellm._custom_providers):
        names[:] = [name for name in names if name not in ours]
    forget_models()


@functools.cache
def handlers() -> dict[str, Any]:
    """The handlers by provider, ``litellm.CustomLLM`` objects: what LiteLLM's proxy is told of by name."""
    base = load().CustomLLM
    return {name: type(own.__name__, (own, base), {})() for name, own in _OWN.items()}


class Reranker:
    """Handles ``me2/<model>``: asks the model several times and answers with the best-reasoned answer.

    A call may set ``best_of`` (8), ``scorer`` ("mini") and ``select`` ("best"), as parameters or in ``extra_body``;
    ``n`` (1) is how many of the best come back as ``choices``. Everything else goes to the model.
    """

    def completion(self, **call: Any) -> Any:
        """Answer a call."""
        with typed_errors(call["model"]):
            return drop_in.completion(**upstream_call(call))

    async def acompletion(self, **call: Any) -> Any:
        """Answer an awaited call."""
        with typed_errors(call["model"]):
            return await drop_in.acompletion(**upstream_call(call))

    def streaming(self, **call: Any) -> Iterator[Any]:
        """Stream the answer that was chosen."""
        yield from _pieces(self.completion(**call))

    async def astreaming(self, **call: Any) -> AsyncIterator[Any]:
        """Stream the answer that was chosen."""
        for each in _pieces(await self.acompletion(**call)):
            yield each


def _pieces(response: Any) -> Iterator[Any]:
    if len(response.choices) > 1:
        raise load().exceptions.BadRequestError(
            "A stream has one answer: leave n out, or ask without stream.", response.model, "me2sdk"
        )
    message = response.choices[0].message
    if reasoning := getattr(message, "reasoning_content", None):
        yield piece(role="assistant", reasoning_content=reasoning)
    calls = [{**call.model_dump(), "index": place} for place, call in enumerate(message.tool_calls or ())]
    fields = {"function_call": getattr(message, "function_call", None), "refusal": refusal_of(message)}
    beside = {name: value for name, value in fields.items() if value}
    said = piece(role="assistant", content=message.content or "", tool_calls=calls or None, **beside)
    said._hidden_params = {name: response._hidden_params[name] for name in ("me2sdk", "response_cost")}
    yield said
    yield from last_pieces(response.choices[0].finish_reason, getattr(response, "usage", None))


_OWN = {"me2": Reranker, "transformers": Local}
