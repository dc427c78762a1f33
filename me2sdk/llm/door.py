"""The only place where LiteLLM is imported, and what is asked of it beside completions."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from me2sdk.llm.quieting import muted

_lock = threading.Lock()
_module: Any = None
_quieting = threading.Lock()
_quiet_users = 0
_was_quiet = False

# Without these, importing LiteLLM fetches a price list from the internet and copies ./.env into os.environ.
_IMPORT_SETTINGS = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}

_FREE = ("transformers",)  # our own provider: its models run in this process, at no charge


class Prices(NamedTuple):
    """US dollars per token."""

    prompt: float
    completion: float

    def cost(self, prompt: int, completion: int) -> float:
        """US dollars for some tokens."""
        return self.prompt * prompt + self.completion * completion


def load_litellm() -> Any:
    """The ``litellm`` module, imported at the first call (about 3 s) without touching the network.

    The environment is left as it was found.
    """
    global _module
    if _module is not None:
        return _module
    with _lock:
        names = () if "litellm" in sys.modules else _IMPORT_SETTINGS
        added = [name for name in names if name not in os.environ]
        os.environ.update({name: _IMPORT_SETTINGS[name] for name in added})
        try:
            with muted():
                import litellm
        finally:
            for name in added:
                os.environ.pop(name, None)
        _module = litellm
    return _module


async def aload_litellm() -> Any:
    """`load_litellm` in a thread, so that the event loop keeps running."""
    return _module if _module is not None else await asyncio.to_thread(load_litellm)


def encoding() -> Any:
    """tiktoken's cl100k_base from the file in LiteLLM's package, without a network; takes a quarter of a second.

    The environment is left as it was found.
    """
    litellm = load_litellm()
    # LiteLLM sets the first; the second may be set, but empty.
    names = ("TIKTOKEN_CACHE_DIR", "CUSTOM_TIKTOKEN_CACHE_DIR")
    with _lock:
        found = {name: os.environ.pop(name) for name in names if name in os.environ}
        try:
            return litellm.encoding
        finally:
            for name in names:
                os.environ.pop(name, None)
            os.environ.update(found)


@contextlib.contextmanager
def quiet_litellm() -> Iterator[None]:
    """Keep LiteLLM from printing, logging and warning meanwhile; the last one to leave restores its setting."""
    global _quiet_users, _was_quiet
    litellm = load_litellm()
    with _quieting:
        if _quiet_users == 0:
            _was_quiet = litellm.suppress_debug_info
            litellm.suppress_debug_info = True
        _quiet_users += 1
    try:
        with muted():
            yield
    finally:
        with _quieting:
            _quiet_users -= 1
            if _quiet_users == 0:
                litellm.suppress_debug_info = _was_quiet


def is_router(model: object) -> bool:
    """Whether ``model`` is a ``litellm.Router``; looks without importing LiteLLM."""
    router = getattr(sys.modules.get("litellm.router"), "Router", None)
    return router is not None and isinstance(model, router)


def deployments(router: Any) -> list[dict[str, Any]]:
    """The deployments of a ``litellm.Router``, in the order in which it was given them."""
    registry = getattr(router, "registry", None)  # newer versions; ``model_list`` warns there
    found = registry().all() if callable(registry) else router.model_list
    return [dict(deployment) for deployment in found or ()]


def supports_n(model: str, params: Mapping[str, Any]) -> bool:
    """Whether the provider takes ``n``. It may still return fewer answers than asked for."""
    try:
        with quiet_litellm():
            names = load_litellm().get_supported_openai_params(
                model=model, custom_llm_provider=params.get("custom_llm_provider")
            )
    except Exception:  # LiteLLM raises many kinds for models it does not know
        return False
    return "n" in (names or ())


def supports_schema(model: str, params: Mapping[str, Any]) -> bool:
    """Whether LiteLLM knows that a model's answers can be held to a JSON schema."""
    try:
        with quiet_litellm():
            return bool(
                load_litellm().supports_response_schema(
                    model=model, custom_llm_provider=params.get("custom_llm_provider")
                )
            )
    except Exception:  # as above
        return False


def provider(model: str, params: Mapping[str, Any]) -> str | None:
    """LiteLLM's name of the provider that would be asked, or None where it does not know."""
    try:
        with quiet_litellm():
            found = load_litellm().get_llm_provider(
                model=model,
                custom_llm_provider=params.get("custom_llm_provider"),
                api_base=params.get("api_base"),
            )
    except Exception:  # as above
        return None
    return str(found[1])


def prices_of(model: str, params: Mapping[str, Any]) -> Prices | None:
    """Prices of a model per token, or None where they are not known.

    A ``litellm.Router`` writes its models into LiteLLM's table without a price, which LiteLLM then reads as a price
    of 0, and the table itself has zeros for models that do cost something. So a price of 0 counts only where the
    caller states it.

    Args:
        model: LiteLLM model string.
        params: parameters of the call; ``input_cost_per_token`` and ``output_cost_per_token`` win over the table.
    """
    own = params.get("input_cost_per_token"), params.get("output_cost_per_token")
    if own[0] is not None and own[1] is not None:
        return Prices(float(own[0]), float(own[1]))
    if (params.get("custom_llm_provider") or model.partition("/")[0]) in _FREE:
        return Prices(0.0, 0.0)
    try:
        with quiet_litellm():
            prompt, completion = load_litellm().cost_per_token(
                model=model,
                prompt_tokens=1,
                completion_tokens=1,
                custom_llm_provider=params.get("custom_llm_provider"),
            )
    except Exception:  # as above
        return None
    return Prices(float(prompt), float(completion)) if prompt or completion else None
