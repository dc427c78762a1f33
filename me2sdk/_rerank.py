"""The verbs that return the best-reasoned of several answers: `best_of_n`, `rerank`, `completion`."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from me2sdk._sync import run_sync
from me2sdk.errors import ConfigurationError, GenerationError, InvalidTraceError, ScoringError
from me2sdk.llm import LLM, Budget, Generation
from me2sdk.schema import (
    BestOfNResult,
    Candidate,
    Failure,
    Message,
    Question,
    RerankResult,
    Scores,
    Select,
    Trace,
)
from me2sdk.scorers import Scorer, TRMScorer
from me2sdk.select import order
from me2sdk.verify import agroup_answers

if TYPE_CHECKING:
    from litellm import ModelResponse

__all__ = ["abest_of_n", "acompletion", "arerank", "best_of_n", "completion", "rerank"]

_log = logging.getLogger(__name__)
_SELECTS = ("best", "vote", "weighted_vote")
OnCandidate = Callable[[Candidate], Awaitable[None] | None]


async def abest_of_n(
    question: Question,
    *,
    model: Any,
    n: int = 8,
    scorer: str | Scorer = "mini",
    select: Select = "best",
    min_candidates: int = 1,
    on_candidate: OnCandidate | None = None,
    budget: Budget | None = None,
    cache: bool | str | Path | None = None,
    max_concurrency: int = 16,
    timeout: float = 120.0,
    **params: Any,
) -> BestOfNResult:
    """Sample ``n`` answers and return them best-reasoned first; `best_of_n` with ``await``."""
    if n < 1 or not 1 <= min_candidates <= n:
        raise ConfigurationError(
            f"n must be at least 1 and min_candidates between 1 and n; got n={n}, {min_candidates=}."
        )
    if isinstance(model, LLM):
        if budget is not None or cache is not None:
            raise ConfigurationError(
                "An LLM has its own budget and cache. Give them to LLM(…), not to best_of_n."
            )
        llm = model.session()
    else:
        llm = LLM(model, max_concurrency=max_concurrency, timeout=timeout, cache=cache, budget=budget)
    result, _ = await _sample(llm, question, n, scorer, select, min_candidates, on_candidate, params)
    return result


def best_of_n(
    question: Question,
    *,
    model: Any,
    n: int = 8,
    scorer: str | Scorer = "mini",
    select: Select = "best",
    min_candidates: int = 1,
    on_candidate: OnCandidate | None = None,
    budget: Budget | None = None,
    cache: bool | str | Path | None = None,
    max_concurrency: int = 16,
    timeout: float = 120.0,
    **params: Any,
) -> BestOfNResult:
    """Sample ``n`` answers from a model and return them best-reasoned first (paper §5.3).

    Each candidate is scored when it arrives, while others are still being generated. A candidate that fails
    is recorded and the others go on.

    Args:
        question: the question, or a list of chat messages.
        model: a LiteLLM model string, a list of them (candidates are spread over the pool), a
            ``litellm.Router``, a callable ``f(messages, **params)`` that returns a str, a message dict or a
            ModelResponse, or an `LLM`, whose own limits then hold.
        n: number of candidates.
        scorer: "mini", the name or path of a reward model for `TRMScorer`, or anything with
            ``score(question, traces)``.
        select: "best" takes the highest reward, "vote" the most frequent answer, "weighted_vote" the answer
            with the highest sum of sigmoid(reward).
        min_candidates: fewer than this is an error.
        on_candidate: called with each `Candidate` once it is scored; may be async. What it raises is logged.
        budget: a `Budget` that stops calls before it is passed.
        cache: True or a folder keeps answers on disk by sample index, so the same call again costs nothing.
            Off by default.
        max_concurrency: calls in flight at most.
        timeout: seconds an attempt may take.
        **params: sent to the model: ``temperature``, ``max_tokens``, ``api_base``, … The paper samples at
            temperature 0.6 and top_p 0.95; without them the provider's defaults hold.

    Returns:
        A `BestOfNResult`: ``.best``, ``.candidates`` best first, ``.failures``, ``.usage``.

    Raises:
        GenerationError: fewer than ``min_candidates`` came back; ``.partial`` holds what did.
        ScoringError: no candidate could be scored and ``select`` needs rewards; ``.partial`` holds the
            candidates.
        ConfigurationError: an argument cannot work, or the scorer lacks a dependency; raised before any
            call is made.
    """
    return run_sync(
        abest_of_n(
            question,
            model=model,
            n=n,
            scorer=scorer,
            select=select,
            min_candidates=min_candidates,
            on_candidate=on_candidate,
            budget=budget,
            cache=cache,
            max_concurrency=max_concurrency,
            timeout=timeout,
            **params,
        )
    )


async def arerank(
    question: Question | None,
    candidates: Sequence[str | Trace | Message],
    *,
    scorer: str | Scorer = "mini",
    select: Select = "best",
) -> RerankResult:
    """Order outputs that you already have, best-reasoned first; `rerank` with ``await``."""
    started = time.perf_counter()
    if isinstance(candidates, str) or len(candidates) == 0:
        raise InvalidTraceError(
            "rerank needs a list with at least one candidate: texts, Traces or assistant messages."
        )
    judge = await _ready(scorer, select)
    read: list[Candidate] = []
    failures: list[Failure] = []
    for index, item in enumerate(candidates):
        try:
            read.append(Candidate(index=index, trace=_trace(item, question)))
        except InvalidTraceError as error:
            failures.append(_failure(index, "read", error))
    scored = await _score(judge, question, read, failures)
    return RerankResult(
        candidates=await _ordered(scored, select, failures),
        failures=tuple(failures),
        select=select,
        scorer=_name(judge),
        seconds=time.perf_counter() - started,
    )


def rerank(
    question: Question | None,
    candidates: Sequence[str | Trace | Message],
    *,
    scorer: str | Scorer = "mini",
    select: Select = "best",
) -> RerankResult:
    """Order outputs that you already have, best-reasoned first.

    Args:
        question: what was asked: a string, a list of chat messages, or None.
        candidates: completions as text, `Trace` objects, or assistant messages.
        scorer: as in `best_of_n`.
        select: as in `best_of_n`.

    Returns:
        A `RerankResult`. Each candidate keeps its place in the input as ``.index``.

    Raises:
        InvalidTraceError: there are no candidates.
        ScoringError: no candidate could be scored and ``select`` needs rewards; ``.partial`` holds the
            candidates.
        ConfigurationError: the scorer lacks a dependency or does not exist.
    """
    return run_sync(arerank(question, candidates, scorer=scorer, select=select))


async def acompletion(
    model: str,
    messages: list[Message],
    *,
    best_of: int = 8,
    scorer: str | Scorer = "mini",
    select: Select = "best",
    n: int | None = None,
    **litellm_kwargs: Any,
) -> ModelResponse:
    """`completion` with ``await``, in place of ``litellm.acompletion``."""
    if litellm_kwargs.pop("stream", False):
        raise ConfigurationError(
            "completion(best_of=…) cannot stream: the best answer is known only at the end."
        )
    if n is not None and not 1 <= n <= best_of:
        raise ConfigurationError(
            f"n is how many of the best_of={best_of} answers to return, so it cannot be {n}."
        )
    retries = litellm_kwargs.pop("num_retries", None)
    retries = litellm_kwargs.pop("max_retries", None) if retries is None else retries
    options: dict[str, Any] = {"timeout": litellm_kwargs.pop("timeout", None), "max_retries": retries}
    llm = LLM(model, **{name: value for name, value in options.items() if value is not None})
    result, raw = await _sample(llm, messages, best_of, scorer, select, 1, None, litellm_kwargs)
    kept = result.candidates[:n]
    if any(raw[candidate.index].raw is None for candidate in kept):
        raise ConfigurationError("completion needs a model that LiteLLM calls; for a callable use best_of_n.")
    return _combine(result, [raw[candidate.index].raw for candidate in kept])


def completion(
    model: str,
    messages: list[Message],
    *,
    best_of: int = 8,
    scorer: str | Scorer = "mini",
    select: Select = "best",
    n: int | None = None,
    **litellm_kwargs: Any,
) -> ModelResponse:
    """Drop-in for ``litellm.completion`` that samples several answers and puts the best-reasoned first.

    Args:
        model: a LiteLLM model string.
        messages: chat messages.
        best_of: answers to sample.
        scorer: as in `best_of_n`.
        select: as in `best_of_n`.
        n: how many of the best to return as ``choices``; all by default.
        **litellm_kwargs: everything else that ``litellm.completion`` takes, but ``stream``. ``num_retries``
            and ``timeout`` hold for each answer.

    Returns:
        LiteLLM's own ``ModelResponse``: ``choices[0]`` is the best. ``usage`` counts all answers sampled, and
        ``_hidden_params["me2sdk"]`` is the whole `BestOfNResult`.

    Raises:
        GenerationError: no answer came back.
        ConfigurationError: ``stream=True``, or n is larger than best_of.
    """
    return run_sync(
        acompletion(model, messages, best_of=best_of, scorer=scorer, select=select, n=n, **litellm_kwargs)
    )


def _combine(result: BestOfNResult, raws: list[ModelResponse]) -> ModelResponse:
    response = raws[0].model_copy(deep=True)
    response.choices = []
    for place, raw in enumerate(raws):
        choice = raw.choices[0].model_copy()
        choice.index = place
        response.choices.append(choice)
    total = result.usage
    usage = getattr(response, "usage", None)
    if usage is not None and total.prompt_tokens is not None and total.completion_tokens is not None:
        usage.prompt_tokens, usage.completion_tokens = total.prompt_tokens, total.completion_tokens
        usage.total_tokens = total.total_tokens
    response._hidden_params = {**response._hidden_params, "response_cost": total.cost, "me2sdk": result}
    return response


async def _sample(
    llm: LLM,
    question: Question,
    n: int,
    scorer: str | Scorer,
    select: Select,
    min_candidates: int,
    on_candidate: OnCandidate | None,
    params: dict[str, Any],
) -> tuple[BestOfNResult, dict[int, Generation]]:
    """Generate and score side by side. Returns the result and, by index, what the model sent."""
    started = time.perf_counter()
    judge = await _ready(scorer, select)  # before anything is paid for
    arrived: asyncio.Queue[Candidate | None] = asyncio.Queue()
    generations: dict[int, Generation] = {}
    failures: list[Failure] = []
    scored: list[Candidate] = []

    async def generate() -> None:
        try:
            async for item in llm.asample(question, n, **params):
                if isinstance(item, Failure):
                    failures.append(item)
                    continue
                generations[item.index] = item
                try:
                    arrived.put_nowait(_candidate(item, question))
                except InvalidTraceError as error:
                    failures.append(_failure(item.index, "read", error, item.model))
        finally:
            arrived.put_nowait(None)

    async def score() -> None:
        more = True
        while more:
            batch = [await arrived.get()]
            while not arrived.empty():  # what came in while the last batch was scored
                batch.append(arrived.get_nowait())
            more = None not in batch
            for candidate in await _score(judge, question, [c for c in batch if c is not None], failures):
                scored.append(candidate)
                await _tell(on_candidate, candidate)

    tasks = [asyncio.create_task(generate()), asyncio.create_task(score())]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    scored.sort(key=lambda candidate: candidate.index)
    result = BestOfNResult(
        candidates=await _ordered(scored, select, failures),
        failures=tuple(sorted(failures, key=lambda failure: failure.index)),
        select=select,
        scorer=_name(judge),
        seconds=time.perf_counter() - started,
        usage=llm.usage,
    )
    if len(result.candidates) < min_candidates:
        reasons = (
            "; ".join(dict.fromkeys(f"{f.error}: {f.message}" for f in result.failures)) or "no reason given"
        )
        raise GenerationError(
            f"Only {len(result.candidates)} of {n} candidates came back and min_candidates is {min_candidates}. "
            f"{reasons[:1000]}. The candidates that did arrive are in .partial.",
            partial=result,
            status=next((f.status for f in result.failures if f.status), None),
            error_type=next((f.error for f in result.failures), None),
        )
    return result, generations


def _candidate(generation: Generation, question: Question) -> Candidate:
    trace = Trace.from_message(generation.message, question)
    if generation.finish_reason == "length":
        trace = trace.model_copy(update={"truncated": True})
    return Candidate(
        index=generation.index,
        trace=trace,
        model=generation.model,
        finish_reason=generation.finish_reason,
        usage=generation.usage,
    )


def _trace(item: str | Trace | Message, question: Question | None) -> Trace:
    if isinstance(item, Trace):
        trace = item if item.question is not None else item.model_copy(update={"question": question})
    elif isinstance(item, str):
        trace = Trace.from_text(item, question)
    else:
        trace = Trace.from_message(item, question)
    if not trace.reasoning.strip():
        raise InvalidTraceError("The candidate is empty: there is nothing to score.")
    return trace


async def _tell(on_candidate: OnCandidate | None, candidate: Candidate) -> None:
    if on_candidate is None:
        return
    try:
        told = on_candidate(candidate)
        if inspect.isawaitable(told):
            await told
    except Exception:  # the caller's code; its fault must not cost answers that are paid for
        _log.exception("on_candidate failed for candidate %d", candidate.index)


async def _ready(scorer: str | Scorer, select: str) -> Scorer:
    """The scorer as an object, loaded."""
    if select not in _SELECTS:
        raise ConfigurationError(f"select must be one of {', '.join(_SELECTS)}; it is {select!r}.")
    judge: Scorer = _by_name(scorer) if isinstance(scorer, str) else scorer
    if not callable(getattr(judge, "score", None)):
        raise ConfigurationError(
            f"scorer must be a name or have score(question, traces) -> list[float]; {type(scorer).__name__} has not."
        )
    if callable(load := getattr(judge, "load", None)):
        await asyncio.to_thread(load)
    return judge


@functools.lru_cache(maxsize=2)  # loading one can take minutes, holding one gigabytes
def _by_name(name: str) -> TRMScorer:
    return TRMScorer(name)


def _name(scorer: Scorer) -> str:
    return str(getattr(scorer, "name", type(scorer).__name__))


async def _score(
    scorer: Scorer, question: Question | None, candidates: list[Candidate], failures: list[Failure]
) -> list[Candidate]:
    """Candidates with their rewards. If a batch fails its candidates are scored one by one; failures are recorded."""
    if not candidates:
        return []
    try:
        scores = await _ask(scorer, question, [candidate.trace for candidate in candidates])
    except Exception as error:
        if len(candidates) > 1:
            return [
                c for candidate in candidates for c in await _score(scorer, question, [candidate], failures)
            ]
        failures.append(_failure(candidates[0].index, "score", error, candidates[0].model))
        return candidates
    return [
        candidate.model_copy(update={"score": score, "score_truncated": cut})
        for candidate, score, cut in zip(candidates, scores, scores.truncated, strict=True)
    ]


async def _ask(scorer: Scorer, question: Question | None, traces: list[Trace]) -> Scores:
    ascore = getattr(scorer, "ascore", None)
    values = (
        await ascore(question, traces)
        if ascore
        else await asyncio.to_thread(scorer.score, question or "", traces)
    )
    scores = [float(value) for value in values]
    if len(scores) != len(traces) or not all(map(math.isfinite, scores)):
        raise ScoringError(
            f"{_name(scorer)} must return one finite number a trace, {len(traces)} in all; it gave {scores}."
        )
    return Scores(scores, getattr(values, "truncated", None))


async def _ordered(
    candidates: list[Candidate], select: Select, failures: list[Failure]
) -> tuple[Candidate, ...]:
    if candidates and select != "vote" and all(candidate.score is None for candidate in candidates):
        first = next(failure for failure in failures if failure.stage == "score")
        raise ScoringError(
            f"None of the {len(candidates)} candidates could be scored. {first.error}: {first.message} "
            "The candidates are in .partial.",
            partial=RerankResult(candidates=tuple(candidates), failures=tuple(failures), select=select),
        )
    groups = await agroup_answers([candidate.answer for candidate in candidates]) if select != "best" else []
    return tuple(order(candidates, select, groups))


def _failure(index: int, stage: Any, error: Exception, model: str | None = None) -> Failure:
    return Failure(
        index=index, stage=stage, error=type(error).__name__, message=str(error)[:2000], model=model
    )
