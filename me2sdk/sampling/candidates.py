"""What the reranking verbs share: sampling candidates, scoring them as they arrive, putting them in order."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from me2sdk._sync import all_or_none
from me2sdk._tracing import Candidates, span
from me2sdk.errors import ConfigurationError, GenerationError, InvalidTraceError, ScoringError
from me2sdk.llm import LLM, Generation
from me2sdk.sampling.select import order
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
from me2sdk.scorers import Scorer, TRMScorer, ask_scorer, scorer_name
from me2sdk.traces import is_cut_off, refusal_of
from me2sdk.verify import agroup_answers

_log = logging.getLogger(__name__)
_SELECTS = ("best", "vote", "weighted_vote")
OnCandidate = Callable[[Candidate], Awaitable[None] | None]


async def sample(
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
    settings = {"model": llm, "n": n, "scorer": scorer, "select": select}
    with span("verb", "best_of_n", question=question, **settings) as watched, Candidates() as spans:
        result, generations = await _sample(
            llm._within(spans.start), question, n, scorer, select, min_candidates, on_candidate, params, spans
        )
        watched.tell(result=result)
        return result, generations


async def _sample(
    llm: LLM,
    question: Question,
    n: int,
    scorer: str | Scorer,
    select: Select,
    min_candidates: int,
    on_candidate: OnCandidate | None,
    params: dict[str, Any],
    spans: Candidates,
) -> tuple[BestOfNResult, dict[int, Generation]]:
    started = time.perf_counter()
    judge = await ready(scorer, select)  # before anything is paid for
    arrived: asyncio.Queue[Candidate | None] = asyncio.Queue()
    generations: dict[int, Generation] = {}
    failures: list[Failure] = []
    scored: list[Candidate] = []

    async def generate() -> None:
        try:
            async for item in llm.asample(question, n, **params):
                if isinstance(item, Failure):
                    failures.append(item)
                    spans.end(item.index, failure=item)
                    continue
                generations[item.index] = item
                try:
                    arrived.put_nowait(_candidate(item, question))
                except InvalidTraceError as error:
                    failures.append(failure(item.index, "read", error, item.model))
                    spans.end(item.index, failure=failures[-1])
        finally:
            arrived.put_nowait(None)

    async def score() -> None:
        more = True
        while more:
            batch = [await arrived.get()]
            while not arrived.empty():  # what came in while the last batch was scored
                batch.append(arrived.get_nowait())
            more = None not in batch
            for candidate in await score_candidates(
                judge, question, [c for c in batch if c is not None], failures, spans
            ):
                scored.append(candidate)
                await _tell(on_candidate, candidate)

    await all_or_none(generate(), score())

    scored.sort(key=lambda candidate: candidate.index)
    result = BestOfNResult(
        candidates=await ordered(scored, select, failures),
        failures=tuple(sorted(failures, key=lambda failure: failure.index)),
        select=select,
        scorer=scorer_name(judge),
        seconds=time.perf_counter() - started,
        usage=llm.usage,
    )
    if len(result.candidates) < min_candidates:
        reasons = (
            "; ".join(dict.fromkeys(f"{f.error}: {f.message}" for f in result.failures)) or "no reason given"
        )
        raise GenerationError(
            f"Only {len(result.candidates)} of {n} candidates came back and min_candidates is {min_candidates}. "
            f"{reasons[:1000].rstrip('.')}. The candidates that did arrive are in .partial.",
            partial=result,
            status=next((f.status for f in result.failures if f.status), None),
            error_type=next((f.error for f in result.failures), None),
        )
    return result, generations


def _candidate(generation: Generation, question: Question) -> Candidate:
    trace, refusal = read_answer(generation.message, question, generation.finish_reason)
    return Candidate(
        index=generation.index,
        trace=trace,
        model=generation.model,
        finish_reason=generation.finish_reason,
        usage=generation.usage,
        refusal=refusal,
    )


def read_answer(
    message: Any, question: Question | None, finish_reason: str | None = None
) -> tuple[Trace, str | None]:
    """An assistant message as a `Trace`, and the words of its refusal, which are the response then.

    Raises:
        InvalidTraceError: it holds nothing that can be read; a reason that says so is named.
    """
    refusal = refusal_of(message, finish_reason)
    if refusal is not None:
        field = "reasoning_content"
        thoughts = message.get(field) if isinstance(message, dict) else getattr(message, field, None)
        return Trace.from_message({"content": refusal, field: thoughts}, question), refusal
    try:
        return Trace.from_message(message, question, finish_reason=finish_reason), None
    except InvalidTraceError as error:
        if not is_cut_off(finish_reason):
            raise
        raise InvalidTraceError(
            f"The model was cut off before it wrote anything (finish reason {finish_reason!r})."
        ) from error


def read_candidate(item: str | Trace | Message, question: Question | None) -> tuple[Trace, str | None]:
    """A candidate that was handed in, as a `Trace`, and the words of its refusal.

    Raises:
        InvalidTraceError: it cannot be read, or holds nothing to score.
    """
    refusal: str | None = None
    if isinstance(item, Trace):
        trace = item if item.question is not None else item.model_copy(update={"question": question})
    elif isinstance(item, str):
        trace = Trace.from_text(item, question)
    else:
        trace, refusal = read_answer(item, question)
    if not trace.reasoning.strip():
        raise InvalidTraceError("The candidate is empty: there is nothing to score.")
    return trace, refusal


async def _tell(on_candidate: OnCandidate | None, candidate: Candidate) -> None:
    if on_candidate is None:
        return
    try:
        told = on_candidate(candidate)
        if inspect.isawaitable(told):
            await told
    except Exception:  # the caller's code; its fault must not cost answers that are paid for
        _log.exception("on_candidate failed for candidate %d", candidate.index)


async def ready(scorer: str | Scorer, select: str) -> Scorer:
    """The scorer as an object, loaded."""
    if select not in _SELECTS:
        raise ConfigurationError(f"select must be one of {', '.join(_SELECTS)}; it is {select!r}.")
    judge: Scorer = _byscorer_name(scorer) if isinstance(scorer, str) else scorer
    if not callable(getattr(judge, "score", None)):
        raise ConfigurationError(
            f"scorer must be a name or have score(question, traces) -> list[float]; {type(scorer).__name__} has not."
        )
    if callable(load := getattr(judge, "load", None)):
        await asyncio.to_thread(load)
    return judge


@functools.lru_cache(maxsize=2)  # loading one can take minutes, holding one gigabytes
def _byscorer_name(name: str) -> TRMScorer:
    return TRMScorer(name)


async def score_candidates(
    scorer: Scorer,
    question: Question | None,
    candidates: list[Candidate],
    failures: list[Failure],
    spans: Candidates,
) -> list[Candidate]:
    """Candidates with their rewards; refusals have none. If a batch fails its candidates are scored one by one.

    Failures are recorded.
    """
    refused = [candidate for candidate in candidates if candidate.refusal is not None]
    for candidate in refused:
        spans.end(candidate.index, candidate=candidate, scorer=scorer_name(scorer))
    candidates = [candidate for candidate in candidates if candidate.refusal is None]
    return [*await _scored(scorer, question, candidates, failures, spans), *refused]


async def _scored(
    scorer: Scorer,
    question: Question | None,
    candidates: list[Candidate],
    failures: list[Failure],
    spans: Candidates,
) -> list[Candidate]:
    if not candidates:
        return []
    try:
        scores = await _ask(scorer, question, [candidate.trace for candidate in candidates])
    except Exception as error:
        if len(candidates) > 1:
            return [
                c
                for candidate in candidates
                for c in await _scored(scorer, question, [candidate], failures, spans)
            ]
        failures.append(failure(candidates[0].index, "score", error, candidates[0].model))
        spans.end(
            candidates[0].index, candidate=candidates[0], failure=failures[-1], scorer=scorer_name(scorer)
        )
        return candidates
    scored = [
        candidate.model_copy(update={"score": score, "score_truncated": cut})
        for candidate, score, cut in zip(candidates, scores, scores.truncated, strict=True)
    ]
    for candidate in scored:
        spans.end(candidate.index, candidate=candidate, scorer=scorer_name(scorer))
    return scored


async def _ask(scorer: Scorer, question: Question | None, traces: list[Trace]) -> Scores:
    with span("score", scorer_name(scorer), question=question, traces=traces) as watched:
        scores = await ask_scorer(scorer, question, traces)
        watched.tell(scores=scores)
        return scores


async def ordered(
    candidates: list[Candidate], select: Select, failures: list[Failure]
) -> tuple[Candidate, ...]:
    """Candidates in order.

    Raises:
        ScoringError: the order needs rewards, and no candidate has one.
    """
    scorable = [candidate for candidate in candidates if candidate.refusal is None]
    if scorable and select != "vote" and all(candidate.score is None for candidate in scorable):
        first = next(failure for failure in failures if failure.stage == "score")
        raise ScoringError(
            f"None of the {len(scorable)} candidates could be scored. {first.error}: {first.message} "
            "The candidates are in .partial.",
            partial=RerankResult(candidates=tuple(candidates), failures=tuple(failures), select=select),
        )
    groups = await agroup_answers([candidate.answer for candidate in candidates]) if select != "best" else []
    return tuple(order(candidates, select, groups))


def failure(
    index: int, stage: Literal["generate", "read", "score"], error: Exception, model: str | None = None
) -> Failure:
    """An exception as the record of a candidate's failure."""
    return Failure(
        index=index, stage=stage, error=type(error).__name__, message=str(error)[:2000], model=model
    )
