"""The door to language models: concurrency, retries, cache, budget and usage, over LiteLLM or a function."""

from me2sdk.llm._answer import Generation
from me2sdk.llm._budget import Budget
from me2sdk.llm._cache import user_cache_dir
from me2sdk.llm._client import LLM
from me2sdk.llm._open import open_llm
from me2sdk.llm._rehearsal import rehearse
from me2sdk.llm._tokens import TokenCounter

__all__ = ["LLM", "Budget", "Generation", "TokenCounter", "open_llm", "rehearse", "user_cache_dir"]

for _public in (LLM, Budget, Generation):
    _public.__module__ = __name__
del _public
