"""What goes into a call, checked, and what is said when it fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from me2sdk.errors import ConfigurationError, GenerationError
from me2sdk.llm import redaction
from me2sdk.llm.answer import clean
from me2sdk.llm.retry import Effort, EmptyResponse, lacks_key, status_of
from me2sdk.schema import Message, Question

_RESERVED = {
    "n": "ask for several answers with asample(messages, n)",
    "stream": "whole answers are needed, so streaming is not supported",
    "messages": "pass the messages as the first argument",
    "model": "pass the model to LLM(...)",
    "timeout": "set it in LLM(timeout=...)",
    "num_retries": "set it in LLM(max_retries=...)",
    "max_retries": "set it in LLM(max_retries=...)",
}


def check_params(params: Mapping[str, Any]) -> None:
    """Refuse parameters that have a place elsewhere.

    Raises:
        ConfigurationError: there is one.
    """
    for name, advice in _RESERVED.items():
        if name in params:
            raise ConfigurationError(f"The parameter {name!r} cannot be passed here: {advice}.")


def answer_limit(params: Mapping[str, Any]) -> int | None:
    """The most tokens that an answer may have, or None where the call does not say."""
    limits = (params.get("max_completion_tokens"), params.get("max_tokens"))
    return next((int(limit) for limit in limits if limit is not None), None)


def read_messages(messages: Question) -> list[Message]:
    """Chat messages from a question or from messages, as a copy that can be sent.

    Raises:
        ConfigurationError: they are neither.
    """
    if isinstance(messages, str):
        return [{"role": "user", "content": clean(messages)}]
    dicts = [m.model_dump(exclude_none=True) if hasattr(m, "model_dump") else m for m in messages or ()]
    if not dicts or not all(isinstance(message, dict) for message in dicts):
        raise ConfigurationError(
            "Messages are a string, or a list of at least one dict with 'role' and 'content'."
        )
    return [clean(message) for message in dicts]


def generation_error(
    error: Exception, model: str, effort: Effort, secrets: frozenset[str]
) -> GenerationError:
    """What to raise for a call that failed for good: what happened, without keys, and what to do next."""
    status = status_of(error)
    if lacks_key(error):
        advice = "Set the provider's API key in the environment (OPENAI_API_KEY, …), or pass api_key=."
    elif status in (401, 403):
        advice = "Check the API key and what it may use."
    elif status == 404:
        advice = "Check the model's name and api_base."
    elif status == 429:
        advice = "Lower max_concurrency, raise total_timeout or max_retries, or check the account's quota."
    elif status == 408 or isinstance(error, TimeoutError):
        advice = "Raise timeout, or ask for shorter answers with max_tokens."
    elif status is not None and status < 500:
        advice = "Check the model's name, the messages and the parameters."
    elif status is not None or isinstance(error, (ConnectionError, EmptyResponse)):
        advice = "Check that the endpoint can be reached and is healthy, then try again."
    else:
        advice = "Check the model function."
    name = type(error).__name__
    tries = "1 attempt" if effort.attempts == 1 else f"{effort.attempts} attempts"
    code = f", HTTP {status}" if status is not None else ""
    text = redaction.redact(str(error).strip(), secrets) or "no message"
    text += "" if text.endswith((".", "…")) else "."
    return GenerationError(
        f"{model} failed after {tries} in {effort.seconds:.1f} s ({name}{code}): {text} {advice}",
        error_type=name,
        status=status,
        attempts=effort.attempts,
    )
