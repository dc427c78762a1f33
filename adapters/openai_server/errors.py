"""Errors as clients see them: in OpenAI's form, without keys, addresses or code."""

from __future__ import annotations

import logging
import math
import re
from typing import Any

from me2sdk.errors import (
    BudgetExceeded,
    ConfigurationError,
    GenerationError,
    InvalidTraceError,
    ME2Error,
    ScoringError,
)

__all__ = ["ApiError", "api_error", "timed_out"]

_log = logging.getLogger("me2sdk.server")
_ADDRESS = re.compile(r"\b\w+://\S+|\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b")
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_RETRY_AFTER_SECONDS = 5  # where the upstream does not say
_TOO_LONG, _FILTERED = "ContextWindowExceededError", "ContentPolicyViolationError"


class ApiError(Exception):
    """An error response.

    Args:
        status: HTTP status.
        message: what happened and what to do.
        code: OpenAI's name for it, or None.
        param: the field or header that is wrong, or None.
        headers: headers of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """The error as JSON."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def api_error(error: Exception) -> ApiError:
    """What a client sees of ``error``. What is left out goes to the log."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, InvalidTraceError):
        return ApiError(400, str(error))
    if not isinstance(error, ME2Error):
        _log.error("A request failed: %s", type(error).__name__, exc_info=error)
        return ApiError(500, "The server failed. Its log says why.")
    _log.warning("A request failed. %s: %s", type(error).__name__, error)
    if isinstance(error, GenerationError):
        return _generation_error(error)
    if isinstance(error, BudgetExceeded):
        return _budget()
    if isinstance(error, ScoringError):
        return ApiError(500, "The candidates could not be scored. The server's log says why.", code="scoring")
    if isinstance(error, ConfigurationError):
        return ApiError(500, "The server is not set up for this. Its log says why.", code="configuration")
    return ApiError(500, "The server failed. Its log says why.")


def _generation_error(error: GenerationError) -> ApiError:
    """If every candidate failed in the same way, that is the response; otherwise the upstream is at fault."""
    told = error.partial.failures if error.partial else ()
    failures = [failure for failure in told if failure.index is not None]
    statuses = {failure.status for failure in failures} or {error.status}
    names: set[str | None] = {failure.error for failure in failures} or {error.error_type}
    status = statuses.pop() if len(statuses) == 1 else None
    name = names.pop() if len(names) == 1 else None
    text = failures[0].message if failures else str(error)
    if name == "BudgetExceeded":
        return _budget()
    if name == _TOO_LONG:
        return ApiError(
            400, "The messages are longer than the model's context.", code="context_length_exceeded"
        )
    if name == _FILTERED:
        return ApiError(
            400, "The upstream refused the messages by its content policy.", code="content_filter"
        )
    if status in (400, 413, 422):
        reason = _ADDRESS.sub("[address]", text)
        return ApiError(400, f"The upstream refused the request: {reason}", code="upstream_refused")
    wait = error.retry_after
    if status == 429 or (status == 503 and wait is not None):
        return ApiError(
            status,
            "The upstream takes no more requests now. Try again later.",
            code="upstream_limited",
            headers={"Retry-After": str(_RETRY_AFTER_SECONDS if wait is None else math.ceil(wait))},
        )
    if status == 408 or name in ("Timeout", "TimeoutError"):
        return timed_out()
    if status in (401, 403):
        message = "The upstream does not accept this server's credentials. The operator must fix this."
    elif status == 404:
        message = "The upstream does not know the model behind this name. The operator must fix this."
    else:
        message = (
            "No candidate came back from the upstream. Try again, or ask the operator to look into the log."
        )
    return ApiError(502, message, code="upstream_failed")


def _budget() -> ApiError:
    # OpenAI's form; the header stops its clients from trying again.
    return ApiError(
        429,
        "The server's budget does not allow this request. Ask for fewer candidates or a lower max_tokens.",
        code="insufficient_quota",
        headers={"x-should-retry": "false"},
    )


def timed_out() -> ApiError:
    """The response to a request that took too long."""
    return ApiError(
        504,
        "No candidate came back in time. Ask for fewer candidates or a lower max_tokens, or try again.",
        code="timeout",
    )
