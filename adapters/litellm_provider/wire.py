"""What goes between LiteLLM and its custom providers: options that arrive, chunks and errors that leave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from me2sdk.adapters.litellm_provider.generator import Answers, OutOfContext
from me2sdk.errors import ConfigurationError, GenerationError, ME2Error
from me2sdk.llm import load, quiet

__all__ = ["fill", "last_pieces", "piece", "seconds_of", "typed_errors", "upstream_call", "usage_of"]

_BEST_OF = 8
_OURS = ("best_of", "scorer", "select")
_STREAM = ("stream", "stream_options")
# LiteLLM keeps these from a custom provider's parameters, but the upstream's provider may need them.
_PASSED_ON = ("api_version", "organization", "region_name", "input_cost_per_token", "output_cost_per_token")
_PASSED_ON_PREFIXES = ("aws_", "azure_", "vertex_", "watsonx_")
_BY_STATUS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    402: "PaymentRequiredError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    408: "Timeout",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    502: "BadGatewayError",
    503: "ServiceUnavailableError",
}
# Kinds of a 400 that routers treat in their own ways.
_KINDS = ("ContextWindowExceededError", "ContentPolicyViolationError", "UnsupportedParamsError")


def upstream_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `me2sdk.completion` for what LiteLLM tells a custom provider of a call."""
    params = {name: value for name, value in call["optional_params"].items() if name not in _STREAM}
    body = dict(params.pop("extra_body", None) or {})
    options = {name: source.pop(name) for source in (body, params) for name in _OURS if name in source}
    options["n"] = params.pop("n", None) or 1
    options.setdefault("best_of", max(_BEST_OF, options["n"]))
    beside = {
        name: value
        for name, value in (call["litellm_params"] or {}).items()
        if value is not None and (name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES))
    }
    given = {
        "api_base": call["api_base"],
        "api_key": call["api_key"],
        "timeout": seconds_of(call["timeout"]),
        "extra_headers": call["headers"],
        "extra_body": body,
    }
    known = {name: value for name, value in given.items() if value}
    return {"model": call["model"], "messages": call["messages"], **beside, **params, **known, **options}


def seconds_of(timeout: Any) -> float | None:
    """Seconds that a call may take, from a number, an ``httpx.Timeout`` or None."""
    value = timeout.read if isinstance(timeout, httpx.Timeout) else timeout
    return None if value is None else float(value)


def usage_of(answers: Answers) -> Any:
    """What a local model used, in LiteLLM's form."""
    completion = sum(written.tokens for written in answers.written)
    return load().Usage(
        prompt_tokens=answers.prompt_tokens,
        completion_tokens=completion,
        total_tokens=answers.prompt_tokens + completion,
    )


def fill(response: Any, model: str, answers: Answers) -> Any:
    """Put a local model's answers into LiteLLM's response."""
    litellm = load()
    with quiet():
        response.choices = [
            litellm.Choices(
                index=place, finish_reason=w.finish_reason, message=litellm.Message(content=w.text)
            )
            for place, w in enumerate(answers.written)
        ]
    response.model = model
    response.usage = usage_of(answers)
    response._hidden_params["response_cost"] = 0.0  # known: nobody is paid
    return response


def piece(*, finish_reason: str | None = None, **delta: Any) -> Any:
    """A piece of a stream."""
    types = load().types.utils
    with quiet():  # Pydantic warns of LiteLLM's types when the first of a kind is made
        choice = types.StreamingChoices(index=0, delta=types.Delta(**delta), finish_reason=finish_reason)
        return types.ModelResponseStream(choices=[choice])


def last_pieces(finish_reason: str | None, usage: Any) -> Iterator[Any]:
    """The end of a stream. LiteLLM drops all of the very last piece but the reason, so usage has one of its own."""
    last = piece(content="")
    last.usage = usage
    yield last
    yield piece(finish_reason=finish_reason or "stop")


@contextmanager
def typed_errors(model: str) -> Iterator[None]:
    """Turn what the SDK and a local model raise into LiteLLM's exceptions, with ours as ``__cause__``."""
    try:
        yield
    except (ME2Error, TimeoutError) as error:
        raise _typed(error, model) from error


def _typed(error: Exception, model: str) -> Exception:
    exceptions = load().exceptions
    status: int | None = 500
    kind: str | None = None
    if isinstance(error, GenerationError):
        status, kind = error.status, error.error_type
    elif isinstance(error, ConfigurationError):
        status, kind = 400, "ContextWindowExceededError" if isinstance(error, OutOfContext) else None
    elif isinstance(error, TimeoutError):
        status = 408
    name = kind if kind in _KINDS else _BY_STATUS.get(status or 500, "InternalServerError")
    details: dict[str, Any] = {"message": str(error), "model": model, "llm_provider": "me2sdk"}
    if name in ("PermissionDeniedError", "UnprocessableEntityError"):  # which ask for a response
        request = httpx.Request("POST", "https://localhost/v1/chat/completions")
        details["response"] = httpx.Response(status or 500, request=request)
    typed: Exception = getattr(exceptions, name)(**details)
    return typed
