"""The only place where LiteLLM is imported, and the questions asked of it that are not completions."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from me2sdk.llm.quieting import hushed

_lock = threading.Lock()
_module: Any = None
_quieting = threading.Lock()
_quiet_users = 0
_was_quiet = False

# Without these, importing LiteLLM fetches a price list from the internet and copies ./.env into os.environ.
_IMPORT_SETTINGS = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}

_FREE = ("transformers",)  # our own provider: its models answer in this process, and nobody is paid


class Prices(NamedTuple):
    """US dollars a token."""

    prompt: float
    completion: float


def load() -> Any:
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
            with hushed():
                import litellm
        finally:
            for name in added:
                os.environ.pop(name, None)
        _module = litellm
    return _module


async def aload() -> Any:
    """`load` that keeps the event loop running meanwhile."""
    return _module if _module is not None else await asyncio.to_thread(load)


def encoding() -> Any:
    """tiktoken's cl100k_base from the file in LiteLLM's package, so without a network; takes a quarter of a second.

    The environment is left as it was found.
    """
    litellm = load()
    names = (
        "TIKTOKEN_CACHE_DIR",
        "CUSTOM_TIKTOKEN_CACHE_DIR",
    )  # LiteLLM sets the one; the other may be empty
    with _lock:
        found = {name: os.environ.pop(name) for name in names if name in os.environ}
        try:
            return litellm.encoding
        finally:
            for name in names:
                os.environ.pop(name, None)
            os.environ.update(found)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep LiteLLM from printing, logging and warning while this is open; the last one puts its setting back."""
    global _quiet_users, _was_quiet
    litellm = load()
    with _quieting:
        if _quiet_users == 0:
            _was_quiet = litellm.suppress_debug_info
            litellm.suppress_debug_info = True
        _quiet_users += 1
    try:
        with hushed():
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
        with quiet():
            names = load().get_supported_openai_params(
                model=model, custom_llm_provider=params.get("custom_llm_provider")
            )
    except Exception:  # LiteLLM raises many kinds for models it does not know
        return False
    return "n" in (names or ())


def provider(model: str, params: Mapping[str, Any]) -> str | None:
    """LiteLLM's name of the provider that would be asked, or None where it does not know."""
    try:
        with quiet():
            found = load().get_llm_provider(
                model=model,
                custom_llm_provider=params.get("custom_llm_provider"),
                api_base=params.get("api_base"),
            )
    except Exception:  # the same
        return None
    return str(found[1])


def prices(model: str, params: Mapping[str, Any]) -> Prices | None:
    """What a token costs, or None where that is not known.

    Building a ``litellm.Router`` writes its models into LiteLLM's table without a price, which LiteLLM then reads as
    one of 0; the table also has zeros of its own for models that do cost something. So a price of 0 counts only where
    the caller states it.

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
        with quiet():
            prompt, completion = load().cost_per_token(
                model=model,
                prompt_tokens=1,
                completion_tokens=1,
                custom_llm_provider=params.get("custom_llm_provider"),
            )
    except Exception:  # the same
        return None
    return Prices(float(prompt), float(completion)) if prompt or completion else None
