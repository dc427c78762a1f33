"""A dry run: an `LLM` that counts every call and makes none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

from me2sdk.llm import door
from me2sdk.llm.answer import Answer, Choice
from me2sdk.llm.budget import Budget
from me2sdk.llm.cache import ResponseCache
from me2sdk.llm.client import LLM
from me2sdk.llm.door import Prices
from me2sdk.llm.request import answer_limit
from me2sdk.llm.targets import Target
from me2sdk.llm.tokens import TokenCounter
from me2sdk.schema import Message, Usage

__all__ = ["DryRun", "Simulate", "dry_run"]

Simulate = Callable[[Sequence[Message]], tuple[str, int, Callable[[Usage], None]]]
"""The answer to some messages: its text, its tokens, and a callback that gets what the call would use."""

_NO_LIMIT = 10**18


class DryRun(NamedTuple):
    """An `LLM` that makes no call, and the counter of the tokens that it would send."""

    llm: LLM
    counter: TokenCounter


class _SimulatedTarget(Target):
    """Takes the place of a model: same name, prices and cache keys, but made-up answers."""

    needs_litellm = False

    def __init__(self, model: Target, simulate: Simulate, counter: TokenCounter) -> None:
        self.name = model.name
        self._model = model
        self._simulate = simulate
        self._counter = counter
        self._prices: list[Prices | None] = []

    def identity(self) -> Any:
        return self._model.identity()

    def supports_n(self, params: Mapping[str, Any]) -> bool:
        return self._model.supports_n(params)

    def supports_schema(self, params: Mapping[str, Any]) -> bool:
        return self._model.supports_schema(params)

    def prices(self, params: Mapping[str, Any]) -> Prices | None:
        if not self._prices:  # the parameters that a price depends on are the same for all calls
            self._prices.append(self._model.prices(params))
        return self._prices[0]

    async def ask(
        self,
        messages: list[Message],
        params: dict[str, Any],
        seconds: float,
        threads: Callable[[], Executor],
    ) -> Answer:
        text, tokens, on_usage = self._simulate(messages)
        count = params.get("n") or 1
        limit = answer_limit(params)
        prompt = self._counter.request(messages, params)
        completion = count * (tokens if limit is None else min(tokens, limit))
        prices = self.prices(params)
        cost = prices.cost(prompt, completion) if prices else None
        usage = Usage(calls=1, prompt_tokens=prompt, completion_tokens=completion, cost=cost)
        on_usage(usage)
        return Answer([Choice({"role": "assistant", "content": text}, "stop", None)] * count, usage)


class _CacheOverlay(ResponseCache):
    """Reads from another cache, and keeps new answers in memory."""

    def __init__(self, original: ResponseCache) -> None:
        self._original = original
        self._new: dict[str, Mapping[str, Any]] = {}

    async def get(self, key: str) -> dict[str, Any] | None:
        return dict(self._new[key]) if key in self._new else await self._original.get(key)

    async def put(self, key: str, record: Mapping[str, Any]) -> None:
        self._new[key] = record


async def dry_run(llm: LLM, simulate: Simulate, counter: TokenCounter | None = None) -> DryRun:
    """An `LLM` that does all that ``llm`` does but for asking a model, whose answers are made up.

    The cache is read, but not written. Slots, budget and usage of ``llm`` stay as they are.

    Args:
        llm: the object that would do the work.
        simulate: what the models would answer.
        counter: for the tokens of prompts, to share what it remembers; a new one by default.

    Returns:
        The object to work with, and the counter.
    """
    await door.aload_litellm()
    counter = counter or TokenCounter()
    budget = llm._caller.budget
    if budget is not None:  # as long as it has seen no answer, a budget keeps samples apart
        longest, budget = budget._longest, Budget(tokens=_NO_LIMIT)
        budget._longest = longest
    view = llm.session()
    view._parent = None
    view._targets = [_SimulatedTarget(target, simulate, counter) for target in llm._targets]
    view._caller = llm._caller.with_budget(budget)
    view._cache = None if llm._cache is None else _CacheOverlay(llm._cache)
    return DryRun(view, counter)
