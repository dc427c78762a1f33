"""What can be asked: a LiteLLM name, a ``litellm.Router``, a function, or a list of these."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Protocol

from me2sdk.errors import ConfigurationError
from me2sdk.llm import door, redaction
from me2sdk.llm.answer import Answer, Choice, clean_json, read_response
from me2sdk.llm.door import Prices
from me2sdk.schema import Message, Usage


class Router(Protocol):
    """A ``litellm.Router``, described without importing LiteLLM.

    Example:
        ```python
        from litellm import Router
        from me2sdk import LLM

        deployment = {"model_name": "small", "litellm_params": {"model": "openai/gpt-4o-mini"}}
        print(LLM(Router(model_list=[deployment])).models)  # ('small',)
        ```
    """

    def acompletion(self, *args: Any, **kwargs: Any) -> Any:
        """Ask one of the router's deployments."""


OneModel = str | Router | Callable[..., Any]
Model = OneModel | Sequence[OneModel]
"""What can be asked: a LiteLLM model string, a ``litellm.Router``, a function ``f(messages, **params)``, or a list of
these, over which samples are spread. The verbs take an `LLM`, too."""

_PRICES = ("input_cost_per_token", "output_cost_per_token")


class Target(ABC):
    """A model that can be asked."""

    name: str
    needs_litellm = True

    @abstractmethod
    async def ask(
        self, messages: list[Message], params: dict[str, Any], seconds: float, threads: Callable[[], Executor]
    ) -> Answer:
        """Make one call, without retries, in at most about ``seconds``.

        Raises:
            TimeoutError: it took longer.
            Exception: whatever the provider's client or the function raises.
        """

    def identity(self) -> Any:
        """What names the model in a cache key; None for a model whose answers cannot be cached."""
        return None

    def supports_n(self, params: Mapping[str, Any]) -> bool:
        """Whether one call can bring several answers."""
        return False

    def answers_singly(self, params: Mapping[str, Any]) -> None:  # noqa: B027 - most give one answer per call
        """Remember that a call with these parameters brings one answer."""

    def supports_schema(self, params: Mapping[str, Any]) -> bool:
        """Whether an answer can be held to a JSON schema, as far as that is known."""
        return False

    def prices(self, params: Mapping[str, Any]) -> Prices | None:
        """Prices per token, or None where they are unknown."""
        return None

    def provider(self, params: Mapping[str, Any]) -> str:
        """LiteLLM's name of the provider; "function" for a model that LiteLLM does not call."""
        return "function"

    def secrets(self) -> set[str]:
        """Keys that the model itself holds."""
        return set()


class NamedTarget(Target):
    """A model by its LiteLLM name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._supports_n: dict[Any, bool] = {}
        self._supports_schema: dict[str, bool] = {}
        self._prices: dict[Any, Prices | None] = {}

    def identity(self) -> Any:
        """What names the model in the key of a cached answer."""
        return self.name

    def supports_n(self, params: Mapping[str, Any]) -> bool:
        """Whether one request may ask for several answers."""
        server = _server(params)
        if server not in self._supports_n:
            self._supports_n[server] = door.supports_n(self.name, params)
        return self._supports_n[server]

    def answers_singly(self, params: Mapping[str, Any]) -> None:
        """Remember that this server gives one answer per request."""
        self._supports_n[_server(params)] = False

    def supports_schema(self, params: Mapping[str, Any]) -> bool:
        """Whether an answer can be held to a JSON schema, as far as LiteLLM knows."""
        provider = str(params.get("custom_llm_provider"))
        if provider not in self._supports_schema:
            self._supports_schema[provider] = door.supports_schema(self.name, params)
        return self._supports_schema[provider]

    def prices(self, params: Mapping[str, Any]) -> Prices | None:
        """Prices per token, or None where they are unknown."""
        return door.prices_of(self.name, params)

    def provider(self, params: Mapping[str, Any]) -> str:
        """The provider's name."""
        return door.provider(self.name, params) or self.name.partition("/")[0]

    async def ask(
        self, messages: list[Message], params: dict[str, Any], seconds: float, threads: Callable[[], Executor]
    ) -> Answer:
        """Send one request."""
        call = functools.partial(door.load_litellm().acompletion, model=self.name, max_retries=0)
        answer, _ = await _complete(call, messages, params, seconds)
        if answer.usage.cost is not None:
            return answer
        # Looking a model up that LiteLLM does not know takes it a good part of a call's own time.
        what = tuple(str(params.get(name)) for name in (*_PRICES, "custom_llm_provider"))
        if what not in self._prices:
            self._prices[what] = self.prices(params)
        return _costed(answer, self._prices[what])


class RouterTarget(Target):
    """The first model group of a ``litellm.Router``, with the router's own balancing and fallbacks."""

    def __init__(self, router: Any) -> None:
        self._router = router
        self._deployments = door.deployments(router)
        if not self._deployments:
            raise ConfigurationError("The Router has an empty model_list. Give it a deployment to ask.")
        self.name = str(self._deployments[0]["model_name"])

    def _settings(self) -> list[dict[str, Any]]:
        return [dict(deployment.get("litellm_params") or {}) for deployment in self._deployments]

    def identity(self) -> Any:
        """What names the model in the key of a cached answer."""
        groups = [str(deployment["model_name"]) for deployment in self._deployments]
        settings = [redaction.without_secrets(params) for params in self._settings()]
        return {
            "group": self.name,
            "deployments": [list(pair) for pair in zip(groups, settings, strict=True)],
        }

    def supports_schema(self, params: Mapping[str, Any]) -> bool:
        """Whether all deployments can be held to a JSON schema, since any of them may answer."""
        return all(door.supports_schema(str(own.get("model")), own) for own in self._settings())

    def prices(self, params: Mapping[str, Any]) -> Prices | None:
        """Prices per token, or None where they are unknown."""
        # Any deployment may answer, by balancing or as a fallback, so the most expensive price is used.
        found = [self._prices(deployment, params) for deployment in self._deployments]
        known = [price for price in found if price is not None]
        if len(known) < len(found):
            return None
        return Prices(max(p.prompt for p in known), max(p.completion for p in known))

    def _prices(self, deployment: Mapping[str, Any], params: Mapping[str, Any]) -> Prices | None:
        own, info = deployment.get("litellm_params") or {}, deployment.get("model_info") or {}
        stated = {name: info[name] for name in _PRICES if info.get(name) is not None}
        model = str(info.get("base_model") or own.get("base_model") or own.get("model"))
        return door.prices_of(model, {**params, **stated, **_given(own)})

    def provider(self, params: Mapping[str, Any]) -> str:
        """The provider's name."""
        own = self._settings()[0]
        return door.provider(str(own.get("model")), own) or "router"

    def secrets(self) -> set[str]:
        """Keys that no message may show."""
        return set().union(*(redaction.secret_values(params) for params in self._settings()))

    async def ask(
        self, messages: list[Message], params: dict[str, Any], seconds: float, threads: Callable[[], Executor]
    ) -> Answer:
        """Send one request."""
        call = functools.partial(self._router.acompletion, model=self.name, num_retries=0, max_retries=0)
        answer, hidden = await _complete(call, messages, params, seconds)
        if answer.usage.cost is not None:
            return answer
        answered = [each for each in self._deployments if _id(each) == hidden.get("model_id")]
        return _costed(answer, self._prices(answered[0], params) if answered else None)


def _server(params: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(str(params.get(name)) for name in ("custom_llm_provider", "api_base", "base_url"))


def _id(deployment: Mapping[str, Any]) -> Any:
    return (deployment.get("model_info") or {}).get("id")


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _costed(answer: Answer, prices: Prices | None) -> Answer:
    """The answer with its cost by known prices, where LiteLLM has none or 0."""
    usage = answer.usage
    if prices is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return answer
    cost = prices.cost(usage.prompt_tokens, usage.completion_tokens)
    return answer._replace(usage=usage.model_copy(update={"cost": cost}))


async def _complete(
    call: Callable[..., Any], messages: list[Message], params: dict[str, Any], seconds: float
) -> tuple[Answer, Mapping[str, Any]]:
    """The answer, and the hidden parameters of LiteLLM's response."""
    # LiteLLM's own timeout bounds each read, not the whole answer, so there is a second one. Its cache is
    # switched off: it cannot tell samples apart and would return the first answer for all.
    with door.quiet_litellm():
        async with asyncio.timeout(seconds * 1.1 + 1.0):
            response = await call(messages=messages, timeout=seconds, caching=False, **params)
        return read_response(response), getattr(response, "_hidden_params", None) or {}


class FunctionTarget(Target):
    """A function ``f(messages, **params)`` that gives a text, a message or a response, awaited or not."""

    needs_litellm = False

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - the method itself is wanted
        )
        self.name = str(getattr(function, "__name__", None) or type(function).__name__)

    async def ask(
        self, messages: list[Message], params: dict[str, Any], seconds: float, threads: Callable[[], Executor]
    ) -> Answer:
        """Send one request."""
        async with asyncio.timeout(seconds):
            if self._is_async:
                result = self._function(messages, **params)
            else:
                work = functools.partial(contextvars.copy_context().run, self._in_thread, messages, params)
                result = await asyncio.get_running_loop().run_in_executor(threads(), work)
            if inspect.isawaitable(result):
                result = await result
        return self._read(result)

    def _in_thread(self, messages: list[Message], params: dict[str, Any]) -> Any:
        try:
            return self._function(messages, **params)
        except StopIteration as error:
            # A future cannot carry it: the call would never end.
            raise RuntimeError("the model function raised StopIteration") from error

    def _read(self, result: Any) -> Answer:
        unknown = Usage(calls=1, prompt_tokens=None, completion_tokens=None, cost=None)
        if isinstance(result, str):
            return Answer([Choice({"role": "assistant", "content": clean_json(result)}, None, None)], unknown)
        if isinstance(result, dict) and "choices" not in result:
            return Answer([Choice({"role": "assistant", **clean_json(result)}, None, None)], unknown)
        if hasattr(result, "choices"):
            return read_response(result)
        raise TypeError(
            f"the model function returned {type(result).__name__}; return a text, an assistant message "
            "as a dict, or a litellm.ModelResponse"
        )


def _target_of(model: OneModel) -> Target:
    if isinstance(model, str) and model.strip():
        return NamedTarget(model)
    if door.is_router(model):
        return RouterTarget(model)
    if callable(model):
        return FunctionTarget(model)
    raise ConfigurationError(
        f"{model!r:.80} is no model. Pass a LiteLLM model string such as 'openai/gpt-4o-mini', a list "
        "of them, a litellm.Router, or a function f(messages, **params)."
    )


def targets_of(model: Model, *, cached: bool) -> list[Target]:
    """The targets behind a model or a list of models.

    Args:
        model: what the caller passed.
        cached: whether the answers are to be cached, which those of functions cannot be.

    Raises:
        ConfigurationError: the list is empty, one is no model, or a function's answers were to be cached.
    """
    models: Sequence[Any] = model if isinstance(model, (list, tuple)) else [model]
    if not models:
        raise ConfigurationError("The list of models is empty. Pass at least one model.")
    targets = [_target_of(one) for one in models]
    if cached and any(target.identity() is None for target in targets):
        raise ConfigurationError(
            "The answers of a model function cannot be cached, since nothing tells one version of it "
            "from another. Pass cache=None, or a LiteLLM model string."
        )
    return targets
