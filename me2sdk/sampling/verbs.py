"""The verbs that return the best-reasoned of several answers: `best_of_n` and `rerank`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from me2sdk._sync import run_sync
from me2sdk._tracing import CandidateSpans, traced
from me2sdk.errors import InvalidTraceError
from me2sdk.llm import LLM, Budget, Model, check_options, open_llm
from me2sdk.sampling.candidates import failure, read_candidate, sample, score_candidates
from me2sdk.sampling.select import OnCandidate, SelectionConfig, rank
from me2sdk.schema import BestOfNResult, Candidate, Failure, Message, Question, RerankResult, Select, Trace
from me2sdk.scorers import Scorer, load_scorer, scorer_name

__all__ = ["abest_of_n", "arerank", "best_of_n", "rerank"]


async def abest_of_n(
    question: Question,
    *,
    model: Model | LLM,
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
    """Sample ``n`` answers and return them best-reasoned first; `best_of_n` with ``await``.

    Example:
        ```python
        import asyncio
        from me2sdk import abest_of_n

        model = lambda messages, **params: "2 + 2 = 4. The answer is 4."  # or "openai/gpt-4o-mini"
        result = asyncio.run(abest_of_n("What is 2 + 2?", model=model, n=4))
        print(result.best.answer)  # 4
        ```
    """
    check_options(best_of_n, params)
    selection = SelectionConfig(
        n=n, scorer=scorer, select=select, min_candidates=min_candidates, on_candidate=on_candidate
    )
    llm = open_llm(
        model,
        verb="best_of_n",
        budget=budget,
        cache=cache,
        max_concurrency=max_concurrency,
        timeout=timeout,
    )
    result, _ = await sample(llm, question, selection, params)
    return result


def best_of_n(
    question: Question,
    *,
    model: Model | LLM,
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
    is recorded and the others go on. One in which the model refuses to answer says so in ``refusal``; it is not
    scored and stands behind all others, so that ``best.refusal`` is set only where nothing but refusals came.

    Args:
        question: the question, or a list of chat messages.
        model: a LiteLLM model string, a list of them (candidates are spread over the pool), a
            ``litellm.Router``, a callable ``f(messages, **params)`` that returns a str, a message dict or a
            ModelResponse, or an `LLM`, whose own limits then hold.
        n: number of candidates.
        scorer: "mini", another name as `open_scorer` takes it (a reward model's folder or hub name, a server's URL,
            ``prm:`` and a process reward model), or anything with ``score(question, traces)``.
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

    Example:
        ```python
        from me2sdk import best_of_n

        model = lambda messages, **params: "2 + 2 = 4. The answer is 4."  # or "openai/gpt-4o-mini"
        result = best_of_n("What is 2 + 2?", model=model, n=4)
        print(result.best.answer, len(result.candidates))  # 4 4
        ```
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


@traced("rerank")
async def arerank(
    question: Question | None,
    candidates: Sequence[str | Trace | Message],
    *,
    scorer: str | Scorer = "mini",
    select: Select = "best",
) -> RerankResult:
    """Order outputs that you already have, best-reasoned first; `rerank` with ``await``.

    Example:
        ```python
        import asyncio
        from me2sdk import arerank

        result = asyncio.run(arerank("What is 3 + 4?", ["3 + 4 = 8.", "3 + 4 = 7."]))
        print(result.best.response)  # 3 + 4 = 7.
        ```
    """
    started = time.perf_counter()
    if isinstance(candidates, str) or len(candidates) == 0:
        raise InvalidTraceError(
            "rerank needs a list with at least one candidate: texts, Traces or assistant messages."
        )
    selection = SelectionConfig(n=len(candidates), scorer=scorer, select=select)
    scorer = await load_scorer(scorer)
    read: list[Candidate] = []
    failures: list[Failure] = []
    with CandidateSpans() as spans:
        for index, item in enumerate(candidates):
            spans.start(index)
            try:
                trace, refusal = read_candidate(item, question)
                read.append(Candidate(index=index, trace=trace, refusal=refusal))
            except InvalidTraceError as error:
                failures.append(failure(index, "read", error))
                spans.end(index, failure=failures[-1])
        scored = await score_candidates(scorer, question, read, failures, spans)
    return RerankResult(
        candidates=await rank(scored, selection, failures),
        failures=tuple(failures),
        select=select,
        scorer=scorer_name(scorer),
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
        A `RerankResult`. Each candidate keeps its place in the input as ``.index``; a message with a refusal says
        so in ``.refusal`` and stands last.

    Raises:
        InvalidTraceError: there are no candidates.
        ScoringError: no candidate could be scored and ``select`` needs rewards; ``.partial`` holds the
            candidates.
        ConfigurationError: the scorer lacks a dependency or does not exist.

    Example:
        ```python
        from me2sdk import rerank

        result = rerank("What is 3 + 4?", ["3 + 4 = 8.", "3 + 4 = 7."])
        print(result.best.index, result.best.response)  # 1 3 + 4 = 7.
        ```
    """
    return run_sync(arerank(question, candidates, scorer=scorer, select=select))
