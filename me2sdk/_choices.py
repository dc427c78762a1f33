"""What callers choose from by name. Loads nothing, so that the command line starts quickly."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

__all__ = ["PREFIX_SETS", "ChosenBy", "Dimension", "Select"]

PREFIX_SETS = ("qwen3", "deepseek-r1-distill", "gpt-oss", "general")
"""Names that ``prefixes=`` takes, beside "auto"."""

Select = Literal["auto", "best", "vote", "weighted_vote"]
"""How the best candidate is chosen; `best_of_n` says what each name does."""

ChosenBy = Literal["agreement and reward", "agreement", "reward", "order"]
"""The evidence that a choice rests on: how many candidates agree, their rewards, or none but the order they came in."""


class Dimension(StrEnum):
    """The four dimensions of ME²: {macro, micro} × {efficiency, effectiveness} (paper §3).

    Example:
        ```python
        from me2sdk import Dimension

        print([dimension.value for dimension in Dimension][:2])  # ['macro_efficiency', 'macro_effectiveness']
        ```
    """

    MACRO_EFFICIENCY = "macro_efficiency"
    MACRO_EFFECTIVENESS = "macro_effectiveness"
    MICRO_EFFICIENCY = "micro_efficiency"
    MICRO_EFFECTIVENESS = "micro_effectiveness"
