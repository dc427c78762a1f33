"""LangChain's chat models and messages: settings for sampling, and OpenAI's form."""

from __future__ import annotations

import json
from functools import reduce
from typing import Any

from langchain_core.callbacks import AsyncCallbackManager, AsyncCallbackManagerForLLMRun, CallbackManager
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import add_usage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase

from me2sdk.adapters._shared import Answered, finished, record
from me2sdk.errors import ConfigurationError
from me2sdk.schema import BestOfNResult, Message

__all__ = ["answered", "arguments", "as_chunk", "assistant", "chosen", "for_sampling", "identity", "name_of"]


def for_sampling(model: Any) -> Any:
    """A copy of a model to sample candidates from.

    Its cache is off, since it would return one answer n times. It does not stream, since an application that listens
    to the tokens of all models would see those of every candidate.
    """
    if isinstance(model, BaseChatModel):
        off = {"cache": False, "disable_streaming": True}
        return model.model_copy(update={**off, "streaming": False} if hasattr(model, "streaming") else off)
    if isinstance(model, RunnableBindingBase):  # also what with_retry returns
        return model.model_copy(update={"bound": for_sampling(model.bound)})
    if isinstance(model, RunnableWithFallbacks):
        fallbacks = [for_sampling(fallback) for fallback in model.fallbacks]
        return model.model_copy(update={"runnable": for_sampling(model.runnable), "fallbacks": fallbacks})
    return model


def identity(model: Any) -> dict[str, Any]:
    """What identifies a model in a cache and in traces."""
    if isinstance(model, BaseChatModel):
        return {"type": model._llm_type, **model._identifying_params}
    if isinstance(model, RunnableBindingBase):
        return {**identity(model.bound), "bound": dict(model.kwargs)}
    return {"type": type(model).__name__, "repr": repr(model)}


def name_of(model: Any) -> str:
    """What candidates and failures call a model."""
    known = identity(model)
    return str(known.get("model_name") or known.get("model") or known["type"])


def arguments(stop: list[str] | None, run_manager: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call of the wrapped model. Candidates are child runs of the wrapper's run.

    LangGraph's message streams skip runs with the tag "nostream".
    """
    config = {"tags": ["nostream"], **({"callbacks": _child_callbacks(run_manager)} if run_manager else {})}
    given = {name: value for name, value in kwargs.items() if name != "stream"}
    return {"config": config, **({} if stop is None else {"stop": stop}), **given}


def _child_callbacks(run: Any) -> Any:
    """The callbacks of a run for its child runs."""
    manager = AsyncCallbackManager if isinstance(run, AsyncCallbackManagerForLLMRun) else CallbackManager
    handlers, tags = list(run.inheritable_handlers), list(run.inheritable_tags)
    # Keys with "ls_" describe the model itself.
    metadata = {k: v for k, v in run.inheritable_metadata.items() if not k.startswith("ls_")}
    return manager(
        handlers=handlers,
        inheritable_handlers=list(handlers),
        parent_run_id=run.run_id,
        tags=tags,
        inheritable_tags=list(tags),
        metadata=metadata,
        inheritable_metadata=dict(metadata),
    )


def answered(message: Any) -> Answered[AIMessage]:
    """An answer of the wrapped model in the form that `abest_native` reads.

    Raises:
        ConfigurationError: it is not a message.
    """
    if not isinstance(message, AIMessage):
        raise ConfigurationError(
            f"The model returned a {type(message).__name__}. Wrap a chat model, not a chain."
        )
    metadata = message.response_metadata
    reasons = (metadata.get(name) for name in ("finish_reason", "stop_reason", "done_reason"))
    usage = message.usage_metadata
    return Answered(
        message,
        assistant(message),
        finish_reason=finished(next(filter(None, reasons), None)),
        prompt_tokens=usage["input_tokens"] if usage else None,
        completion_tokens=usage["output_tokens"] if usage else None,
    )


def assistant(message: AIMessage) -> Message:
    """A message of any provider as an assistant message in OpenAI's form."""
    parts: dict[str, list[str]] = {"text": [], "reasoning": [], "refusal": []}
    for block in message.content_blocks:
        # Older versions hold refusals in blocks that are not standard.
        part: Any = block.get("value") if block["type"] == "non_standard" else block
        if isinstance(part, dict) and (kind := part.get("type")) in parts:
            parts[kind].append(str(part.get(kind) or ""))
    calls = [
        {"id": c["id"], "function": {"name": c["name"], "arguments": json.dumps(c["args"], default=str)}}
        for c in message.tool_calls
    ]
    fields = {
        "reasoning_content": "\n\n".join(parts["reasoning"]),
        "tool_calls": calls,
        "refusal": "\n".join(parts["refusal"]) or message.additional_kwargs.get("refusal"),
    }
    return {
        "role": "assistant",
        "content": "".join(parts["text"]),
        **{name: value for name, value in fields.items() if value},
    }


def chosen(result: BestOfNResult, best: AIMessage, arrived: list[AIMessage]) -> ChatResult:
    """The best answer with the usage of all of them, and the result in its metadata."""
    usages = [message.usage_metadata for message in arrived if message.usage_metadata]
    metadata = {name: value for name, value in best.response_metadata.items() if name != "model_name"}
    update = {
        # An id that LangChain made names a run: None lets it put in that of the wrapper.
        "id": None if str(best.id).startswith("lc_run-") else best.id,
        "usage_metadata": reduce(add_usage, usages) if usages else None,
        "response_metadata": {**metadata, "me2sdk": record(result)},
    }
    return ChatResult(generations=[ChatGeneration(message=best.model_copy(update=update))])


def as_chunk(result: ChatResult) -> ChatGenerationChunk:
    """An answer as a stream of one chunk."""
    message = result.generations[0].message
    fields = {name: getattr(message, name) for name in AIMessage.model_fields if name != "type"}
    return ChatGenerationChunk(message=AIMessageChunk(**fields, chunk_position="last"))
