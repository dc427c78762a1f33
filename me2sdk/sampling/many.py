"""`best_of_n` for many questions: one limit and one budget for all of them, and one that fails costs no other."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from me2sdk._sync import all_or_none, run_sync
from me2sdk.errors import ConfigurationError, GenerationError, ScoringError
from me2sdk.llm import LLM, Budget, Model, check_options, open_llm
from me2sdk.sampling.answers import AnswerKey
from me2sdk.sampling.candidates import sample
from me2sdk.sampling.escalation import Escalate
from me2sdk.sampling.outcomes import BestOfNManyResult, ManySummary, Outcome, QuestionFailure
from me2sdk.sampling.select import OnCandidate, SelectionConfig
from me2sdk.sampling.stopping import Stop, split_stop
from me2sdk.schema import BestOfNResult, Question, Select, question_parts
from me2sdk.scorers import Scorer, load_scorer

__all__ = ["OnResult", "abest_of_n_many", "answer_each", "best_of_n_many"]

OnResult = Callable[[int, Outcome], Awaitable[None] | None]
"""Takes the place of a question and what came of it."""

_SPENT = "BudgetExceeded"


async def abest_of_n_many(
    questions: Iterable[Question],
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
    on_result: OnResult | None = None,
    budget: Budget | None = None,
    cache: bool | str | Path | None = None,
    max_concurrency: int = 16,
    timeout: float = 120.0,
    **params: Any,
) -> BestOfNManyResult:
    """Answer any number of questions; `best_of_n_many` with ``await``.

    Example:
        ```python
        import asyncio
        from me2sdk import abest_of_n_many

        model = lambda messages, **params: "The answer is 4."  # or "openai/gpt-4o-mini"
        many = asyncio.run(abest_of_n_many(["2 + 2?", "1 + 3?"], model=model, n=2))
        print([result.best.answer for result in many.results])  # ['4', '4']
        ```
    """
    check_options(best_of_n_many, params)
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
        verb="best_of_n_many",
        budget=budget,
        cache=cache,
        max_concurrency=max_concurrency,
        timeout=timeout,
    )
    outcomes: dict[int, Outcome] = {}

    async def keep(index: int, outcome: Outcome) -> None:
        outcomes[index] = outcome
        given = on_result(index, outcome) if on_result else None
        if inspect.isawaitable(given):
            await given

    await answer_each(questions, llm, selection, params, max_concurrency=max_concurrency, on_result=keep)
    results = tuple(outcomes[index] for index in sorted(outcomes))
    summary = sum((ManySummary.of(outcome, n) for outcome in results), ManySummary())
    return BestOfNManyResult(results=results, summary=summary)


def best_of_n_many(
    questions: Iterable[Question],
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
    on_result: OnResult | None = None,
    budget: Budget | None = None,
    cache: bool | str | Path | None = None,
    max_concurrency: int = 16,
    timeout: float = 120.0,
    **params: Any,
) -> BestOfNManyResult:
    """Answer any number of questions, each as `best_of_n` does, within one limit on calls and one budget.

    A question that fails is a `QuestionFailure` in its place, and the others go on. Questions that the budget leaves
    nothing for are failures with the error "BudgetExceeded", and are not asked.

    Args:
        questions: the questions, each a string or a list of chat messages. Of a generator only as many are taken as
            are being worked on.
        model: as in `best_of_n`, and so is all that is not named here.
        n: number of candidates for each question.
        scorer: opened once for all questions.
        select: how the best is chosen.
        answer: what is compared.
        stop: when to stop before ``n``.
        min_confidence: below this chance of being right a result says that it abstained.
        escalate: a stronger model, asked where the confidence is low.
        deadline: seconds for each question, from when work on it begins; waiting for a free slot counts.
        min_candidates: a question with fewer than this failed.
        on_candidate: called with each `Candidate`; ``candidate.trace.question`` says whose it is.
        on_result: called with the place of a question and what came of it, in the order in which they are done; may be
            async. Where it raises, no other question is begun, those in work are ended, and the error is raised.
        budget: one `Budget` for all questions.
        cache: as in `best_of_n`.
        max_concurrency: calls in flight at most, and questions in work at most. Where ``model`` is an `LLM`, its own
            limit holds for calls.
        timeout: seconds an attempt may take.
        **params: sent to the model.

    Returns:
        A `BestOfNManyResult`: ``.results`` in the order of the questions, and ``.summary``. To keep less in memory,
        write results down in ``on_result`` and ask for a part of the questions at a time.

    Raises:
        ConfigurationError: an argument cannot work, or the scorer lacks a dependency.

    Example:
        ```python
        from me2sdk import best_of_n_many

        model = lambda messages, **params: "The answer is 4."  # or "openai/gpt-4o-mini"
        many = best_of_n_many(["2 + 2?", "1 + 3?"], model=model, n=4, stop="sure")
        print([result.best.answer for result in many.results], many.summary.samples_saved)  # ['4', '4'] 2
        ```
    """
    return run_sync(
        abest_of_n_many(
            questions,
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
            on_result=on_result,
            budget=budget,
            cache=cache,
            max_concurrency=max_concurrency,
            timeout=timeout,
            **params,
        )
    )


async def answer_each(
    questions: Iterable[Question],
    llm: LLM,
    selection: SelectionConfig,
    params: dict[str, Any],
    *,
    max_concurrency: int,
    on_result: OnResult,
) -> None:
    """Answer questions side by side; what comes of each goes to ``on_result`` and is not kept.

    Args:
        questions: the questions.
        llm: the model to ask.
        selection: how many candidates, and how to choose among them.
        params: sent to the model.
        max_concurrency: questions in work at most.
        on_result: called with the place of a question and what came of it.

    Raises:
        ConfigurationError: ``questions`` is a single one, or an argument cannot work.
    """
    chat = isinstance(questions, list) and questions and all(isinstance(one, dict) for one in questions)
    if chat or isinstance(questions, str | dict) or not isinstance(questions, Iterable):
        raise ConfigurationError(
            "best_of_n_many takes a list of questions or a generator. Put a single question in a list."
        )
    if max_concurrency < 1:
        raise ConfigurationError("max_concurrency is at least 1.")
    opened = await load_scorer(selection.scorer)  # once, and before anything is paid for
    selection = dataclasses.replace(selection, scorer=opened)
    await _Many(questions, llm, selection, params, on_result).run(max_concurrency)


class _Many:
    """Questions in work side by side."""

    def __init__(
        self,
        questions: Iterable[Question],
        llm: LLM,
        selection: SelectionConfig,
        params: dict[str, Any],
        on_result: OnResult,
    ) -> None:
        self._questions = enumerate(questions)
        self._llm, self._selection, self._params, self._on_result = llm, selection, params, on_result
        self._taking = asyncio.Lock()
        self._freed = asyncio.Event()
        self._in_work = self._waiting = self._done = 0
        self._spent = False
        self._error: Exception | None = None

    async def run(self, workers: int) -> None:
        """Work until there are no more questions, or an error concerns all of them."""
        await all_or_none(*(self._work() for _ in range(workers)))
        if self._error is not None:
            raise self._error

    async def _work(self) -> None:
        while self._error is None:
            try:
                item = await self._next()
                if item is None:
                    return
                index, question = item
                given = self._on_result(index, await self._answer(question))
                if inspect.isawaitable(given):
                    await given
            except Exception as error:  # what others have in work is paid for, so they end it first
                self._error = self._error or error
                self._wake()

    async def _next(self) -> tuple[int, Question] | None:
        async with self._taking:  # in a thread, since a generator may read files or wait
            return await asyncio.to_thread(next, self._questions, None)

    async def _answer(self, question: Question) -> Outcome:
        """What comes of a question. Where others have set the rest of the budget aside, it waits for them."""
        try:
            _check_question(question)
        except ConfigurationError as error:
            return QuestionFailure(error=type(error).__name__, message=str(error))
        if self._waiting and not self._spent:
            await self._wait()  # behind those that came before it
        while not self._spent:
            done = self._done
            self._in_work += 1
            try:
                outcome = await self._ask(question)
            finally:
                self._in_work -= 1
            if not _had_no_budget(outcome):
                self._done += 1
                self._wake()
                return outcome
            if done == self._done and self._in_work:
                await self._wait()
            elif done == self._done:
                self._spent = True
                self._wake()
        return QuestionFailure(
            error=_SPENT,
            message="What is left of the budget is not enough for another question. Raise it to ask the rest.",
        )

    async def _wait(self) -> None:
        """Wait until a question is done, which may have set more budget aside than it used."""
        self._waiting += 1
        try:
            await self._freed.wait()
        finally:
            self._waiting -= 1

    def _wake(self) -> None:
        """Let those go on that wait, in the order in which they came."""
        self._freed.set()
        self._freed = asyncio.Event()

    async def _ask(self, question: Question) -> Outcome:
        own = self._llm.session()
        try:
            return (await sample(own, question, self._selection, self._params))[0]
        except ConfigurationError:
            raise
        except Exception as error:  # of one question, and it must not cost the others
            partial = error.partial if isinstance(error, GenerationError | ScoringError) else None
            usage = partial.usage if isinstance(partial, BestOfNResult) else own.usage
            return QuestionFailure(
                error=type(error).__name__, message=str(error)[:2000], partial=partial, usage=usage
            )


def _check_question(question: Question) -> None:
    """Refuse what is no question, before a model is opened for it.

    Raises:
        ConfigurationError: it is none.
    """
    if question is None or question == []:
        raise ConfigurationError(
            "There is no question. Pass a string, or a list of at least one chat message."
        )
    question_parts(question)


def _had_no_budget(outcome: Outcome) -> bool:
    """Whether the budget did not allow for a single call."""
    if not isinstance(outcome, QuestionFailure) or outcome.usage.calls or outcome.partial is None:
        return False
    return any(failure.error == _SPENT for failure in outcome.partial.failures)
