"""`LLM`: the one door through which the SDK asks models."""

from __future__ import annotations

import asyncio
import copy
import math
import os
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from me2sdk import _paths, _sync, _tracing
from me2sdk.errors import BudgetExceeded, ConfigurationError, GenerationError, ME2Error
from me2sdk.llm import door, redaction
from me2sdk.llm.answer import Answer, Choice, Generation, estimate_tokens
from me2sdk.llm.budget import Budget, Estimate, Reservation
from me2sdk.llm.cache import ResponseCache, key, request_text
from me2sdk.llm.door import Prices
from me2sdk.llm.limits import Lanes
from me2sdk.llm.request import answer_limit, check_params, generation_error, read_messages
from me2sdk.llm.retry import Effort, EmptyResponse
from me2sdk.llm.several import may_be_n, rejects_n
from me2sdk.llm.targets import Model, Target, target_of
from me2sdk.schema import Failure, Message, Question, Usage

__all__ = ["LLM"]


class _Job(NamedTuple):
    """What one question asks of all its samples."""

    messages: list[Message]
    params: dict[str, Any]
    secrets: frozenset[str]
    requests: dict[Target, str]  # as text, for the cache
    prices: dict[Target, Prices]  # for a budget in dollars


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
        cache_size_bytes: size limit of the cache; the oldest answers go first.
        budget: a limit that this object shares with whoever else holds it.
        **params: parameters of every call, as LiteLLM takes them (``temperature=0.6``, ``api_base=...``). A
            ``seed`` is raised by the sample index, so that samples differ.

    Raises:
        ConfigurationError: a setting cannot work.
    """

    def __init__(
        self,
        model: Model | Sequence[Model],
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
        if max_concurrency < 1 or max_retries < 0 or cache_size_bytes < 1:
            raise ConfigurationError(
                "max_concurrency and cache_size_bytes are at least 1, max_retries at least 0."
            )
        if not all(math.isfinite(seconds) and seconds > 0 for seconds in (timeout, total_timeout)):
            raise ConfigurationError("timeout and total_timeout are finite numbers of seconds above 0.")
        check_params(params)
        self._targets = _targets_of(model, cached=cache is not None and cache is not False)
        self._max_concurrency = max_concurrency
        self._timeout = timeout
        self._max_retries = max_retries
        self._total_timeout = total_timeout
        self._params = params
        self._budget = budget
        self._cache: ResponseCache | None = None
        if cache is not None and cache is not False:
            folder = _paths.user_cache_dir() if cache is True else Path(cache).expanduser()
            self._cache = ResponseCache(folder, cache_size_bytes)
        self._sleep = asyncio.sleep
        self._usage = Usage()
        self._parent: LLM | None = None
        self._around: Callable[[int], AbstractContextManager[Any]] = lambda index: _tracing.NOTHING
        self._lock = threading.Lock()
        self._lanes = Lanes(max_concurrency)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in the order in which samples go to them."""
        return tuple(target.name for target in self._targets)

    @property
    def usage(self) -> Usage:
        """What this object's calls cost so far, failed ones included as far as providers reported it."""
        with self._lock:
            return self._usage

    def session(self, model: Model | Sequence[Model] | None = None) -> LLM:
        """A view of this object that counts usage of its own, from zero.

        Everything else is shared: limits, cache, budget, slots. What a session uses is counted here too.

        Args:
            model: the model, or the list of models, that the session asks; those of this object by default.

        Raises:
            ConfigurationError: the model cannot work, or is a function and there is a cache.
        """
        view = copy.copy(self)
        view._usage, view._parent = Usage(), self
        if model is not None:
            view._targets = _targets_of(model, cached=self._cache is not None)
        return view

    def _within(self, around: Callable[[int], AbstractContextManager[Any]]) -> LLM:
        """A session that asks for each sample, where it asks for it alone, inside ``around(index)``."""
        view = self.session()
        view._around = around
        return view

    async def aload(self) -> LLM:
        """Import what the models need (LiteLLM, about 3 s) now instead of at the first call.

        Returns:
            the object itself.
        """
        if any(target.needs_litellm for target in self._targets):
            await door.aload()
        return self

    def __repr__(self) -> str:
        return f"LLM(models={self.models}, max_concurrency={self._max_concurrency})"

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
        return await self._one(await self._job(messages, params, [sample_index]), sample_index)

    def generate(self, messages: Question, *, sample_index: int = 0, **params: Any) -> Generation:
        """Synchronous twin of `agenerate`."""
        return _sync.run_sync(self.agenerate(messages, sample_index=sample_index, **params))

    async def asample(
        self, messages: Question, n: int, *, deadline: float | None = None, **params: Any
    ) -> AsyncGenerator[Generation | Failure, None]:
        """Ask for n answers and yield each as it arrives, in any order.

        Exactly n items come, with index 0 to n-1. An answer that failed comes as a `Failure` and costs the
        others nothing. Where the provider can return several answers to one call, they are asked for
        together. Closing the iterator cancels the calls in flight (a plain function runs to its end in its
        thread, unheard).

        Args:
            messages: a question, or chat messages.
            n: number of answers, at least 1.
            deadline: seconds after which the calls in flight are cancelled and each answer that has not come
                is a `Failure`; waiting for a free slot counts. None waits for all of them.
            **params: parameters of these calls; they win over those of the object.

        Raises:
            ConfigurationError: the messages, ``n`` or a parameter cannot work. Raised before the first item.
        """
        if n < 1:
            raise ConfigurationError("n is at least 1.")
        ends = None if deadline is None else asyncio.get_running_loop().time() + deadline
        job = await self._job(messages, params, range(n))
        arrived: asyncio.Queue[Generation | Failure | Exception] = asyncio.Queue()
        tasks = [
            asyncio.create_task(self._fill(job, group, arrived.put_nowait)) for group in self._groups(job, n)
        ]
        missing = set(range(n))
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

    async def _job(self, messages: Question, params: dict[str, Any], indices: Sequence[int]) -> _Job:
        """Check and merge what was passed, before anything is sent."""
        check_params(params)
        merged = {**self._params, **params}
        targets = {self._target(index) for index in indices[: len(self._targets)]}
        if any(target.needs_litellm for target in targets):
            await door.aload()
        prices: dict[Target, Prices] = {}
        if self._budget is not None and self._budget.usd is not None:
            for target in targets:
                price = await asyncio.to_thread(target.prices, merged)
                if price is None:
                    raise ConfigurationError(
                        f"The price of {target.name} is not known, so Budget(usd=...) cannot hold. Use "
                        "Budget(tokens=...), or pass input_cost_per_token= and output_cost_per_token=."
                    )
                prices[target] = price
        secrets = redaction.values(merged).union(*(target.secrets() for target in targets))
        chat = read_messages(messages)
        texts = {}
        if self._cache:
            texts = {target: request_text(target.identity(), chat, merged) for target in targets}
        return _Job(chat, merged, frozenset(secrets), texts, prices)

    def _target(self, index: int) -> Target:
        return self._targets[index % len(self._targets)]

    def _groups(self, job: _Job, n: int) -> list[list[int]]:
        """Samples that may be asked for in one call."""
        groups = []
        for first, target in enumerate(self._targets[:n]):
            indices = list(range(first, n, len(self._targets)))
            # As long as nothing is known of the length of answers, a budget lets out one at a time.
            bounded = self._budget is None or answer_limit(job.params) is not None
            measured = bounded or (self._budget is not None and self._budget._knows_length())
            together = len(indices) > 1 and measured and target.supports_n(job.params)
            groups += [indices] if together else [[index] for index in indices]
        return groups

    async def _fill(self, job: _Job, indices: list[int], put: Callable[[Any], None]) -> None:
        """Put an item for each index; nothing is raised but a cancellation."""
        try:
            missing = await self._together(job, indices, put) if len(indices) > 1 else indices
        except Exception as error:
            put(error)
            return
        await asyncio.gather(*(self._single(job, index, put) for index in missing))

    async def _single(self, job: _Job, index: int, put: Callable[[Any], None]) -> None:
        try:
            with self._around(index):
                generation = await self._one(job, index)
            put(generation)
        except (GenerationError, BudgetExceeded) as error:
            put(self._failure(error, index))
        except Exception as error:
            put(error)

    async def _together(self, job: _Job, indices: list[int], put: Callable[[Any], None]) -> list[int]:
        """Ask for several samples in one call; returns those that are still to be asked for one by one."""
        target = self._target(indices[0])
        missing = []
        for index in indices:
            cached = await self._cached(job, index)
            put(cached) if cached else missing.append(index)
        if len(missing) < 2:
            return missing
        try:
            answer, seconds = await self._ask(job, target, {**job.params, "n": len(missing)})
        except BudgetExceeded:
            return missing  # where room for all of them together is lacking, there may still be room for some
        except GenerationError as error:
            if rejects_n(error):
                target.answers_singly(job.params)
                return missing
            return await self._without_n(job, target, missing, put, error)
        alone = answer.usage if len(answer.choices) == 1 else None
        for index, choice in zip(missing, answer.choices, strict=False):
            put(await self._finish(job, index, choice, alone, seconds))
        return missing[len(answer.choices) :]

    async def _without_n(
        self,
        job: _Job,
        target: Target,
        missing: list[int],
        put: Callable[[Any], None],
        failed: GenerationError,
    ) -> list[int]:
        """After a call for several samples failed: ask for one, which tells whether that was the reason."""
        if not may_be_n(failed):
            for index in missing:
                put(self._failure(failed, index))
            return []
        first, *others = missing
        arrived: list[Any] = []
        await self._single(job, first, arrived.append)
        put(arrived[0])
        if isinstance(arrived[0], Generation):
            target.answers_singly(job.params)
            return others
        for index in others:
            put(
                arrived[0].model_copy(update={"index": index})
                if isinstance(arrived[0], Failure)
                else arrived[0]
            )
        return []

    async def _one(self, job: _Job, index: int) -> Generation:
        cached = await self._cached(job, index)
        if cached:
            return cached
        params = job.params
        if index and isinstance(params.get("seed"), int):
            params = {**params, "seed": params["seed"] + index}
        answer, seconds = await self._ask(job, self._target(index), params)
        return await self._finish(job, index, answer.choices[0], answer.usage, seconds)

    def _key(self, job: _Job, index: int) -> str:
        return key(job.requests[self._target(index)], index)

    async def _cached(self, job: _Job, index: int) -> Generation | None:
        record = await self._cache.get(self._key(job, index)) if self._cache else None
        if record is None:
            return None
        reason = record.get("finish_reason")
        generation = Generation(
            index=index,
            message=record["message"],
            model=self._target(index).name,
            finish_reason=reason if isinstance(reason, str) else None,
            usage=Usage(cached_calls=1),
            cached=True,
        )
        self._count(Usage(cached_calls=1))
        return generation

    async def _finish(
        self, job: _Job, index: int, choice: Choice, usage: Usage | None, seconds: float
    ) -> Generation:
        if self._cache:
            record = {"message": choice.message, "finish_reason": choice.finish_reason}
            await self._cache.put(self._key(job, index), record)
        return Generation(
            index=index,
            message=choice.message,
            model=self._target(index).name,
            finish_reason=choice.finish_reason,
            usage=usage,
            seconds=seconds,
            raw=choice.raw,
        )

    async def _ask(self, job: _Job, target: Target, params: dict[str, Any]) -> tuple[Answer, float]:
        """One call with its retries, as a span."""
        with _tracing.span(
            "call", target.name, messages=job.messages, params=params, provider=target.provider
        ) as watched:
            answer, effort = await self._try(job, target, params)
            watched.tell(answer=answer, attempts=effort.attempts, seconds=effort.seconds)
            return answer, effort.seconds

    async def _try(self, job: _Job, target: Target, params: dict[str, Any]) -> tuple[Answer, Effort]:
        """One call with its retries: within the slots, the budget and the time."""
        lane = self._lanes.here()
        several = params.get("n", 1) > 1
        effort = Effort(
            self._max_retries, self._total_timeout, self._sleep, lambda error: several and rejects_n(error)
        )
        estimate = self._estimate(job, target, params) if self._budget else None
        reservation: Reservation | None = None

        async def call(seconds: float) -> Answer:
            # Copies, since some of LiteLLM's providers and some functions change what they are given.
            return await target.ask(copy.deepcopy(job.messages), dict(params), seconds, lane.threads)

        async def attempt() -> Answer:
            nonlocal reservation
            while True:
                async with lane.slots:
                    turn = None
                    if self._budget and estimate and reservation is None:
                        reservation, turn = self._budget._reserve(estimate)
                    if turn is None:
                        answer = await effort.timed(self._timeout, call)
                        break
                # Another call must show first how long answers are. It may need this slot meanwhile.
                await turn
            self._count(answer.usage)
            if self._budget and reservation is not None:
                self._budget._settle(reservation, answer.usage, answer.written)
                reservation = None
            if not answer.choices:
                raise EmptyResponse("the provider returned no choices")
            return answer

        failed: Exception
        try:
            return await effort.run(attempt), effort
        except ME2Error:
            raise
        except Exception as error:
            failed = error
        finally:
            if self._budget and reservation is not None:
                self._budget._release(reservation)
        # Raised out here, so that no traceback leads to the provider's error: its text may hold the key.
        raise generation_error(failed, target.name, effort, job.secrets)

    def _estimate(self, job: _Job, target: Target, params: dict[str, Any]) -> Estimate:
        prompt = estimate_tokens([job.messages, params.get("tools"), params.get("functions")])
        return Estimate(prompt, answer_limit(params), params.get("n", 1), job.prices.get(target))

    def _count(self, usage: Usage) -> None:
        with self._lock:
            self._usage += usage
        if self._parent is not None:
            self._parent._count(usage)

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
        )


def _targets_of(model: Model | Sequence[Model], *, cached: bool) -> list[Target]:
    models = list(model) if isinstance(model, (list, tuple)) else [model]
    if not models:
        raise ConfigurationError("The list of models is empty. Pass at least one model.")
    targets = [target_of(one) for one in models]
    if cached and any(target.identity() is None for target in targets):
        raise ConfigurationError(
            "The answers of a model function cannot be cached, since nothing tells one version of it "
            "from another. Pass cache=None, or a LiteLLM model string."
        )
    return targets
