"""Exceptions of me2sdk.

::

    ME2Error
    ├── ConfigurationError   a setting, an argument or a missing extra
    ├── InvalidTraceError    a trace that cannot be read or scored
    ├── GenerationError      too few candidates came back (carries the partial result)
    ├── JudgeError           the judge model gave no usable verdict
    │   └── BatchAnnotationError   some of several traces could not be annotated (carries the other DAGs)
    ├── ScoringError         a scorer failed or returned something unusable (may carry the partial result)
    └── BudgetExceeded       a call would have passed the budget

Every message says what happened and what to do next. Messages never hold API keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from me2sdk.dag import ReasoningDAG
    from me2sdk.schema import BestOfNResult, RerankResult, Usage, Vote

__all__ = [
    "BatchAnnotationError",
    "BudgetExceeded",
    "ConfigurationError",
    "GenerationError",
    "InvalidTraceError",
    "JudgeError",
    "ME2Error",
    "ScoringError",
]


class ME2Error(Exception):
    """Base class of everything that me2sdk raises on purpose.

    Example:
        ```python
        from me2sdk import ME2Error, best_of_n

        try:
            best_of_n("What is 2 + 2?", model=lambda messages, **params: "4", n=0)
        except ME2Error as error:
            print(type(error).__name__)  # ConfigurationError
        ```
    """


class ConfigurationError(ME2Error, ValueError):
    """A setting or argument cannot work, or an optional dependency is missing.

    Example:
        ```python
        from me2sdk import ConfigurationError, split_steps

        try:
            split_steps("It is 4.", prefixes="mine")
        except ConfigurationError as error:
            print(str(error).split(".")[0])  # No prefix set is called 'mine'
        ```
    """


class InvalidTraceError(ME2Error, ValueError):
    """A trace, message or candidate cannot be read or has nothing to score.

    Example:
        ```python
        from me2sdk import InvalidTraceError, Trace

        try:
            Trace.from_message({"role": "assistant"})
        except InvalidTraceError as error:
            print(str(error).split(".")[0])  # This dict holds neither content nor reasoning
        ```
    """


class ScoringError(ME2Error):
    """A scorer could not be reached, failed, or returned something that is not one finite score per trace.

    Attributes:
        partial: the candidates that could not be scored (a ``RerankResult``), or None.

    Example:
        ```python
        from me2sdk import ScoringError, rerank

        class Broken:
            def score(self, question, traces):
                return []

        try:
            rerank("What is 2 + 2?", ["It is 4."], scorer=Broken(), select="best")
        except ScoringError as error:
            print(len(error.partial.candidates))  # 1
        ```
    """

    def __init__(self, message: str, *, partial: RerankResult | None = None) -> None:
        super().__init__(message)
        self.partial = partial


class JudgeError(ME2Error):
    """A judge or annotator model returned nothing that could be read.

    Attributes:
        votes: the judgements there were (`Vote` values), failed ones included.
        usage: what they cost, or None.

    Example:
        ```python
        from me2sdk import JudgeError, judge_pair

        try:
            judge_pair("2 + 2?", "It is 4.", "Four.", model=lambda messages, **params: "Hm.", structure=False)
        except JudgeError as error:
            print({vote.decision for vote in error.votes})  # {'failed'}
        ```
    """

    def __init__(self, message: str, *, votes: tuple[Vote, ...] = (), usage: Usage | None = None) -> None:
        super().__init__(message)
        self.votes = votes
        self.usage = usage

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the keyword attributes."""
        return type(self), self.args, {"votes": self.votes, "usage": self.usage}


class BatchAnnotationError(JudgeError):
    """Some of several traces could not be annotated; the others are done.

    Attributes:
        partial: a DAG per trace, in their order; None for those that failed.
        failures: what went wrong, by the trace's place.

    Example:
        ```python
        from me2sdk import BatchAnnotationError, parse_dag

        def model(messages, **params):
            raise ValueError("no such model")

        try:
            parse_dag([["It is 4."], ["2 + 2?", "Count: 4.", "So 4."]], model=model)
        except BatchAnnotationError as error:  # a single step asks no model
            print(len(error.partial[0].nodes), list(error.failures))  # 1 [1]
        ```
    """

    def __init__(
        self, message: str, partial: list[ReasoningDAG | None], failures: dict[int, ME2Error]
    ) -> None:
        super().__init__(message)
        self.partial = partial
        self.failures = failures

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with all arguments."""
        return type(self), (self.args[0], self.partial, self.failures)


class BudgetExceeded(ME2Error):
    """The next call would have passed the budget, so it was not made.

    Example:
        ```python
        from me2sdk import Budget, BudgetExceeded, LLM

        llm = LLM(lambda messages, **params: "It is 4.", budget=Budget(tokens=10))
        try:
            llm.generate("What is 2 + 2?", max_tokens=100)
        except BudgetExceeded:
            print(llm.usage.calls)  # 0
        ```
    """


class GenerationError(ME2Error):
    """A model call failed for good, or fewer than ``min_candidates`` candidates came back.

    Attributes:
        partial: what did arrive (a ``BestOfNResult`` whose ``best`` may be None), or None where the error
            is about a single call.
        error_type: name of the provider's exception class, or None.
        status: HTTP status code of the provider's answer, or None.
        attempts: how often the call was tried.
        retry_after: seconds that the provider asked to wait, the last time, or None where it did not say.

    Example:
        ```python
        from me2sdk import GenerationError, LLM

        def model(messages, **params):
            raise ValueError("no such model")

        try:
            LLM(model, max_retries=0).generate("What is 2 + 2?")
        except GenerationError as error:
            print(error.error_type, error.attempts)  # ValueError 1
        ```
    """

    def __init__(
        self,
        message: str,
        *,
        partial: BestOfNResult | None = None,
        error_type: str | None = None,
        status: int | None = None,
        attempts: int = 1,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.partial = partial
        self.error_type = error_type
        self.status = status
        self.attempts = attempts
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the keyword attributes, so that process pools can carry the error."""
        return type(self), self.args, vars(self).copy()
