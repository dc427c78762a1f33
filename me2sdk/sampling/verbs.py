"""The verbs that return the best-reasoned of several answers: `best_of_n` and `rerank`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from me2sdk._sync import run_sync
from me2sdk._tracing import CandidateSpans, traced
from me2sdk.errors import InvalidTraceError
from me2sdk.llm import LLM, Budget, Model, check_options, open_llm
from me2sdk.sampling.answers import AnswerKey, AnswerReader
from me2sdk.sampling.candidates import decided, read_candidate, read_key, sample
from me2sdk.sampling.escalation import Escalate
from me2sdk.sampling.scoring import KnownScores, failure, score_candidates
from me2sdk.sampling.select import OnCandidate, SelectionConfig, choose
from me2sdk.sampling.stopping import Stop, split_stop
from me2sdk.schema import BestOfNResult, Candidate, Failure, Message, Question, RerankResult, Select, Trace
from me2sdk.scorers import Scorer, is_joint, load_scorer

__all__ = ["abest_of_n", "arerank", "best_of_n", "rerank"]


async def abest_of_n(
    question: Question,
    *,
    model: Model | LLM,
    n: int = 8,
    scorer: str | Scorer | None = "mini",
    select: Select = "auto",
    answer: AnswerKey = "auto",
    stop: Stop | list[str] = None,
    min_confidence: float | None = None,
    escalate: Escalate | Model | LLM | None = None,
    deadline: float | None = None,
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
    stop = split_stop(stop, params)
    selection = SelectionConfig(
        n=n,
        scorer=scorer,
        select=select,
        answer=answer,
        stop=stop,
        min_confidence=min_confidence,
        escalate=escalate,
        deadline=deadline,
        min_candidates=min_candidates,
        on_candidate=on_candidate,
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
    scorer: str | Scorer | None = "mini",
    select: Select = "auto",
    answer: AnswerKey = "auto",
    stop: Stop | list[str] = None,
    min_confidence: float | None = None,
    escalate: Escalate | Model | LLM | None = None,
    deadline: float | None = None,
    min_candidates: int = 1,
    on_candidate: OnCandidate | None = None,
    budget: Budget | None = None,
    cache: bool | str | Path | None = None,
    max_concurrency: int = 16,
    timeout: float = 120.0,
    **params: Any,
) -> BestOfNResult:
    """Sample up to ``n`` answers from a model, return the best first, and say how sure that is (paper §5.3).

    Each candidate is scored when it arrives, while others are still being generated; equal ones are scored once. A
    candidate that fails is recorded and the others go on. One in which the model refuses to answer says so in
    ``refusal``; it is not scored and stands behind all others, so that ``best.refusal`` is set only where nothing but
    refusals came.

    Args:
        question: the question, or a list of chat messages.
        model: a LiteLLM model string, a list of them (candidates are spread over the pool), a
            ``litellm.Router``, a callable ``f(messages, **params)`` that returns a str, a message dict or a
            ModelResponse, or an `LLM`, whose own limits then hold.
        n: number of candidates.
        scorer: "mini", another name as `open_scorer` takes it (a reward model's folder or hub name, a server's URL,
            ``prm:`` and a process reward model), or anything with ``score(question, traces)``. None scores nothing
            and decides by agreement alone.
        select: "auto" takes the answer that most candidates give, of equal votes the one with the better reward, and
            of its candidates the one that writes it as most do; where most candidates hold no answer it takes the
            response that is nearest to the others, and of two the one with the better reward. "best" takes the
            highest reward, "vote" the most frequent answer and its candidate with the best reward. In
            "weighted_vote" a vote counts from 1 for the lowest reward to 1.5 for the highest.
        answer: what is compared: "auto" for the final answer that a trace states (`Trace.answer`); "text" for the
            whole response; "json" for the last JSON value of the response, or "json:field.path" for a part of it;
            "tool_calls" for the tools that are called and their arguments, or "tool_calls:name"; a regular
            expression, of which the last match counts and its first group; a function of a `Trace` that returns
            a str or None; "similar" for free text, where the response nearest to the others wins; None for nothing.
        stop: when to stop before ``n``: a chance such as 0.95, reached where it is that likely that the leading answer
            would still lead after all ``n``; "sure" where nothing that is missing can change it; or a function of
            the `BestOfNResult` so far, asked after each candidate. Candidates are then asked for in waves, each no
            larger than what is needed at least. A list of texts is sent to the model, which ends its answer there.
        min_confidence: below this chance of being right, ``result.abstained`` is True.
        escalate: a stronger model, asked once where the confidence is below ``min_confidence`` (0.8 if that is not
            set) or not known; or an `Escalate` that says how often and when. Its candidates join the decision.
        deadline: seconds for the whole call; what came by then is decided on.
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
        A `BestOfNResult`: ``.best``, ``.confidence`` (the chance that it is right, or None), ``.answers`` with their
        votes, ``.chosen_by``, ``.candidates`` best first, ``.failures``, ``.usage``.

    Raises:
        GenerationError: fewer than ``min_candidates`` came back; ``.partial`` holds what did.
        ScoringError: no candidate could be scored and ``select`` is "best" or "weighted_vote"; ``.partial`` holds the
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
            answer=answer,
            stop=stop,
            min_confidence=min_confidence,
            escalate=escalate,
            deadline=deadline,
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
    scorer: str | Scorer | None = "mini",
    select: Select = "auto",
    answer: AnswerKey = "auto",
    min_confidence: float | None = None,
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
    selection = SelectionConfig(
        n=len(candidates), scorer=scorer, select=select, answer=answer, min_confidence=min_confidence
    )
    scorer = await load_scorer(scorer)
    read: list[Candidate] = []
    failures: list[Failure] = []
    with CandidateSpans() as spans:
        for index, item in enumerate(candidates):
            spans.start(index)
            try:
                read.append(
                    await asyncio.to_thread(_handed_in, index, item, question, selection.reader, failures)
                )
            except InvalidTraceError as error:
                failures.append(failure(index, "read", error))
                spans.end(index, failure=failures[-1])
        known: KnownScores | None = None if scorer is not None and is_joint(scorer) else {}
        scored = await score_candidates(scorer, question, read, failures, spans, known)
    decision = await choose(scored, selection, failures)
    return RerankResult(
        **decided(decision, selection, scorer, failures), seconds=time.perf_counter() - started
    )


def _handed_in(
    index: int,
    item: str | Trace | Message,
    question: Question | None,
    reader: AnswerReader,
    failures: list[Failure],
) -> Candidate:
    """An output as a candidate."""
    trace, refusal = read_candidate(item, question)
    message = None if isinstance(item, str | Trace) else item
    said = read_key(index, trace, message, refusal, reader, failures)
    return Candidate(index=index, trace=trace, refusal=refusal, answer=said)


def rerank(
    question: Question | None,
    candidates: Sequence[str | Trace | Message],
    *,
    scorer: str | Scorer | None = "mini",
    select: Select = "auto",
    answer: AnswerKey = "auto",
    min_confidence: float | None = None,
) -> RerankResult:
    """Order outputs that you already have, best first, and say how sure that is.

    Args:
        question: what was asked: a string, a list of chat messages, or None.
        candidates: completions as text, `Trace` objects, or assistant messages.
        scorer: as in `best_of_n`.
        select: as in `best_of_n`, and so are the next two.
        answer: what is compared.
        min_confidence: below this chance of being right, ``result.abstained`` is True.

    Returns:
        A `RerankResult`. Each candidate keeps its place in the input as ``.index``; a message with a refusal says
        so in ``.refusal`` and stands last.

    Raises:
        InvalidTraceError: there are no candidates.
        ScoringError: no candidate could be scored and ``select`` is "best" or "weighted_vote"; ``.partial`` holds the
            candidates.
        ConfigurationError: the scorer lacks a dependency or does not exist.

    Example:
        ```python
        from me2sdk import rerank

        result = rerank("What is 3 + 4?", ["3 + 4 = 8.", "3 + 4 = 7."])
        print(result.best.index, result.best.response)  # 1 3 + 4 = 7.
        ```
    """
    return run_sync(
        arerank(
            question, candidates, scorer=scorer, select=select, answer=answer, min_confidence=min_confidence
        )
    )
