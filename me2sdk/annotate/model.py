"""Annotating a trace with a language model (paper §4.2, App. E): samples, votes, retries, windows."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from me2sdk.annotate.answers import own_words, read_annotation, read_window
from me2sdk.annotate.prompt import ask
from me2sdk.annotate.rules import problem, usable
from me2sdk.annotate.types import Annotation, Limits, Told
from me2sdk.dag import AnnotationError, AttachmentPool, DAGBuilder
from me2sdk.errors import BudgetExceeded, GenerationError, JudgeError
from me2sdk.llm import LLM, Generation
from me2sdk.schema import Failure, Step

__all__ = ["ModelAnnotation"]

_TIES = ("merge", "backtrack", "continue")  # the last one wins a tie
_HOPELESS = 3  # requests in a row that fail for good, after which no more are made


class ModelAnnotation:
    """The annotation of one trace by a model: a chain of calls, each of which needs what came of those before.

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
        told: Told,
    ) -> None:
        self.builder = DAGBuilder()
        self.errors: list[AnnotationError] = []
        self._llm = llm
        self._steps = steps
        self._question = question
        self._limits = limits
        self._params = params
        self._told = told
        self._answered = False
        self._decided = 0
        self._failed_in_a_row = 0
        self._failure: GenerationError | BudgetExceeded | None = None

    async def run(self) -> None:
        """Attach every step.

        Raises:
            GenerationError: every call failed.
            BudgetExceeded: the budget did not allow a single call.
            JudgeError: the model answered, but not once so that it could be used.
            ConfigurationError: the calls cannot work.
        """
        number = 0
        while number < len(self._steps):
            if not self._has_choice():
                await self._attach(number, Annotation("continue"))
                number += 1
            elif self._limits.window == 1 or number + 1 == len(self._steps):
                await self._alone(number)
                number += 1
            else:
                number = await self._together(number)
        if self.errors and not self._decided:
            if self._failure is not None and not self._answered:
                raise self._failure
            raise JudgeError(
                f"{', '.join(self._llm.models)} gave no usable annotation for any of the {len(self.errors)} steps that "
                f"it was asked about; the first: {self.errors[0].message}. Use a stronger model, raise max_tokens if "
                "its answers are cut off, or leave model out for the local annotator."
            )

    def _pool(self) -> AttachmentPool:
        return self.builder.pool(self._limits.max_main, self._limits.max_leaves)

    def _has_choice(self) -> bool:
        """Whether the next step can be anything but a continuation; else a question about it is wasted."""
        if not self.builder.nodes:
            return False
        pool = self._pool()
        return len(pool.main_path) > 1 or bool(pool.leaves)

    async def _alone(self, number: int) -> None:
        """Ask about one step, again with the error told where no answer can be used, and attach it."""
        pool = self._pool()
        wrong: str | None = None
        message, attempts = "", 0
        for attempt in range(self._limits.max_retries + 1):
            if self._failed_in_a_row >= _HOPELESS:
                message = message or f"not asked, since {_HOPELESS} requests in a row had failed"
                break
            prompt = ask(
                {number: self._steps[number]},
                pool,
                self.builder,
                question=self._question,
                failed=wrong,
            )
            attempts += self._limits.samples
            texts, failure = await self._sample(prompt, attempt)
            if not texts:  # calls that may work a second time have been retried already
                message = str(failure)
                break
            read = [read_annotation(text) for text in texts]
            candidates = [found for one in read if (found := usable(one, self.builder, pool))]
            if candidates:
                self._decided += 1
                await self._attach(number, _vote(candidates))
                return
            message = wrong = problem(read[-1], pool)
        self.errors.append(AnnotationError(step=number, message=message[:1000], attempts=attempts))
        await self._attach(number, Annotation("continue"))

    async def _together(self, first: int) -> int:
        """Ask about a window of steps at once and attach them; returns the number of the next step.

        Each is held against the state that it really has; one that does not fit there is asked about alone.
        """
        end = min(first + self._limits.window, len(self._steps))
        window = {number: self._steps[number] for number in range(first, end)}
        pool = self._pool()
        shown = {*pool.main_path, *pool.leaves, *window}
        texts: list[str] = []
        if self._failed_in_a_row < _HOPELESS:
            prompt = ask(window, pool, self.builder, question=self._question)
            texts, _ = await self._sample(prompt, 0)
        readings = [read_window(text) for text in texts]
        for number in window:
            pool = self._pool()
            # A path that has become shorter offers steps from further back, which this answer did not see.
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
                await self._alone(number)
        return end

    async def _sample(self, prompt: str, attempt: int) -> tuple[list[str], Exception | None]:
        """What the model says to a prompt, and a failure if there was one. Each attempt has samples of its own."""
        count = self._limits.samples
        results: list[Generation | GenerationError | BudgetExceeded]
        if count > 1 and attempt == 0:  # several answers to one prompt can come in one call
            results = [
                _error(item) if isinstance(item, Failure) else item
                async for item in self._llm.asample(prompt, count, **self._params)
            ]
            results.sort(key=lambda item: item.index if isinstance(item, Generation) else count)
        else:
            indices = range(attempt * count, (attempt + 1) * count)
            results = await asyncio.gather(*(self._generate(prompt, index) for index in indices))
        answers = [item for item in results if isinstance(item, Generation)]
        failures = [item for item in results if not isinstance(item, Generation)]
        if failures and self._failure is None:
            self._failure = failures[0]
        self._answered = self._answered or bool(answers)
        self._failed_in_a_row = 0 if answers else self._failed_in_a_row + 1
        texts = [own_words(answer.message, answer.finish_reason) for answer in answers]
        return texts, failures[0] if failures else None

    async def _generate(self, prompt: str, index: int) -> Generation | GenerationError | BudgetExceeded:
        try:
            return await self._llm.agenerate(prompt, sample_index=index, **self._params)
        except (GenerationError, BudgetExceeded) as error:
            return error

    async def _attach(self, number: int, annotation: Annotation) -> None:
        node = self.builder.add(self._steps[number], *annotation)
        await self._told(node)


def _error(failure: Failure) -> GenerationError | BudgetExceeded:
    if failure.error == BudgetExceeded.__name__:
        return BudgetExceeded(failure.message)
    return GenerationError(
        failure.message, error_type=failure.error, status=failure.status, attempts=failure.attempts
    )


def _vote(candidates: Sequence[Annotation]) -> Annotation:
    """The most frequent candidate; of equally frequent ones the most cautious action, then the latest parents."""
    votes = Counter((one.action, tuple(one.parents)) for one in candidates)
    winner = max(votes, key=lambda vote: (votes[vote], _TIES.index(vote[0]), vote[1]))
    return next(one for one in candidates if (one.action, tuple(one.parents)) == winner)
