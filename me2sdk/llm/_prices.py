"""What a model costs, for estimates before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from me2sdk.llm import _litellm
from me2sdk.llm._litellm import Prices

__all__ = ["Prices", "token_prices"]


def token_prices(model: str, params: Mapping[str, Any]) -> Prices | None:
    """US dollars a token, or None where that is not known. Imports LiteLLM, which takes seconds.

    Args:
        model: LiteLLM model string.
        params: parameters of the calls; ``input_cost_per_token`` and ``output_cost_per_token`` win over the table.
            A price of 0 counts as known only where they state it.
    """
    return _litellm.prices(model, params)
