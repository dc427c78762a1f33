"""Candidates, and what comes of choosing among them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from me2sdk._choices import ChosenBy, Select
from me2sdk.errors import InvalidTraceError
from me2sdk.schema.question import Value
from me2sdk.schema.trace import Trace
from me2sdk.schema.usage import Usage

__all__ = ["Answer", "BestOfNResult", "Candidate", "Failure", "RerankResult", "Scores"]


class Scores(list[float]):
    """Rewards, one a trace: a plain list of floats that also says what the scorer had to cut.

    Attributes:
        truncated: for each trace, how many of its tokens did not fit and were left out (0: scored whole).
        parts: for each trace what it was made of, where several scorers were joined: their rewards by name.
    """

    def __init__(
        self,
        values: list[float],
        truncated: list[int] | None = None,
        parts: list[dict[str, float]] | None = None,
    ) -> None:
        super().__init__(values)
        self.truncated = truncated if truncated is not None else [0] * len(values)
        self.parts = parts if parts is not None else [{} for _ in values]


class Failure(Value):
    """Something that did not work, recorded where it happened.

    Attributes:
        index: the candidate it belongs to (0-based, in the order asked for), or None where it concerns all of them.
        stage: what was being done: "generate", "read", "score", or "select" where answers were to be compared and
            could not be.
        error: name of the exception class.
        message: what it said, without keys.
        model: the model that was asked, or None.
        status: HTTP status, or None.
        attempts: how often it was tried.
        retry_after: seconds that the provider asked to wait, the last time, or None where it did not say.

    Example:
        ```python
        from me2sdk import rerank

        failure = rerank("What is 2 + 2?", ["It is 4.", {"role": "assistant"}]).failures[0]
        print(failure.index, failure.stage, failure.error)  # 1 read InvalidTraceError
        ```
    """

    index: int | None
    stage: Literal["generate", "read", "score", "select"]
    error: str
    message: str
    model: str | None = None
    status: int | None = None
    attempts: int = 1
    retry_after: float | None = None


def _stated(data: dict[str, Any]) -> str | None:
    """The answer of a candidate where nobody says what is to be compared."""
    return None if data.get("refusal") is not None or "trace" not in data else data["trace"].answer


class Candidate(Value):
    """One answer of several.

    Attributes:
        index: its place in the order asked for, from 0.
        trace: its reasoning, response and answer.
        answer: what was compared with the other candidates, by default the final answer that the trace states; None
            where it has none. A refusal has none.
        score: the scorer's reward (higher is better), or None where it was not or could not be scored.
        scores: where several scorers were joined, what each gave, by name.
        confidence: the chance that its answer is right, or None where nothing can say.
        score_truncated: tokens of the trace that the scorer had to leave out.
        model: the model that wrote it, or None for outputs that were handed in.
        finish_reason: why the model stopped, as the provider says it.
        usage: tokens and cost of the call, or None where one call brought several candidates.
        refusal: the words with which the model refused to answer, or None where it did not. A refusal is not scored,
            has no answer, and stands behind every candidate that is none.

    Example:
        ```python
        from me2sdk import rerank

        candidate = rerank("What is 2 + 2?", ["The answer is 5.", "So it is 4.", "The answer is 4."]).best
        print(candidate.index, candidate.answer)  # 2 4
        ```
    """

    index: int
    trace: Trace
    refusal: str | None = None
    answer: str | None = Field(default_factory=_stated)
    score: float | None = None
    scores: dict[str, float] = Field(default_factory=dict)
    confidence: float | None = None
    score_truncated: int = 0
    model: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None

    @property
    def response(self) -> str:
        """The text to return to the user: the response, or the reasoning where there is no response."""
        return self.trace.response if self.trace.response is not None else self.trace.reasoning


class Answer(Value):
    """One of the answers that candidates give.

    Attributes:
        text: the answer, as its best candidate writes it.
        votes: how many finished candidates give it.
        weight: what its votes count together; the same number unless votes were weighted.
        confidence: the chance that it is the right one, or None where nothing can say. What is missing from 1 over all
            answers is the chance that none of them is.
        best: index of its best candidate.
        candidates: indices of the finished candidates that give it, best first.

    Example:
        ```python
        from me2sdk import rerank

        result = rerank("What is 2 + 2?", ["The answer is 4.", "So it is 4.", "The answer is 5."])
        print([(answer.text, answer.votes) for answer in result.answers])  # [('4', 2), ('5', 1)]
        ```
    """

    text: str
    votes: int
    weight: float
    confidence: float | None = None
    best: int
    candidates: tuple[int, ...] = ()


class RerankResult(Value):
    """Candidates in order, best first.

    Attributes:
        candidates: every candidate that could be read, best first. Unfinished ones stand behind finished
            ones, and refusals behind both.
        failures: every candidate or score that failed, with its error, and a vote that was asked for and could not be
            held.
        select: how the best was to be chosen.
        chosen_by: what it was chosen by: "agreement and reward", "agreement", "reward", or "order" where nothing told
            the candidates apart but the order they came in.
        confidence: the chance that the best candidate's answer is right, from how many candidates agree and how
            independent those are (`docs/confidence.md`); None where answers could not be compared.
        answers: the different answers, most votes first; empty where answers could not be compared.
        abstained: whether ``confidence`` is below the ``min_confidence`` that was asked for, or not known. The best
            candidate is still there.
        scorer: name of the scorer; empty where there was none.
        seconds: wall-clock time.

    Example:
        ```python
        from me2sdk import RerankResult, rerank

        result = rerank("What is 2 + 2?", ["The answer is 4.", "It is 5."], scorer="shortest")
        print([candidate.index for candidate in result.candidates])  # [1, 0]
        print(RerankResult.model_validate_json(result.model_dump_json()) == result)  # True
        ```
    """

    candidates: tuple[Candidate, ...]
    failures: tuple[Failure, ...] = ()
    select: Select = "auto"
    chosen_by: ChosenBy = "order"
    confidence: float | None = None
    answers: tuple[Answer, ...] = ()
    abstained: bool = False
    scorer: str = ""
    seconds: float = Field(default=0.0, ge=0)

    @property
    def best(self) -> Candidate:
        """The candidate to return.

        Raises:
            InvalidTraceError: there is none, since every candidate failed.
        """
        if not self.candidates:
            raise InvalidTraceError(
                "There is no best candidate: all of them failed. See .failures for the reasons."
            )
        return self.candidates[0]

    def to_html(self, title: str | None = None, *, scorer: Any = None) -> str:
        """One self-contained page: the answers with votes and confidence, and every candidate to read.

        Of each candidate the page says why it stands where it stands, shows its reasoning with formulas set, draws its
        DAG (by the local rules), and what its reward is made of where the scorer can say so. Candidates that
        are opened stand side by side. Failures are listed.

        Args:
            title: heading of the page; by default how many candidates there are.
            scorer: the scorer that gave the rewards, if it has a method ``explanations(question, traces)`` that returns
                for each trace what its reward is made of, by name. "mini" need not be passed.

        Returns:
            The page as HTML. It needs no network, and nothing that a model wrote can run in it.

        Example:
            ```python
            from pathlib import Path
            from me2sdk import rerank

            result = rerank("What is 2 + 2?", ["The answer is 4.", "So it is 4.", "The answer is 5."])
            Path("candidates.html").write_text(result.to_html(), "utf-8")
            ```
        """
        from me2sdk.sampling import result_html

        return result_html(self, title, scorer)


class BestOfNResult(RerankResult):
    """What `best_of_n` returns: a `RerankResult` with what its candidates cost.

    Attributes:
        usage: calls, cached calls, tokens and cost in USD of all candidates, failed ones included.
        usage_by_model: the same for each model that was asked.
        asked: how many candidates were asked for.
        stopped_early: whether ``stop`` ended the sampling before all ``n`` were asked for.
        escalated: whether the stronger model of ``escalate`` was asked.

    Example:
        ```python
        from me2sdk import best_of_n

        result = best_of_n("What is 2 + 2?", model=lambda messages, **params: "The answer is 4.", n=2)
        print(result.best.answer, result.usage.calls)  # 4 2
        ```
    """

    usage: Usage = Usage()
    usage_by_model: dict[str, Usage] = Field(default_factory=dict)
    asked: int = 0
    stopped_early: bool = False
    escalated: bool = False
