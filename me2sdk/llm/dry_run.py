"""An `LLM` that goes through the motions: every call is counted, none is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

from me2sdk.llm import door
from me2sdk.llm.answer import Answer, Choice
from me2sdk.llm.budget import Budget, cost_of
from me2sdk.llm.cache import ResponseCache
from me2sdk.llm.client import LLM
from me2sdk.llm.door import Prices
from me2sdk.llm.limits import Lanes
from me2sdk.llm.request import answer_limit
from me2sdk.llm.targets import Target
from me2sdk.llm.tokens import TokenCounter
from me2sdk.schema import Message, Usage

__all__ = ["Rehearsal", "Said", "rehearse"]

Said = Callable[[Sequence[Message]], tuple[str, int, Callable[[Usage], None]]]
"""What is said to some messages: the text, its tokens, and who is told what the call would use."""

_NO_LIMIT = 10**18


class Rehearsal(NamedTuple):
    """An `LLM` that makes no call, and what counts the tokens that it would send."""

    llm: LLM
    counter: TokenCounter


class _StandIn(Target):
    """Stands where a model stood: same name, prices and place in the cache, but the answers are made up."""

    needs_litellm = False

    def __init__(self, model: Target, say: Said, counter: TokenCounter) -> None:
        self.name = model.name
        self._model = model
        self._say = say
        self._counter = counter
        self._prices: list[Prices | None] = []

    def identity(self) -> Any:
        return self._model.identity()

    def supports_n(self, params: Mapping[str, Any]) -> bool:
        return self._model.supports_n(params)

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
        text, tokens, tell = self._say(messages)
        count = params.get("n") or 1
        limit = answer_limit(params)
        prompt = self._counter.request(messages, params)
        completion = count * (tokens if limit is None else min(tokens, limit))
        cost = cost_of(self.prices(params), prompt, completion)
        usage = Usage(calls=1, prompt_tokens=prompt, completion_tokens=completion, cost=cost)
        tell(usage)
        return Answer([Choice({"role": "assistant", "content": text}, "stop", None)] * count, usage)


class _Copy(ResponseCache):
    """Reads what another cache holds, and keeps new answers to itself."""

    def __init__(self, original: ResponseCache) -> None:
        self._original = original
        self._own: dict[str, Mapping[str, Any]] = {}

    async def get(self, key: str) -> dict[str, Any] | None:
        return dict(self._own[key]) if key in self._own else await self._original.get(key)

    async def put(self, key: str, record: Mapping[str, Any]) -> None:
        self._own[key] = record


async def rehearse(llm: LLM, say: Said, counter: TokenCounter | None = None) -> Rehearsal:
    """An `LLM` that takes the same way as ``llm`` to the point where a model would be asked, and goes no further.

    The cache is read, but not written. Slots, budget and usage of ``llm`` are left alone.

    Args:
        llm: the object that would do the work.
        say: what the models would say.
        counter: for the tokens of prompts, to share what it remembers.
    """
    await door.aload()
    counter = counter or TokenCounter()
    view = llm.session()
    view._parent = None
    view._targets = [_StandIn(target, say, counter) for target in llm._targets]
    view._lanes = Lanes(llm._max_concurrency)
    view._cache = None if llm._cache is None else _Copy(llm._cache)
    if llm._budget is not None:  # as long as it has seen no answer, a budget keeps samples apart
        view._budget = Budget(tokens=_NO_LIMIT)
        view._budget._longest = llm._budget._longest
    return Rehearsal(view, counter)
