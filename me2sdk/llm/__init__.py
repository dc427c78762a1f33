"""The one door to language models: concurrency, retries, cache, budget and usage, over LiteLLM or a function."""

from __future__ import annotations

from me2sdk.llm.answer import Answer, Generation, clean_json
from me2sdk.llm.budget import Budget
from me2sdk.llm.client import LLM, open_llm
from me2sdk.llm.door import Prices, load_litellm, prices_of, quiet_litellm
from me2sdk.llm.dry_run import dry_run
from me2sdk.llm.redaction import redact, without_secrets
from me2sdk.llm.request import check_options
from me2sdk.llm.targets import Model
from me2sdk.llm.tokens import TokenCounter, estimate_tokens

__all__ = [
    "LLM",
    "Answer",
    "Budget",
    "Generation",
    "Model",
    "Prices",
    "TokenCounter",
    "check_options",
    "clean_json",
    "dry_run",
    "estimate_tokens",
    "load_litellm",
    "open_llm",
    "prices_of",
    "quiet_litellm",
    "redact",
    "without_secrets",
]

for _public in (LLM, Budget, Generation):
    _public.__module__ = __name__
del _public
