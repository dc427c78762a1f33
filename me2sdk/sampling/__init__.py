"""From a question to the best of several answers: sample or take them, score them, choose."""

from __future__ import annotations

from me2sdk.sampling.candidates import read_candidate as read_candidate, sample as sample
from me2sdk.sampling.drop_in import acompletion, completion
from me2sdk.sampling.select import SelectionConfig as SelectionConfig, order as order
from me2sdk.sampling.verbs import abest_of_n, arerank, best_of_n, rerank

__all__ = [
    "abest_of_n",
    "acompletion",
    "arerank",
    "best_of_n",
    "completion",
    "rerank",
]
