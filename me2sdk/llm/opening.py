"""How a verb gets its `LLM` from what the caller passed as ``model``."""

from __future__ import annotations

from typing import Any

from me2sdk.errors import ConfigurationError
from me2sdk.llm.client import LLM

__all__ = ["open_llm"]


def open_llm(model: Any, *, verb: str, budget: Any, cache: Any, **limits: Any) -> LLM:
    """A session of ``model`` where that is an `LLM`, else a new `LLM` with the given limits.

    Raises:
        ConfigurationError: an `LLM` was given together with a budget or a cache, or a limit cannot work.
    """
    if not isinstance(model, LLM):
        return LLM(model, budget=budget, cache=cache, **limits)
    if budget is not None or cache is not None:
        raise ConfigurationError(f"An LLM has its own budget and cache. Give them to LLM(…), not to {verb}.")
    return model.session()
