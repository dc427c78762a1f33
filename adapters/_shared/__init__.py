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

__all__ = [
    "OPTIONS",
    "Answered",
    "WrapperConfig",
    "abest_native",
    "aorder",
    "attributes",
    "best_native",
    "choice",
    "error_of",
    "failure_of",
    "finished",
    "json_value",
    "model_of",
    "record",
    "request_parameters",
    "with_model",
]
