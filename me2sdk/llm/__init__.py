"""The one door to language models: concurrency, retries, cache, budget and usage, over LiteLLM or a function."""

from __future__ import annotations

from me2sdk.llm.answer import Answer as Answer, Generation, clean_json as clean_json
from me2sdk.llm.budget import Budget
from me2sdk.llm.client import LLM, open_llm as open_llm
from me2sdk.llm.door import (
    Prices as Prices,
    load_litellm as load_litellm,
    prices_of as prices_of,
    quiet_litellm as quiet_litellm,
)
from me2sdk.llm.dry_run import dry_run as dry_run
from me2sdk.llm.providers import CONNECTION as CONNECTION, same_provider as same_provider
from me2sdk.llm.redaction import redact as redact, without_secrets as without_secrets
from me2sdk.llm.request import check_options as check_options, may_be_parameter as may_be_parameter
from me2sdk.llm.structured import (
    Structured as Structured,
    ask_structured as ask_structured,
    check_structured as check_structured,
    schema_params as schema_params,
)
from me2sdk.llm.targets import Model, Router
from me2sdk.llm.tokens import TokenCounter as TokenCounter, estimate_tokens as estimate_tokens

__all__ = [
    "LLM",
    "Budget",
    "Generation",
    "Model",
    "Router",
]

for _public in (LLM, Budget, Generation):
    _public.__module__ = __name__
del _public
