"""Collecting candidates: sampling them, reading them, and scoring them as they arrive."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from typing import Any, Literal

from me2sdk._sync import all_or_none
from me2sdk._tracing import CandidateSpans, span
from me2sdk.errors import GenerationError, InvalidTraceError
from me2sdk.llm import LLM, Generation
from me2sdk.sampling.select import OnCandidate, SelectionConfig, rank
from me2sdk.schema import BestOfNResult, Candidate, Failure, Message, Question, Trace
from me2sdk.scorers import Scorer, load_scorer, score_each, scorer_name
from me2sdk.traces import is_cut_off, refusal_of

__all__ = ["failure", "read_candidate", "sample", "score_candidates"]

_log = logging.getLogger(__name__)


async def sample(
    llm: LLM, question: Question, selection: SelectionConfig, params: dict[str, Any]
) -> tuple[BestOfNResult, dict[int, Generation]]:
    """Generate and score side by side.

    Args:
        llm: the model to ask.
        question: the question, or a list of chat messages.
        selection: how many candidates, and how to choose among them.
        params: sent to the model.

    Returns:
        The result and, by index, what the model sent.

    Raises:
        GenerationError: fewer than ``selection.min_candidates`` came back; ``.partial`` holds what did.
        ScoringError: no candidate could be scored and the choice needs rewards.
        ConfigurationError: the scorer cannot work; raised before any call is made.
    """
    facts = {"model": llm, "n": selection.n, "scorer": selection.scorer, "select": selection.select}
    with span("verb", "best_of_n", question=question, **facts) as watched, CandidateSpans() as spans:
        started = time.perf_counter()
        scorer = await load_scorer(selection.scorer)  # before anything is paid for
        llm = llm.within(spans.start)
        arrived: asyncio.Queue[Candidate | None] = asyncio.Queue()
        generations: dict[int, Generation] = {}
        failures: list[Failure] = []
        scored: list[Candidate] = []

        async def generate() -> None:
            try:
                async for item in llm.asample(question, selection.n, **params):
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
                fresh = [candidate for candidate in batch if candidate is not None]
                for candidate in await score_candidates(scorer, question, fresh, failures, spans):
                    scored.append(candidate)
                    await _notify(selection.on_candidate, candidate)

        await all_or_none(generate(), score())

        scored.sort(key=lambda candidate: candidate.index)
        result = BestOfNResult(
            candidates=await rank(scored, selection, failures),
            failures=tuple(sorted(failures, key=lambda failure: failure.index)),
            select=selection.select,
            scorer=scorer_name(scorer),
            seconds=time.perf_counter() - started,
            usage=llm.usage,
        )
        if len(result.candidates) < selection.min_candidates:
            raise _too_few(result, selection)
        watched.record(result=result)
        return result, generations


def _too_few(result: BestOfNResult, selection: SelectionConfig) -> GenerationError:
    reasons = (
        "; ".join(dict.fromkeys(f"{f.error}: {f.message}" for f in result.failures)) or "no reason given"
    )
    return GenerationError(
        f"Only {len(result.candidates)} of {selection.n} candidates came back and min_candidates is "
        f"{selection.min_candidates}. {reasons[:1000].rstrip('.')}. The candidates that did arrive are in .partial.",
        partial=result,
        status=next((f.status for f in result.failures if f.status), None),
        error_type=next((f.error for f in result.failures), None),
    )


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


async def _notify(on_candidate: OnCandidate | None, candidate: Candidate) -> None:
    if on_candidate is None:
        return
    try:
        given = on_candidate(candidate)
        if inspect.isawaitable(given):
            await given
    except Exception:  # the caller's code; its fault must not cost answers that are paid for
        _log.exception("on_candidate failed for candidate %d", candidate.index)


async def score_candidates(
    scorer: Scorer,
    question: Question | None,
    candidates: list[Candidate],
    failures: list[Failure],
    spans: CandidateSpans,
) -> list[Candidate]:
    """Candidates with their rewards, then refusals, which have none. What fails is added to ``failures``."""
    name = scorer_name(scorer)
    refused = [candidate for candidate in candidates if candidate.refusal is not None]
    for candidate in refused:
        spans.end(candidate.index, candidate=candidate, scorer=name)
    others = [candidate for candidate in candidates if candidate.refusal is None]
    scores = await score_each(scorer, question, [candidate.trace for candidate in others])
    scored: list[Candidate] = []
    for candidate, one in zip(others, scores, strict=True):
        failed: dict[str, Failure] = {}
        if one.error is not None:
            failed = {"failure": failure(candidate.index, "score", one.error, candidate.model)}
            failures.append(failed["failure"])
        else:
            candidate = candidate.model_copy(update={"score": one.score, "score_truncated": one.truncated})
        scored.append(candidate)
        spans.end(candidate.index, candidate=candidate, scorer=name, **failed)
    return [*scored, *refused]


def failure(
    index: int, stage: Literal["generate", "read", "score"], error: Exception, model: str | None = None
) -> Failure:
    """An exception as the record of a candidate's failure."""
    return Failure(
        index=index, stage=stage, error=type(error).__name__, message=str(error)[:2000], model=model
    )
