"""Two providers for LiteLLM: ``me2/<model>`` reranks any model, ``transformers/<path>`` runs one in this process.

::

    import litellm
    from me2sdk.adapters.litellm_provider import register

    register()
    response = litellm.completion("me2/openai/gpt-4o-mini", messages, best_of=8)
    response.choices[0].message.content          # the best of eight answers
    response._hidden_params["me2sdk"]            # all of them, rewards and confidence: a BestOfNResult

    litellm.completion("transformers/path/to/model", messages, n=4, temperature=0.7, max_tokens=200)
"""

from __future__ import annotations

from me2sdk.adapters.litellm_provider.provider import handlers, register, unregister

__all__ = [
    "handlers",
    "register",
    "unregister",
]
