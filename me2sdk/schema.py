"""The values that go into and come out of me2sdk's verbs: frozen pydantic models.

All of them serialise with ``model_dump_json()`` and load back equal with ``model_validate_json()``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from me2sdk import traces
from me2sdk._choices import Dimension, Select
from me2sdk.errors import ConfigurationError, InvalidTraceError

__all__ = [
    "BestOfNResult",
    "Candidate",
    "Failure",
    "Message",
    "Question",
    "RerankResult",
    "Scores",
    "Select",
    "Step",
    "Trace",
    "Usage",
    "Verification",
    "Vote",
]

_Number = TypeVar("_Number", int, float)
Message = dict[str, Any]
"""A chat message in OpenAI's form: ``{"role": "user", "content": "…"}``."""

Question = str | list[Message]
"""What is asked: a text, or a list of chat messages."""


# Lone surrogates cannot be encoded, sent or tokenised: they become U+FFFD where text comes in.
CleanText = Annotated[str, BeforeValidator(lambda v: traces.clean(v) if isinstance(v, str) else v)]


def question_parts(question: Question | None) -> list[tuple[str, str]]:
    """Role and text of each message of a question that has text; a string is one message of the user.

    Of content parts, those with text count, joined by line breaks. Images and other parts are skipped.

    Raises:
        ConfigurationError: it is neither a string nor a list of chat messages.
    """
    if question is None or isinstance(question, str):
        return [("user", question)] if question else []
    if not isinstance(question, list) or not all(isinstance(message, dict) for message in question):
        raise ConfigurationError(
            f"A question is a string or a list of chat messages, not {type(question).__name__}. "
            'Pass "…" or [{"role": "user", "content": "…"}].'
        )
    parts = [(str(message.get("role", "")), _content_text(message.get("content"))) for message in question]
    return [(role, text) for role, text in parts if text]


def question_text(question: Question | None) -> str:
    """A question as plain text: of chat messages, those with text, each under its role if there are several.

    Raises:
        ConfigurationError: it is neither a string nor a list of chat messages.
    """
    parts = [(role, text) for role, text in question_parts(question) if text.strip()]
    return "\n\n".join(text if len(parts) == 1 else f"{role}: {text}" for role, text in parts)


def _content_text(content: object) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise ConfigurationError(
            f"The content of a chat message is a string or a list of parts, not {type(content).__name__}."
        )
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str) and text)


class Value(BaseModel):
    """A frozen value that refuses unknown fields and keeps infinities in JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Step(NamedTuple):
    """One step of a trace (paper §4.1).

    A named tuple rather than a model, since long traces have many of them and any text is a valid step.

    Attributes:
        text: the step's text.
        separator: the blank lines that follow it; ``"".join(s.text + s.separator for s in steps)`` is the
            trace.

    Example:
        ```python
        from me2sdk import Step, parse_dag

        dag = parse_dag([Step("2 + 2 = 4."), Step("So the answer is 4.")])
        print(len(dag.nodes))  # 2
        ```
    """

    text: str
    separator: str = ""


class Trace(Value):
    """One reasoning trace.

    Attributes:
        reasoning: what the model wrote before its response; the whole completion where it did not separate
            the two.
        question: what was asked, a string or a list of chat messages, or None.
        response: what the model answered, or None where it never got that far.
        truncated: True if the model was cut off, so that the trace has no end.

    Example:
        ```python
        from me2sdk import Trace

        trace = Trace.from_text("<think>2 + 2 = 4.</think>The answer is 4.", question="What is 2 + 2?")
        print(trace.reasoning)  # 2 + 2 = 4.
        print(trace.answer)  # 4
        ```
    """

    reasoning: CleanText
    question: Question | None = None
    response: CleanText | None = None
    truncated: bool = False

    @classmethod
    def from_text(cls, text: str, question: Question | None = None) -> Trace:
        """Read a completion as text.

        Knows the thinking formats of all common models and those added with
        `me2sdk.traces.register_format` (several blocks, nested, unclosed, only a closing tag), the
        channels of GPT-OSS, and text with none of these, which is reasoning and response at once. Tags
        in code are text, a wrapped answer is unwrapped, and tokens of chat templates at the ends are
        dropped. Lone surrogates become U+FFFD.

        Args:
            text: the completion.
            question: what was asked; kept with the trace.

        Raises:
            InvalidTraceError: ``text`` is not a string.
        """
        if not isinstance(text, str):
            raise InvalidTraceError(f"Trace.from_text needs a string, not {type(text).__name__}.")
        reading = traces.read_text(traces.clean(text))
        return cls(question=question, **reading._asdict())

    @classmethod
    def from_message(
        cls, message: Any, question: Question | None = None, *, finish_reason: str | None = None
    ) -> Trace:
        """Read an assistant message of any OpenAI-like API.

        Args:
            message: a dict, or an object with the attributes of LiteLLM's or OpenAI's message. Reasoning is
                read from ``reasoning_content``, ``reasoning``, ``thinking``, ``thinking_blocks``,
                ``reasoning_details``, from the same in ``provider_specific_fields``, or from content parts
                of type ``thinking``, and from the text of ``content`` as in `from_text`.
            question: what was asked; kept with the trace.
            finish_reason: why the model stopped, if known. Reasoning without any content counts as cut off;
                with a reason such as "stop" it is finished, and is the response as well.

        Raises:
            InvalidTraceError: ``message`` has no ``content`` and no reasoning.
        """
        is_message = isinstance(message, dict) or hasattr(message, "content")
        reading = traces.read_message(message, finish_reason) if is_message else None
        if reading is None or not (reading.reasoning.strip() or reading.response):
            raise InvalidTraceError(
                f"This {type(message).__name__} holds neither content nor reasoning. Pass an assistant message "
                "such as response.choices[0].message."
            )
        return cls(question=question, **reading._asdict())

    @property
    def answer(self) -> str | None:
        r"""The final answer as text; None if none is stated.

        The response decides: what it marks (``<answer>…</answer>``, the last ``\boxed{…}``, else the last "Final
        answer: …", "Answer: …", "The answer is …" or ``#### …``), or the one number of a short sentence that
        affirms it ("There are 42 jars."), or that of a last sentence that concludes ("Therefore, …"). The reasoning
        is looked at only where the response says nothing that could differ from it.
        """
        return traces.final_answer(self.reasoning, self.response, self.truncated)


class Usage(Value):
    """What calls cost.

    Attributes:
        calls: calls that reached a provider.
        cached_calls: answers that came from the cache instead.
        prompt_tokens: tokens sent, or None where a provider did not say.
        completion_tokens: tokens received, or None where a provider did not say.
        cost: US dollars, or None where a price is not known. Unknown is never counted as 0.

    Example:
        ```python
        from me2sdk import Usage

        total = Usage(calls=1, prompt_tokens=10, completion_tokens=5, cost=0.25) + Usage(calls=2, cost=None)
        print(total.calls, total.total_tokens, total.cost)  # 3 15 None
        ```
    """

    calls: int = 0
    cached_calls: int = 0
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    cost: float | None = 0.0

    @property
    def total_tokens(self) -> int | None:
        """Prompt and completion tokens together, or None where either is not known."""
        return _plus(self.prompt_tokens, self.completion_tokens)

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            calls=self.calls + other.calls,
            cached_calls=self.cached_calls + other.cached_calls,
            prompt_tokens=_plus(self.prompt_tokens, other.prompt_tokens),
            completion_tokens=_plus(self.completion_tokens, other.completion_tokens),
            cost=_plus(self.cost, other.cost),
        )


def _plus(a: _Number | None, b: _Number | None) -> _Number | None:
    return None if a is None or b is None else a + b


class Scores(list[float]):
    """Rewards, one a trace: a plain list of floats that also says what the scorer had to cut.

    Attributes:
        truncated: for each trace, how many of its tokens did not fit and were left out (0: scored whole).
    """

    def __init__(self, values: list[float], truncated: list[int] | None = None) -> None:
        super().__init__(values)
        self.truncated = truncated if truncated is not None else [0] * len(values)


class Failure(Value):
    """Something that did not work, recorded where it happened.

    Attributes:
        index: the candidate it belongs to (0-based, in the order asked for).
        stage: what was being done.
        error: name of the exception class.
        message: what it said, without keys.
        model: the model that was asked, or None.
        status: HTTP status, or None.
        attempts: how often it was tried.

    Example:
        ```python
        from me2sdk import rerank

        failure = rerank("What is 2 + 2?", ["It is 4.", {"role": "assistant"}]).failures[0]
        print(failure.index, failure.stage, failure.error)  # 1 read InvalidTraceError
        ```
    """

    index: int
    stage: Literal["generate", "read", "score"]
    error: str
    message: str
    model: str | None = None
    status: int | None = None
    attempts: int = 1


class Candidate(Value):
    """One answer of several.

    Attributes:
        index: its place in the order asked for, from 0.
        trace: its reasoning, response and answer.
        score: the scorer's reward (higher is better), or None where it could not be scored.
        score_truncated: tokens of the trace that the scorer had to leave out.
        model: the model that wrote it, or None for outputs that were handed in.
        finish_reason: why the model stopped, as the provider says it.
        usage: tokens and cost of the call, or None where one call brought several candidates.
        refusal: the words with which the model refused to answer, or None where it did not. A refusal is not scored,
            has no answer, and stands behind every candidate that is none.

    Example:
        ```python
        from me2sdk import rerank

        candidate = rerank("What is 2 + 2?", ["2 + 2 = 5.", "The answer is 4."], scorer="shortest").best
        print(candidate.index, candidate.response)  # 0 2 + 2 = 5.
        ```
    """

    index: int
    trace: Trace
    score: float | None = None
    score_truncated: int = 0
    model: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    refusal: str | None = None

    @property
    def response(self) -> str:
        """The text to return to the user: the response, or the reasoning where there is no response."""
        return self.trace.response if self.trace.response is not None else self.trace.reasoning

    @property
    def answer(self) -> str | None:
        """The final answer that the trace states, or None; a refusal states none."""
        return None if self.refusal is not None else self.trace.answer


class RerankResult(Value):
    """Candidates in order, best first.

    Attributes:
        candidates: every candidate that could be read, best first. Unfinished ones stand behind finished
            ones, and refusals behind both.
        failures: every candidate or score that failed, with its error.
        select: how the best was chosen.
        scorer: name of the scorer.
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
    select: Select = "best"
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


class BestOfNResult(RerankResult):
    """What `best_of_n` returns: a `RerankResult` with what its candidates cost.

    Attributes:
        usage: calls, cached calls, tokens and cost in USD of all candidates, failed ones included.

    Example:
        ```python
        from me2sdk import best_of_n

        result = best_of_n("What is 2 + 2?", model=lambda messages, **params: "The answer is 4.", n=2)
        print(result.best.answer, result.usage.calls)  # 4 2
        ```
    """

    usage: Usage = Usage()


class Verification(Value):
    """Whether an answer equals a reference.

    Attributes:
        outcome: "right", "wrong", or "undecided" where it could not be judged.
        method: what decided: "math-verify", "text" (compared after normalisation), "model" (a model was asked),
            "length" (much longer than the reference, so no model was asked), or "none".
        answer: the answer that was compared, or None if the response states none.
        reference: the reference it was compared to.
        usage: what asking a model cost.

    Example:
        ```python
        from me2sdk import verify_answer

        verification = verify_answer("The answer is 4.", 4)
        print(bool(verification), verification.outcome, verification.answer)  # True right 4
        ```
    """

    outcome: Literal["right", "wrong", "undecided"]
    method: str
    answer: str | None
    reference: str
    usage: Usage = Usage()

    def __bool__(self) -> bool:
        """True only for "right"."""
        return self.outcome == "right"


class Vote(Value):
    """One judgement.

    Attributes:
        subject: the dimension judged, or "aggregate" for the judgement over all four.
        order: "ab" where a was shown as Trace 1, "ba" where b was.
        repeat: which of the repeats in this order, from 0.
        decision: "a", "b" or "tie" (not "1" or "2": the order is already taken out), or "failed".
        rationale: what the judge said for it, with Trace 1 and Trace 2 renamed to Trace A and Trace B.
        raw: what the judge said last, as it came but without its thinking.
        model: the model that judged, or None where no answer came.
        asked: how often it was asked: 1, more where its answer could not be read, 0 where it was not asked.
        error: why it failed, or None.
    """

    subject: Dimension | Literal["aggregate"]
    order: Literal["ab", "ba"]
    repeat: int
    decision: Literal["a", "b", "tie", "failed"]
    rationale: str = ""
    raw: str = ""
    model: str | None = None
    asked: int = 1
    error: str | None = None
