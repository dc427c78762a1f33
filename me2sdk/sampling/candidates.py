"""Collecting candidates: sampling them, reading them, and scoring them as they arrive."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import time
from collections.abc import Mapping
from typing import Any

from me2sdk._sync import in_thread_if_long
from me2sdk._tracing import CandidateSpans, span
from me2sdk.errors import GenerationError, InvalidTraceError
from me2sdk.llm import LLM, Generation
from me2sdk.sampling.answers import AnswerGroups, AnswerReader
from me2sdk.sampling.decision import Decision
from me2sdk.sampling.escalation import open_stronger
from me2sdk.sampling.scoring import KnownScores, failure, score_candidates
from me2sdk.sampling.select import OnCandidate, SelectionConfig, choose
from me2sdk.sampling.stopping import Tally, next_wave, tally
from me2sdk.schema import BestOfNResult, Candidate, Failure, Message, Question, Trace, Usage
from me2sdk.scorers import (
    Scorer,
    alone_scorer,
    asks_for,
    bound_scorer,
    explain_request,
    is_joint,
    load_scorer,
    scorer_name,
)
from me2sdk.traces import is_cut_off, read_choice, refusal_of

__all__ = ["decided", "read_candidate", "read_key", "sample"]

_log = logging.getLogger(__name__)


async def sample(
    llm: LLM, question: Question, selection: SelectionConfig, params: dict[str, Any]
) -> tuple[BestOfNResult, dict[int, Generation]]:
    """Generate and score side by side, until there are enough, and decide.

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
        scorer = await load_scorer(selection.scorer)  # before anything is paid for
        request = asks_for(scorer)
        llm = llm.within(spans.start)
        stronger = selection.escalation
        strong, sent = (None, {}) if stronger is None else open_stronger(llm, stronger, params)
        run = _Run(question, selection, scorer if scorer is None else bound_scorer(scorer, llm), spans)
        await run.ask_until_enough(llm, {**llm.unset(request), **params})
        await run.score_jointly()
        result = await run.result(llm)
        unsure = stronger is not None and (result.confidence is None or result.confidence < stronger.below)
        if stronger is not None and strong is not None and unsure:
            sent = {**strong.unset(request), **sent}
            await run.ask_stronger(strong.within(spans.start), stronger.n, sent)
            await run.score_jointly()
            own = isinstance(stronger.model, LLM)  # then the weaker model does not count what it uses
            result = await run.result(llm, strong.usage_by_model if own else {})
        if len(result.candidates) < selection.min_candidates:
            raise _too_few(result, selection)
        watched.record(result=result)
        return result, run.generations


class _Run:
    """One question: the candidates that have come so far, and what failed."""

    def __init__(
        self, question: Question, selection: SelectionConfig, scorer: Scorer | None, spans: CandidateSpans
    ) -> None:
        self._question, self._selection, self._scorer, self._spans = question, selection, scorer, spans
        self._joint = scorer is not None and is_joint(scorer)
        alone = None if scorer is None else alone_scorer(scorer)
        self._early = None if alone is scorer else alone  # until a joint scorer can see all
        self._watched = selection.on_candidate is not None or callable(selection.stop)
        self._started = time.perf_counter()
        limit = selection.deadline
        self._ends = None if limit is None else asyncio.get_running_loop().time() + limit
        self._scores: KnownScores = {}
        self._groups = AnswerGroups(selection.reader.compare)
        self._failures: list[Failure] = []
        self._unscored: list[Failure] = []  # of the last time that all were scored together
        self._candidates: list[Candidate] = []
        self._asked = 0
        self._stopped = False
        self._strong: range | None = None
        self.generations: dict[int, Generation] = {}

    async def ask_until_enough(self, llm: LLM, params: dict[str, Any]) -> None:
        """Ask for all candidates at once, or in waves where sampling may end early."""
        n, stop = self._selection.n, self._selection.stop
        while self._asked < n and not self._late():
            left = n - self._asked
            if stop is None:
                wave = left
            elif callable(stop):
                wave = min(left, max(1, n // 4))
            else:
                wave = next_wave(stop, await self._tally(), left)
            self._stopped = not wave
            if not wave or await self.ask(llm, wave, params):
                return

    async def ask(self, llm: LLM, count: int, params: dict[str, Any]) -> bool:
        """Ask for some more, and score each as it arrives, until a ``stop`` of the caller says that it is enough.

        Returns:
            Whether it said so; what was in flight is cancelled.
        """
        first, self._asked = self._asked, self._asked + count
        samples = llm.asample(self._question, count, start=first, deadline=self._seconds_left(), **params)
        if count == 1:  # nothing can arrive while it is scored
            await self._score(await self._read([item async for item in samples]))
            self._stopped = await self._enough(llm) and self._asked < self._selection.n
            return self._stopped
        arrived: asyncio.Queue[Generation | Failure | None] = asyncio.Queue()

        async def generate() -> None:
            try:
                async for item in samples:
                    arrived.put_nowait(item)
            finally:
                arrived.put_nowait(None)

        generating = asyncio.create_task(generate())
        try:
            more = True
            while more:
                batch = [await arrived.get()]
                while not arrived.empty():  # what came in while the last batch was scored
                    batch.append(arrived.get_nowait())
                more = None not in batch
                await self._score(await self._read([item for item in batch if item is not None]))
                if await self._enough(llm):
                    self._stopped = more or self._asked < self._selection.n
                    return True
            await generating
            return False
        finally:
            generating.cancel()
            await asyncio.gather(generating, return_exceptions=True)

    async def ask_stronger(self, strong: LLM, count: int, params: dict[str, Any]) -> None:
        """Ask the stronger model; what it says counts for more in the decision."""
        self._strong = range(self._asked, self._asked + count)
        await self.ask(strong, count, params)

    async def result(self, llm: LLM, beside: Mapping[str, Usage] | None = None) -> BestOfNResult:
        """The decision on what has come so far; ``beside`` is what was used that ``llm`` does not count."""
        selection, failures = self._selection, [*self._failures, *self._unscored]
        candidates = sorted(self._candidates, key=lambda candidate: candidate.index)
        decision = await choose(candidates, selection, failures, groups=self._groups, strong=self._strong)
        usage = llm.usage_by_model
        for name, more in (beside or {}).items():
            usage[name] = usage.get(name, Usage()) + more
        return BestOfNResult(
            **decided(decision, selection, self._scorer, failures),
            seconds=time.perf_counter() - self._started,
            usage=sum(usage.values(), Usage()),
            usage_by_model=usage,
            asked=self._asked,
            stopped_early=self._stopped,
            escalated=self._strong is not None,
        )

    async def _read(self, arrived: list[Generation | Failure]) -> list[Candidate]:
        """What arrived as candidates; what failed is recorded."""
        for item in arrived:
            if isinstance(item, Generation):
                self.generations[item.index] = item
            else:
                self._failures.append(explain_request(item, self._scorer))
                self._spans.end(item.index or 0, failure=self._failures[-1])
        came = [item for item in arrived if isinstance(item, Generation)]
        if not came:
            return []
        reader = self._selection.reader
        read = await in_thread_if_long(
            math.inf if reader.foreign else sum(len(str(one.message)) for one in came),
            lambda: [_candidate(one, self._question, reader, self._failures) for one in came],
        )
        for one in read:
            if isinstance(one, Failure):
                self._failures.append(one)
                self._spans.end(one.index or 0, failure=one)
        return [one for one in read if isinstance(one, Candidate)]

    async def score_jointly(self) -> None:
        """Score all candidates together, where the scorer looks at them side by side.

        Where the deadline leaves no time for that, each has the reward that it has alone: the two do not compare.
        """
        if self._scorer is None or not self._joint or not self._candidates:
            return
        bare = [one.model_copy(update={"score": None, "scores": {}}) for one in self._candidates]
        failures: list[Failure] = []
        scored = await self._scored(self._scorer, bare, failures, self._spans, None)
        if scored is None and self._early is not None:
            scored = await score_candidates(
                self._early, self._question, bare, failures, self._spans, self._scores
            )
        self._candidates = scored or bare
        self._unscored = self._too_late(bare) if scored is None else failures

    async def _score(self, fresh: list[Candidate]) -> None:
        """Score what arrived; with a scorer that looks at all, by the reward that each has alone, if somebody looks."""
        if not self._joint:
            scored = await self._scored(self._scorer, fresh, self._failures, self._spans, self._scores)
            if scored is None:
                self._failures += self._too_late(fresh)
            fresh = scored or fresh
        elif self._early is not None and self._watched:
            fresh = await self._scored(self._early, fresh, [], None, self._scores) or fresh
        for candidate in fresh:
            self._candidates.append(candidate)
            await _notify(self._selection.on_candidate, candidate)

    async def _scored(
        self,
        scorer: Scorer | None,
        candidates: list[Candidate],
        failures: list[Failure],
        spans: CandidateSpans | None,
        known: KnownScores | None,
    ) -> list[Candidate] | None:
        """The candidates with rewards; None where the deadline came first."""
        try:
            async with asyncio.timeout_at(self._ends):
                return await score_candidates(scorer, self._question, candidates, failures, spans, known)
        except TimeoutError:
            return None

    def _too_late(self, candidates: list[Candidate]) -> list[Failure]:
        late = TimeoutError("No reward within the deadline.")
        failures = [failure(one.index, "score", late, one.model) for one in candidates]
        for one, why in zip(candidates, failures, strict=True):
            self._spans.end(one.index, candidate=one, failure=why)
        return failures

    async def _tally(self) -> Tally:
        answers = [candidate.answer for candidate in self._candidates]
        return tally(self._candidates, await self._groups.of(answers))

    async def _enough(self, llm: LLM) -> bool:
        stop = self._selection.stop
        if not callable(stop) or not self._candidates or self._strong is not None:
            return False
        said = stop(await self.result(llm))
        return bool(await said if inspect.isawaitable(said) else said)

    def _seconds_left(self) -> float | None:
        return None if self._ends is None else max(0.0, self._ends - asyncio.get_running_loop().time())

    def _late(self) -> bool:
        return self._seconds_left() == 0.0


def decided(
    decision: Decision, selection: SelectionConfig, scorer: Scorer | None, failures: list[Failure]
) -> dict[str, Any]:
    """What a `RerankResult` says of a decision."""
    least, sure = selection.min_confidence, decision.confidence
    found = [*failures, *([decision.failure] if decision.failure else [])]
    return {
        "candidates": decision.candidates,
        "answers": decision.answers,
        "confidence": sure,
        "chosen_by": decision.chosen_by,
        "abstained": least is not None and (sure is None or sure < least),
        # By candidate; what concerns all of them comes last.
        "failures": tuple(sorted(found, key=lambda one: math.inf if one.index is None else one.index)),
        "select": selection.select,
        "scorer": "" if scorer is None else scorer_name(scorer),
    }


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
        retry_after=max((f.retry_after for f in result.failures if f.retry_after is not None), default=None),
    )


def _candidate(
    generation: Generation, question: Question, reader: AnswerReader, failures: list[Failure]
) -> Candidate | Failure:
    try:
        trace, refusal = read_answer(generation.message, question, generation.finish_reason)
    except InvalidTraceError as error:
        return failure(generation.index, "read", error, generation.model)
    return Candidate(
        index=generation.index,
        trace=trace.model_copy(update={"certainty": generation.certainty}),
        answer=read_key(generation.index, trace, generation.message, refusal, reader, failures),
        model=generation.model,
        finish_reason=generation.finish_reason,
        usage=generation.usage,
        refusal=refusal,
    )


def read_answer(
    message: Any, question: Question | None, finish_reason: str | None = None
) -> tuple[Trace, str | None]:
    """An assistant message, or a choice that holds one, as a `Trace`, and the words of its refusal.

    A refusal is the response of its trace.

    Raises:
        InvalidTraceError: it holds nothing that can be read; a reason that says so is named.
    """
    given = message
    message, finish_reason, _ = read_choice(given, finish_reason)
    refusal = refusal_of(message, finish_reason)
    if refusal is not None:
        field = "reasoning_content"
        thoughts = message.get(field) if isinstance(message, dict) else getattr(message, field, None)
        return Trace.from_message({"content": refusal, field: thoughts}, question), refusal
    try:
        return Trace.from_message(given, question, finish_reason=finish_reason), None
    except InvalidTraceError as error:
        if not is_cut_off(finish_reason):
            raise
        raise InvalidTraceError(
            f"The model was cut off before it wrote anything (finish reason {finish_reason!r})."
        ) from error


def read_key(
    index: int,
    trace: Trace,
    message: Any,
    refusal: str | None,
    reader: AnswerReader,
    failures: list[Failure],
) -> str | None:
    """What of a candidate is compared. A reader that fails costs the candidate its vote, and is recorded."""
    if refusal is not None:
        return None
    try:
        return reader.read(trace, message)
    except Exception as error:  # the caller's function, or hostile text
        failures.append(failure(index, "select", error))
        return None


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
