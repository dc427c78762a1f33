"""Annotating a trace with a language model (paper §4.2, App. E): samples, votes, retries, windows."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from me2sdk.annotate.answers import own_words, read_annotation, read_window
from me2sdk.annotate.forms import annotation_form, annotation_schema
from me2sdk.annotate.prompt import build_prompt
from me2sdk.annotate.rules import problem, usable
from me2sdk.annotate.types import Annotation, Limits, OnNode
from me2sdk.dag import AnnotationError, AttachmentPool, DAGBuilder
from me2sdk.errors import BudgetExceeded, GenerationError, JudgeError
from me2sdk.llm import LLM, Generation, ask_structured
from me2sdk.prompts import Outcome, ask_until
from me2sdk.schema import Failure, Question, Step

__all__ = ["ModelAnnotation"]

Reading = TypeVar("Reading")
_TIES = ("merge", "backtrack", "continue")  # the last one wins a tie
_GIVE_UP_AFTER = 3  # requests in a row that failed for good


class ModelAnnotation:
    """The annotation of one trace by a model: a chain of calls, each of which depends on the results before it.

    Attributes:
        builder: the DAG so far.
        errors: steps that fell back to ``continue``.
    """

    def __init__(
        self,
        llm: LLM,
        steps: Sequence[Step],
        *,
        question: str,
        limits: Limits,
        params: Mapping[str, Any],
        on_node: OnNode,
    ) -> None:
        self.builder = DAGBuilder()
        self.errors: list[AnnotationError] = []
        self._llm = llm
        self._steps = steps
        self._question = question
        self._limits = limits
        self._params = params
        self._on_node = on_node
        self._answered = False
        self._decided = 0
        self._failed_in_a_row = 0
        self._failure: GenerationError | BudgetExceeded | None = None

    async def run(self) -> None:
        """Attach every step.

        Raises:
            GenerationError: every call failed.
            BudgetExceeded: the budget did not allow a single call.
            JudgeError: with ``strict``, the model answered, but no answer could be used.
            ConfigurationError: the calls cannot work.
        """
        number = 0
        while number < len(self._steps):
            if not self._has_choice():
                await self._attach(number, Annotation("continue"))
                number += 1
            elif self._limits.window == 1 or number + 1 == len(self._steps):
                await self._one_step(number)
                number += 1
            else:
                number = await self._window(number)
        if self._decided:
            return
        if self._failure is not None and not self._answered:
            raise self._failure
        if self.errors and self._limits.strict:
            raise JudgeError(
                f"{', '.join(self._llm.models)} gave no usable annotation for any of the {len(self.errors)} steps that "
                f"it was asked about; the first: {self.errors[0].message}. Use a stronger model, raise max_tokens if "
                "its answers are cut off, or leave model out for the local annotator."
            )

    def _pool(self) -> AttachmentPool:
        return self.builder.pool(self._limits.max_main, self._limits.max_leaves)

    def _has_choice(self) -> bool:
        """Whether the next step can be anything but a continuation; if not, asking about it is a waste."""
        if not self.builder.nodes:
            return False
        pool = self._pool()
        return len(pool.main_path) > 1 or bool(pool.leaves)

    async def _one_step(self, number: int) -> None:
        """Ask about one step, again with the error named where no answer can be used, and attach it."""
        if self._failed_in_a_row >= _GIVE_UP_AFTER:
            reason = f"not asked, since {_GIVE_UP_AFTER} requests in a row had failed"
            await self._fall_back(number, reason, 0)
            return
        pool = self._pool()

        async def ask(as_json: bool) -> Outcome[tuple[list[Annotation], str]]:
            return await self._ask(number, pool, as_json)

        outcome = await self._in_form(ask)
        valid, wrong = outcome.reading or ([], "")
        if valid:
            self._decided += 1
            await self._attach(number, _vote(valid))
        else:
            reason = str(outcome.error) if outcome.error else wrong
            await self._fall_back(number, reason, outcome.asked * self._limits.samples)

    async def _in_form(self, ask: Callable[[bool], Awaitable[Outcome[Reading]]]) -> Outcome[Reading]:
        samples = range(self._limits.samples)
        return await ask_structured(self._llm, self._limits.structured, samples, self._params, ask)

    async def _ask(
        self, number: int, pool: AttachmentPool, as_json: bool
    ) -> Outcome[tuple[list[Annotation], str]]:
        """The annotations of one step that can be used, or what is wrong with the last answer."""

        def prompt(failed: str | None = None) -> str:
            new = {number: self._steps[number]}
            return build_prompt(
                new, pool, self.builder, question=self._question, failed=failed, as_json=as_json
            )

        async def ask(messages: Question, attempt: int) -> list[str]:
            return await self._texts(messages, attempt, annotation_schema(1) if as_json else {})

        def read(texts: list[str]) -> tuple[list[Annotation], str]:
            annotations = [read_annotation(text) for text in texts]
            valid = [found for one in annotations if (found := usable(one, self.builder, pool))]
            last = annotations[-1]
            missing = annotation_form([0], as_json=as_json).missing
            return valid, "" if valid else missing if last is None else problem(last, pool)

        def again(reading: tuple[list[Annotation], str]) -> str | None:
            valid, wrong = reading
            return None if valid else prompt(wrong)

        return await ask_until(ask, prompt(), read, again, self._limits.max_retries + 1)

    async def _fall_back(self, number: int, reason: str, attempts: int) -> None:
        """Attach a step for which there is no usable annotation."""
        self.errors.append(AnnotationError(step=number, message=reason[:1000], attempts=attempts))
        await self._attach(number, Annotation("continue"))

    async def _window(self, first: int) -> int:
        """Ask about a window of steps at once and attach them; return the number of the next step.

        Each annotation is checked against the DAG as it is by then; a step whose annotation does not fit is asked
        about by itself.
        """
        end = min(first + self._limits.window, len(self._steps))
        window = {number: self._steps[number] for number in range(first, end)}
        pool = self._pool()
        shown = {*pool.main_path, *pool.leaves, *window}
        size = len(window)

        async def ask(as_json: bool) -> Outcome[list[str]]:
            prompt = build_prompt(window, pool, self.builder, question=self._question, as_json=as_json)
            schema = annotation_schema(size) if as_json else {}
            return await ask_until(
                lambda messages, attempt: self._texts(messages, attempt, schema),
                prompt,
                read=lambda texts: texts,
                again=lambda texts: None,
            )

        texts: list[str] = []
        if self._failed_in_a_row < _GIVE_UP_AFTER:
            texts = (await self._in_form(ask)).reading or []
        readings = [read_window(text) for text in texts]
        for number in window:
            pool = self._pool()
            # A path that became shorter offers steps from further back, which this answer was not shown.
            seen = AttachmentPool(
                tuple(one for one in pool.main_path if one in shown),
                tuple(one for one in pool.leaves if one in shown),
            )
            read = [reading.get(number) for reading in readings]
            candidates = [found for one in read if (found := usable(one, self.builder, seen))]
            if candidates:
                self._decided += 1
                await self._attach(number, _vote(candidates))
            else:
                await self._one_step(number)
        return end

    async def _texts(self, prompt: Question, attempt: int, schema: Mapping[str, Any]) -> list[str]:
        """What the model says to a prompt. Each attempt takes samples of its own.

        Raises:
            GenerationError: no answer came. What may work a second time has been retried already.
            BudgetExceeded: the budget has no room for one.
        """
        count = self._limits.samples
        params = {**self._params, **schema}
        results: list[Generation | GenerationError | BudgetExceeded]
        if count > 1 and attempt == 0:  # several answers to one prompt can come in one call
            results = [
                _error(item) if isinstance(item, Failure) else item
                async for item in self._llm.asample(prompt, count, **params)
            ]
            results.sort(key=lambda item: item.index if isinstance(item, Generation) else count)
        else:
            indices = range(attempt * count, (attempt + 1) * count)
            results = await asyncio.gather(*(self._generate(prompt, index, params) for index in indices))
        answers = [item for item in results if isinstance(item, Generation)]
        failures = [item for item in results if not isinstance(item, Generation)]
        if failures and self._failure is None:
            self._failure = failures[0]
        self._answered = self._answered or bool(answers)
        self._failed_in_a_row = 0 if answers else self._failed_in_a_row + 1
        if failures and not answers:
            raise failures[0]
        return [own_words(answer.message, answer.finish_reason) for answer in answers]

    async def _generate(
        self, prompt: Question, index: int, params: Mapping[str, Any]
    ) -> Generation | GenerationError | BudgetExceeded:
        try:
            return await self._llm.agenerate(prompt, sample_index=index, **params)
        except (GenerationError, BudgetExceeded) as error:
            return error

    async def _attach(self, number: int, annotation: Annotation) -> None:
        node = self.builder.add(self._steps[number], *annotation)
        await self._on_node(node)


def _error(failure: Failure) -> GenerationError | BudgetExceeded:
    if failure.error == BudgetExceeded.__name__:
        return BudgetExceeded(failure.message)
    return GenerationError(
        failure.message, error_type=failure.error, status=failure.status, attempts=failure.attempts
    )


def _vote(candidates: Sequence[Annotation]) -> Annotation:
    """The most frequent annotation; among equals the most cautious action, then the latest parents."""
    votes = Counter((one.action, tuple(one.parents)) for one in candidates)
    winner = max(votes, key=lambda vote: (votes[vote], _TIES.index(vote[0]), vote[1]))
    return next(one for one in candidates if (one.action, tuple(one.parents)) == winner)
