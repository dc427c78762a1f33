"""Shared by adapters: best of n over a framework's own model, and the attributes of spans."""

from __future__ import annotations

from me2sdk.adapters._shared.attributes import attributes, error_of, failure_of, model_of, request_parameters
from me2sdk.adapters._shared.best_of import (
    OPTIONS,
    Answered,
    WrapperConfig,
    abest_native,
    aorder,
    best_native,
    finished,
    record,
    with_model,
)
from me2sdk.adapters._shared.content import choice, json_value
from me2sdk.adapters._shared.names import by_name, check_answer, own_name
from me2sdk.adapters._shared.responses import as_assistant, as_chat, is_cut_off

__all__ = [
    "OPTIONS",
    "Answered",
    "WrapperConfig",
    "abest_native",
    "aorder",
    "as_assistant",
    "as_chat",
    "attributes",
    "best_native",
    "by_name",
    "check_answer",
    "choice",
    "error_of",
    "failure_of",
    "finished",
    "is_cut_off",
    "json_value",
    "model_of",
    "own_name",
    "record",
    "request_parameters",
    "with_model",
]
