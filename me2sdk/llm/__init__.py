"""The door to language models: concurrency, retries, cache, budget and usage, over LiteLLM or a function."""

from __future__ import annotations

from me2sdk.llm.answer import Answer, Generation, clean, estimate_tokens
from me2sdk.llm.budget import Budget
from me2sdk.llm.client import LLM
from me2sdk.llm.door import Prices, load, prices, quiet
from me2sdk.llm.dry_run import rehearse
from me2sdk.llm.opening import open_llm
from me2sdk.llm.tokens import TokenCounter

__all__ = [
    "LLM",
    "Answer",
    "Budget",
    "Generation",
    "Prices",
    "TokenCounter",
    "clean",
    "estimate_tokens",
    "load",
    "open_llm",
    "prices",
    "quiet",
    "rehearse",
]

for _public in (LLM, Budget, Generation):
    _public.__module__ = __name__
del _public
