"""What a model costs, for estimates before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from me2sdk.llm import _litellm
from me2sdk.llm._litellm import Prices

__all__ = ["Prices", "if_known", "token_prices"]


def token_prices(model: str, params: Mapping[str, Any]) -> Prices | None:
    """US dollars a token, or None where that is not known. Imports LiteLLM, which takes seconds.

    Args:
        model: LiteLLM model string.
        params: parameters of the calls; ``input_cost_per_token`` and ``output_cost_per_token`` win over the table.
    """
    return if_known(_litellm.prices(model, params), params)


def if_known(found: Prices | None, params: Mapping[str, Any]) -> Prices | None:
    """Prices from LiteLLM's table, or None where they say nothing.

    The table has zeros for models that cost nothing and also for some that it knows no price of, so a price of zero
    counts as known only where the caller says so.
    """
    told = params.get("input_cost_per_token") is not None and params.get("output_cost_per_token") is not None
    return found if told or (found is not None and any(found)) else None
