"""What several adapters share: best of n over a framework's own model, and what spans say of results."""

from __future__ import annotations

from me2sdk.adapters._shared.attributes import attributes, error_of, failed, model_of, request_parameters
from me2sdk.adapters._shared.best_of import (
    Answered,
    Settings,
    abest_native,
    aorder,
    best_native,
    finished,
    record,
)
from me2sdk.adapters._shared.content import shown

__all__ = [
    "Answered",
    "Settings",
    "abest_native",
    "aorder",
    "attributes",
    "best_native",
    "error_of",
    "failed",
    "finished",
    "model_of",
    "record",
    "request_parameters",
    "shown",
]
