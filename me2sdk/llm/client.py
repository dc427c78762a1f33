"""`LLM`: the one way in which the SDK asks models, and `open_llm`, by which a verb gets one."""

from __future__ import annotations

import asyncio
import copy
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from me2sdk import _paths, _sync, _tracing
from me2sdk.errors import BudgetExceeded, ConfigurationError, GenerationError
from me2sdk.llm import door, redaction
from me2sdk.llm.answer import Choice, Generation, stored_certainty
from me2sdk.llm.budget import Budget
from me2sdk.llm.cache import ResponseCache, key, request_text
from me2sdk.llm.calls import Caller, Request
from me2sdk.llm.door import Prices
from me2sdk.llm.request import check_params, may_be_n, read_messages, rejects_n
from me2sdk.llm.targets import Model, Target, targets_of
from me2sdk.schema import Failure, Question, Usage

__all__ = ["LLM", "open_llm"]

Put = Callable[[Generation | Failure | Exception], None]


class LLM:
    """One or several models, with limits on concurrency, time and spending, retries, and a cache.

    An object may be used from several threads and event loops. ``max_concurrency`` holds for each loop; all
    synchronous calls share one. (LiteLLM's own logging is not made for several loops at the same time and
    complains to its log then; the answers are not affected.)

    Args:
        model: a LiteLLM model string ("openai/gpt-4o-mini"), a ``litellm.Router`` (its first model group is
            asked), a function ``f(messages, **params)`` that returns a text, an assistant message as a dict
            or a ``litellm.ModelResponse`` (async, or plain and then run in a thread), or a list of these:
            sample i goes to ``model[i % len(model)]``.
        max_concurrency: the most calls in flight. A call that waits to be retried gives its slot to another.
        timeout: seconds that one try may take.
        max_retries: tries after the first one. Only what may pass by itself is tried again: rate limits (the
            provider's Retry-After is kept), timeouts, broken connections, server errors, unreadable or empty
            responses. LiteLLM and its clients make no retries of their own.
        total_timeout: seconds that all tries of a call and the pauses between them may take.
        cache: None for no cache, a folder, or True for the user's cache folder. Answers are stored by model,
            endpoint, messages, all parameters and the sample index; API keys and errors are never stored.
        cache_size_bytes: size limit of the cache; the oldest answers are dropped first.
        budget: a limit that this object shares with every other object that holds it.
        **params: parameters of every call, as LiteLLM takes them (``temperature=0.6``, ``api_base=...``). A
            ``seed`` is raised by the sample index, so that samples differ.

    Raises:
        ConfigurationError: a setting cannot work.

    Example:
        ```python
        from me2sdk import LLM

        llm = LLM(lambda messages, **params: "It is 4.", max_concurrency=8)  # or LLM("openai/gpt-4o-mini")
        print(llm.generate("What is 2 + 2?").message["content"])  # It is 4.
        print(llm.usage.calls)  # 1
        ```
    """

    def __init__(
        self,
        model: Model,
        *,
        max_concurrency: int = 16,
        timeout: float = 120.0,
        max_retries: int = 4,
        total_timeout: float = 600.0,
        cache: bool | str | os.PathLike[str] | None = None,
        cache_size_bytes: int = 2**30,
        budget: Budget | None = None,
        **params: Any,
    ) -> None:
        if cache_size_bytes < 1:
            raise ConfigurationError("cache_size_bytes is at least 1.")
        self._caller = Caller(max_concurrency, timeout, max_retries, total_timeout, budget)
        check_params(params)
        self._params = params
        self._targets = targets_of(model, cached=cache is not None and cache is not False)
        self._cache: ResponseCache | None = None
        if cache is not None and cache is not False:
            folder = _paths.user_cache_dir() if cache is True else Path(cache).expanduser()
            self._cache = ResponseCache(folder, cache_size_bytes)
        self._usage: dict[str, Usage] = {}
        self._parent: LLM | None = None
        self._without_schema: set[tuple[str, str]] = set()  # see `ask_structured`; sessions share it
        self._around: Callable[[int], AbstractContextManager[Any]] = lambda index: _tracing.NOTHING
        self._lock = threading.Lock()

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in the order in which samples go to them."""
        return tuple(target.name for target in self._targets)

    @property
    def usage(self) -> Usage:
        """What this object's calls cost so far, failed ones included as far as providers reported it."""
        return sum(self.usage_by_model.values(), Usage())

    @property
    def usage_by_model(self) -> dict[str, Usage]:
        """The same for each model that was asked, by its name."""
        with self._lock:
            return dict(self._usage)

    def session(
        self,
        model: Model | None = None,
        *,
        without: Iterable[str] = (),
        params: Mapping[str, Any] | None = None,
    ) -> LLM:
        """A view of this object that counts usage of its own, from zero.

        Everything else is shared: limits, cache, budget, slots. What a session uses is counted here too.

        Args:
            model: the model, or the list of models, that the session asks; those of this object by default.
            without: names of parameters of this object that the session does not send.
            params: parameters that it sends besides, or in place of those of this object.

        Raises:
            ConfigurationError: the model or a parameter cannot work, or the model is a function and there is a cache.
        """
        check_params(params or {})
        view = copy.copy(self)
        view._usage, view._parent = {}, self
        kept = {name: value for name, value in self._params.items() if name not in set(without)}
        view._params = {**kept, **(params or {})}
        if model is not None:
            view._targets = targets_of(model, cached=self._cache is not None)
        return view

    def within(self, around: Callable[[int], AbstractContextManager[Any]]) -> LLM:
        """A session that asks for each sample inside ``around(index)``, unless one call brings several samples."""
        view = self.session()
        view._around = around
        return view

    def unset(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Those of some parameters that this object does not set itself."""
        return {name: value for name, value in params.items() if name not in self._params}

    async def aload(self) -> LLM:
        """Import what the models need (LiteLLM, about 3 s) now instead of at the first call.

        Returns:
            The object itself.
        """
        if any(target.needs_litellm for target in self._targets):
            await door.aload_litellm()
        return self

    def __repr__(self) -> str:
        return f"LLM(models={self.models}, max_concurrency={self._caller.max_concurrency})"

    async def agenerate(self, messages: Question, *, sample_index: int = 0, **params: Any) -> Generation:
        """Ask once.

        Args:
            messages: a question, or chat messages.
            sample_index: which of several samples of the same request this is: it picks the model of a mixed
                pool and tells samples apart in the cache.
            **params: parameters of this call; they win over those of the object.

        Raises:
            GenerationError: the call failed for good.
            BudgetExceeded: the call could have passed the budget, so it was not made.
            ConfigurationError: the messages or a parameter cannot work.
        """
        if sample_index < 0:
            raise ConfigurationError("sample_index counts from 0.")
        request = await self._request(messages, params, [self._target(sample_index)])
        return await self._generate(request, sample_index)

    def generate(self, messages: Question, *, sample_index: int = 0, **params: Any) -> Generation:
        """Synchronous twin of `agenerate`."""
        return _sync.run_sync(self.agenerate(messages, sample_index=sample_index, **params))

    async def asample(
        self, messages: Question, n: int, *, start: int = 0, deadline: float | None = None, **params: Any
    ) -> AsyncGenerator[Generation | Failure, None]:
        """Ask for n answers and yield each as it arrives, in any order.

        Exactly n items come, with index ``start`` to ``start + n - 1``. An answer that failed comes as a `Failure`
        and costs the others nothing. Where the provider can return several answers to one call, they are asked for
        together. Closing the iterator cancels the calls in flight (a plain function runs to its end in its
        thread, and its answer is dropped).

        Args:
            messages: a question, or chat messages.
            n: number of answers, at least 1.
            start: index of the first of them, where others were asked for before.
            deadline: seconds after which the calls in flight are cancelled and each answer that has not come
                is a `Failure`; waiting for a free slot counts. None waits for all of them.
            **params: parameters of these calls; they win over those of the object.

        Raises:
            ConfigurationError: the messages, ``n`` or a parameter cannot work. Raised before the first item.
        """
        if n < 1 or start < 0:
            raise ConfigurationError("n is at least 1, and start counts from 0.")
        indices = range(start, start + n)
        ends = None if deadline is None else asyncio.get_running_loop().time() + deadline
        request = await self._request(messages, params, list(dict.fromkeys(map(self._target, indices))))
        if n == 1:  # nothing to wait for side by side, so no tasks
            yield await self._sample_alone(request, start, ends, deadline)
            return
        arrived: asyncio.Queue[Generation | Failure | Exception] = asyncio.Queue()
        tasks = [
            asyncio.create_task(self._sample_group(request, group, arrived.put_nowait))
            for group in self._groups(request, indices)
        ]
        missing = set(indices)
        try:
            while missing:
                try:
                    async with asyncio.timeout_at(ends):
                        item = await arrived.get()
                except TimeoutError:
                    break
                if isinstance(item, Exception):
                    raise item
                missing.discard(item.index)
                yield item
            for index in sorted(missing):
                yield self._late(index, deadline)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _request(self, messages: Question, params: dict[str, Any], targets: list[Target]) -> Request:
        """Check and merge what was passed, before anything is sent."""
        check_params(params)
        merged = {**self._params, **params}
        if any(target.needs_litellm for target in targets):
            await door.aload_litellm()
        prices: dict[Target, Prices] = {}
        budget = self._caller.budget
        if budget is not None and budget.usd is not None:
            for target in targets:
                price = await asyncio.to_thread(target.prices, merged)
                if price is None:
                    raise ConfigurationError(
                        f"The price of {target.name} is not known, so Budget(usd=...) cannot hold. Use "
                        "Budget(tokens=...), or pass input_cost_per_token= and output_cost_per_token=."
                    )
                prices[target] = price
        secrets = redaction.secret_values(merged).union(*(target.secrets() for target in targets))
        chat = read_messages(messages)
        texts = {}
        if self._cache:
            texts = {target: request_text(target.identity(), chat, merged) for target in targets}
        return Request(chat, merged, frozenset(secrets), texts, prices)

    def _target(self, index: int) -> Target:
        return self._targets[index % len(self._targets)]

    def _groups(self, request: Request, indices: Sequence[int]) -> list[list[int]]:
        """Samples that may be asked for in one call."""
        by_target: dict[Target, list[int]] = {}
        for index in indices:
            by_target.setdefault(self._target(index), []).append(index)
        groups = []
        several = self._caller.may_ask_for_several(request.params)
        for target, own in by_target.items():
            together = len(own) > 1 and several and target.supports_n(request.params)
            groups += [own] if together else [[index] for index in own]
        return groups

    async def _sample_alone(
        self, request: Request, index: int, ends: float | None, deadline: float | None
    ) -> Generation | Failure:
        try:
            async with asyncio.timeout_at(ends):
                return await self._sample_one(request, index, lambda item: None)
        except TimeoutError:
            return self._late(index, deadline)

    async def _sample_group(self, request: Request, indices: Sequence[int], put: Put) -> None:
        """Ask one model for some samples and put an item for each; nothing is raised but a cancellation."""
        try:
            if len(indices) > 1:
                indices = await self._sample_together(request, indices, put)
            await _sync.all_or_none(*(self._sample_one(request, index, put) for index in indices))
        except Exception as error:
            put(error)

    async def _sample_together(self, request: Request, indices: Sequence[int], put: Put) -> Sequence[int]:
        """Ask for several samples in one call; returns those that are still to be asked for one by one."""
        target = self._target(indices[0])
        missing = []
        for index in indices:
            cached = await self._cached(request, index)
            put(cached) if cached else missing.append(index)
        if len(missing) < 2:
            return missing
        params = {**request.params, "n": len(missing)}
        try:
            answer, seconds = await self._caller.call_with_retries(
                target, request, params, partial(self._count, target.name)
            )
        except BudgetExceeded:
            return missing  # there may still be room for some of them
        except GenerationError as error:
            if rejects_n(error):
                target.answers_singly(request.params)
                return missing
            return await self._sample_without_n(request, missing, put, error)
        alone = answer.usage if len(answer.choices) == 1 else None
        for index, choice in zip(missing, answer.choices, strict=False):
            put(await self._finish(request, index, choice, alone, seconds))
        return missing[len(answer.choices) :]

    async def _sample_without_n(
        self, request: Request, missing: Sequence[int], put: Put, failed: GenerationError
    ) -> Sequence[int]:
        """After a call for several samples failed: ask for one, which tells whether that was the reason."""
        if not may_be_n(failed):
            for index in missing:
                put(self._failure(failed, index))
            return []
        first, *others = missing
        item = await self._sample_one(request, first, put)
        if isinstance(item, Generation):
            self._target(first).answers_singly(request.params)
            return others
        for index in others:
            put(item.model_copy(update={"index": index}))
        return []

    async def _sample_one(self, request: Request, index: int, put: Put) -> Generation | Failure:
        """Put what comes of one sample, and return it."""
        item: Generation | Failure
        try:
            with self._around(index):
                item = await self._generate(request, index)
        except (GenerationError, BudgetExceeded) as error:
            item = self._failure(error, index)
        put(item)
        return item

    async def _generate(self, request: Request, index: int) -> Generation:
        cached = await self._cached(request, index)
        if cached:
            return cached
        params = request.params
        if index and isinstance(params.get("seed"), int):
            params = {**params, "seed": params["seed"] + index}
        target = self._target(index)
        answer, seconds = await self._caller.call_with_retries(
            target, request, params, partial(self._count, target.name)
        )
        return await self._finish(request, index, answer.choices[0], answer.usage, seconds)

    def _key(self, request: Request, index: int) -> str:
        return key(request.cache_texts[self._target(index)], index)

    async def _cached(self, request: Request, index: int) -> Generation | None:
        record = await self._cache.get(self._key(request, index)) if self._cache else None
        # Older answers have none, and may have been asked for with log-probabilities all the same.
        if record is None or (request.params.get("logprobs") and "certainty" not in record):
            return None
        usage = Usage(cached_calls=1)
        self._count(self._target(index).name, usage)
        reason = record.get("finish_reason")
        return Generation(
            index=index,
            message=record["message"],
            model=self._target(index).name,
            finish_reason=reason if isinstance(reason, str) else None,
            certainty=stored_certainty(record),
            usage=usage,
            cached=True,
        )

    async def _finish(
        self, request: Request, index: int, choice: Choice, usage: Usage | None, seconds: float
    ) -> Generation:
        message, certainty = choice.measured()
        if self._cache:
            record = {
                "message": message,
                "finish_reason": choice.finish_reason,
                "certainty": certainty and certainty.model_dump(),
            }
            await self._cache.put(self._key(request, index), record)
        return Generation(
            index=index,
            message=message,
            model=self._target(index).name,
            finish_reason=choice.finish_reason,
            certainty=certainty,
            usage=usage,
            seconds=seconds,
            raw=choice.raw,
        )

    def _count(self, name: str, usage: Usage) -> None:
        with self._lock:
            known = self._usage.get(name)
            self._usage[name] = usage if known is None else known + usage
        if self._parent is not None:
            self._parent._count(name, usage)

    def _late(self, index: int, seconds: float | None) -> Failure:
        return Failure(
            index=index,
            stage="generate",
            error="Timeout",
            message=f"No answer within {seconds:g} s. Raise the deadline, or ask for shorter answers with max_tokens.",
            model=self._target(index).name,
            status=408,
        )

    def _failure(self, error: GenerationError | BudgetExceeded, index: int) -> Failure:
        known = error if isinstance(error, GenerationError) else None
        return Failure(
            index=index,
            stage="generate",
            error=(known.error_type if known else None) or type(error).__name__,
            message=str(error),
            model=self._target(index).name,
            status=known.status if known else None,
            attempts=known.attempts if known else 0,
            retry_after=known.retry_after if known else None,
        )


def open_llm(model: Model | LLM, *, verb: str, budget: Any, cache: Any, **limits: Any) -> LLM:
    """A session of ``model`` where that is an `LLM`, else a new `LLM` with the given limits.

    Args:
        model: what the caller of the verb passed.
        verb: name of the verb, for error messages.
        budget: a `Budget`, or None.
        cache: as for `LLM`.
        **limits: other settings for `LLM`.

    Raises:
        ConfigurationError: an `LLM` was given together with a budget or a cache, or a limit cannot work.
    """
    if not isinstance(model, LLM):
        return LLM(model, budget=budget, cache=cache, **limits)
    if budget is not None or cache is not None:
        raise ConfigurationError(f"An LLM has its own budget and cache. Give them to LLM(…), not to {verb}.")
    return model.session()
