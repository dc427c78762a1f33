"""What comes of many questions: a result or a failure for each, and the sum of it."""

from __future__ import annotations

from me2sdk.schema import BestOfNResult, RerankResult, Usage, Value

__all__ = ["BestOfNManyResult", "ManySummary", "Outcome", "QuestionFailure"]


class QuestionFailure(Value):
    """A question that got no answer.

    Attributes:
        error: name of the exception class.
        message: what it said, without keys.
        partial: the candidates that had come by then, or None.
        usage: what was spent on the question.
    """

    error: str
    message: str
    partial: RerankResult | BestOfNResult | None = None
    usage: Usage = Usage()


Outcome = BestOfNResult | QuestionFailure
"""What comes of one question."""


class ManySummary(Value):
    """What came of many questions. Summaries of parts of them add up.

    Attributes:
        answered: questions with an answer, those that abstained left out.
        abstained: questions whose answer is less sure than ``min_confidence`` asks.
        failed: questions without an answer.
        samples_asked: candidates that were asked for.
        samples_saved: what ``stop`` and ``deadline`` spared of ``n`` candidates for each question that did not fail;
            candidates of a stronger model count against it.
        usage: what all questions cost, failed ones included.
    """

    answered: int = 0
    abstained: int = 0
    failed: int = 0
    samples_asked: int = 0
    samples_saved: int = 0
    usage: Usage = Usage()

    @classmethod
    def of(cls, outcome: Outcome, n: int) -> ManySummary:
        """The summary of one question.

        Args:
            outcome: what came of it.
            n: how many candidates it could have asked for.
        """
        if isinstance(outcome, QuestionFailure):
            asked = outcome.partial.asked if isinstance(outcome.partial, BestOfNResult) else 0
            return cls(failed=1, samples_asked=asked, usage=outcome.usage)
        return cls(
            answered=not outcome.abstained,
            abstained=outcome.abstained,
            samples_asked=outcome.asked,
            samples_saved=n - outcome.asked,
            usage=outcome.usage,
        )

    @property
    def questions(self) -> int:
        """All questions."""
        return self.answered + self.abstained + self.failed

    def __add__(self, other: ManySummary) -> ManySummary:
        return ManySummary(
            answered=self.answered + other.answered,
            abstained=self.abstained + other.abstained,
            failed=self.failed + other.failed,
            samples_asked=self.samples_asked + other.samples_asked,
            samples_saved=self.samples_saved + other.samples_saved,
            usage=self.usage + other.usage,
        )


class BestOfNManyResult(Value):
    """What `best_of_n_many` returns.

    Attributes:
        results: for each question, in their order, its `BestOfNResult`, or a `QuestionFailure` where it has none.
        summary: how many were answered, and what they cost.

    Example:
        ```python
        from me2sdk import BestOfNManyResult, best_of_n_many

        many = best_of_n_many(["2 + 2?"], model=lambda messages, **params: "It is 4.", n=2)
        print(BestOfNManyResult.model_validate_json(many.model_dump_json()) == many)  # True
        ```
    """

    results: tuple[BestOfNResult | QuestionFailure, ...]
    summary: ManySummary
