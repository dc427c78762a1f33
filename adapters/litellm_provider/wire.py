"""Between LiteLLM and its custom providers: arguments in, responses, chunks and errors out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from me2sdk.adapters.litellm_provider.types import PromptTooLong, RequestOutput
from me2sdk.errors import ConfigurationError, GenerationError, ME2Error
from me2sdk.llm import load_litellm, quiet_litellm

__all__ = [
    "chunk",
    "completion_arguments",
    "fill_response",
    "final_chunks",
    "litellm_errors",
    "timeout_seconds",
    "usage_of",
]

_BEST_OF = 8
_STOP = "stop_sampling"  # LiteLLM's own ``stop`` ends an answer
_OWN_OPTIONS = ("best_of", "scorer", "select", "answer", _STOP, "min_confidence", "escalate", "deadline")
_STREAM_OPTIONS = ("stream", "stream_options")
# LiteLLM leaves these out of a custom provider's parameters, but the upstream's provider may need them.
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
# Kinds of a 400 that routers treat differently.
_KINDS = ("ContextWindowExceededError", "ContentPolicyViolationError", "UnsupportedParamsError")


def completion_arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `me2sdk.completion` for the arguments with which LiteLLM calls a custom provider.

    Raises:
        ConfigurationError: ``stop`` and ``stop_sampling`` together, which are one argument there.
    """
    params = {name: value for name, value in call["optional_params"].items() if name not in _STREAM_OPTIONS}
    body = dict(params.pop("extra_body", None) or {})
    options = {name: source.pop(name) for source in (body, params) for name in _OWN_OPTIONS if name in source}
    options["n"] = params.pop("n", None) or 1
    options.setdefault("best_of", max(_BEST_OF, options["n"]))
    if isinstance(params.get("stop"), str):
        params["stop"] = [params["stop"]]  # else "sure" would stop the sampling
    if (stop := options.pop(_STOP, None)) is not None:
        if params.get("stop"):
            raise ConfigurationError("stop and stop_sampling cannot be combined here. Leave one of them out.")
        params["stop"] = stop
    passed_on = {
        name: value
        for name, value in (call["litellm_params"] or {}).items()
        if value is not None and (name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES))
    }
    connection = {
        "api_base": call["api_base"],
        "api_key": call["api_key"],
        "timeout": timeout_seconds(call["timeout"]),
        "extra_headers": call["headers"],
        "extra_body": body,
    }
    known = {name: value for name, value in connection.items() if value}
    return {"model": call["model"], "messages": call["messages"], **passed_on, **params, **known, **options}


def timeout_seconds(timeout: Any) -> float | None:
    """Seconds that a call may take, from a number, an ``httpx.Timeout`` or None."""
    value = timeout.read if isinstance(timeout, httpx.Timeout) else timeout
    return None if value is None else float(value)


def usage_of(result: RequestOutput) -> Any:
    """The tokens of a local model's call, in LiteLLM's form."""
    completion = sum(output.tokens for output in result.outputs)
    return load_litellm().Usage(
        prompt_tokens=result.prompt_tokens,
        completion_tokens=completion,
        total_tokens=result.prompt_tokens + completion,
    )


def fill_response(response: Any, model: str, result: RequestOutput) -> Any:
    """Put a local model's answers into LiteLLM's response."""
    litellm = load_litellm()
    with quiet_litellm():
        response.choices = [
            litellm.Choices(
                index=index,
                finish_reason=o.finish_reason,
                message=litellm.Message(content=o.text),
                logprobs=None if o.logprobs is None else {"content": o.logprobs},
            )
            for index, o in enumerate(result.outputs)
        ]
    response.model = model
    response.usage = usage_of(result)
    response._hidden_params["response_cost"] = 0.0  # a local model costs nothing
    return response


def chunk(*, finish_reason: str | None = None, **delta: Any) -> Any:
    """A chunk of a stream."""
    types = load_litellm().types.utils
    with quiet_litellm():  # Pydantic warns about LiteLLM's types when the first chunk is made
        choice = types.StreamingChoices(index=0, delta=types.Delta(**delta), finish_reason=finish_reason)
        return types.ModelResponseStream(choices=[choice])


def final_chunks(finish_reason: str | None, usage: Any) -> Iterator[Any]:
    """The end of a stream. LiteLLM reads only the reason of the last chunk, so usage has a chunk of its own."""
    last = chunk(content="")
    last.usage = usage
    yield last
    yield chunk(finish_reason=finish_reason or "stop")


@contextmanager
def litellm_errors(model: str) -> Iterator[None]:
    """Raise LiteLLM's exceptions for errors of the SDK and of local models, with the original as ``__cause__``."""
    try:
        yield
    except (ME2Error, TimeoutError) as error:
        raise _litellm_error(error, model) from error


def _litellm_error(error: Exception, model: str) -> Exception:
    exceptions = load_litellm().exceptions
    status: int | None = 500
    kind: str | None = None
    if isinstance(error, GenerationError):
        status, kind = error.status, error.error_type
    elif isinstance(error, ConfigurationError):
        status, kind = 400, "ContextWindowExceededError" if isinstance(error, PromptTooLong) else None
    elif isinstance(error, TimeoutError):
        status = 408
    name = kind if kind in _KINDS else _BY_STATUS.get(status or 500, "InternalServerError")
    details: dict[str, Any] = {"message": str(error), "model": model, "llm_provider": "me2sdk"}
    if name in ("PermissionDeniedError", "UnprocessableEntityError"):  # these require a response
        request = httpx.Request("POST", "https://localhost/v1/chat/completions")
        details["response"] = httpx.Response(status or 500, request=request)
    litellm_error: Exception = getattr(exceptions, name)(**details)
    return litellm_error
