"""What responses hold, as the OpenAPI document describes it. Nothing is built from these; tests compare the two."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from me2sdk.schema import Select

__all__ = [
    "ChatCompletion",
    "EmbeddingList",
    "Error",
    "Me2",
    "ModelList",
    "RerankResponse",
    "ResponseObject",
    "ScoreResponse",
    "ServedModelObject",
]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Spent(_Closed):
    """What was used. What a provider did not report is null."""

    calls: int
    cached_calls: int = Field(description="Answers that came from the cache.")
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cost: float | None = Field(description="US dollars, or null where a price is not known.")


class GroupedAnswer(_Closed):
    """One of the answers that candidates give."""

    text: str = Field(description="The answer, as its best candidate writes it.")
    votes: int = Field(description="How many finished candidates give it.")
    confidence: float | None = Field(
        description="The chance that it is the right one, or null where nothing can say."
    )


class Choice(_Closed):
    """How sure a choice is, and what it rests on."""

    confidence: float | None = Field(
        description="The chance that the chosen answer is right, from 0 to 1; null where nothing can say."
    )
    chosen_by: str = Field(description='What the choice rests on, such as "agreement and reward".')
    abstained: bool = Field(description="Whether the confidence is below min_confidence.")
    answers: list[GroupedAnswer] = Field(
        description="The answers that candidates give, the chosen one first."
    )
    asked: int | None = Field(description="Candidates that were asked for.")
    stopped_early: bool | None = Field(description="Whether sampling ended before all were asked for.")
    escalated: bool | None = Field(description="Whether the stronger model was asked.")


class CandidateObject(_Closed):
    """One candidate."""

    index: int
    reward: float | None
    answer: str | None = Field(description="What was compared with the other candidates.")
    confidence: float | None
    message: dict[str, Any] = Field(description="The message as the upstream sent it.")
    finish_reason: str | None
    truncated: bool = Field(description="Whether it was cut off.")
    refusal: str | None
    score_truncated: int = Field(description="Tokens that the scorer had to leave out.")
    usage: Spent | None


class FailureObject(_Closed):
    """Something that did not work. The index is null where it concerns all candidates."""

    index: int | None
    stage: Literal["generate", "read", "score", "select"]
    error: str
    status: int | None
    attempts: int


class Me2(Choice):
    """How an answer was chosen among the candidates, best first where there are several."""

    n: int = Field(description="Candidates to ask for at most.")
    answered: int = Field(description="Candidates that came back.")
    refused: int = Field(description="Candidates in which the model refused to answer.")
    reward: float | None = Field(description="The scorer's reward of the chosen one; higher is better.")
    scorer: str
    select: Select
    seconds: float
    usage: Spent = Field(description="What all candidates took.")
    candidates: list[CandidateObject] | None = Field(
        default=None, description='All of them, where the request says "me2": {"candidates": true}.'
    )
    failures: list[FailureObject] | None = Field(default=None, description="What failed, in the same case.")


class ChatChoice(_Open):
    """One of the choices, best first."""

    index: int
    message: dict[str, Any]
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
    native_finish_reason: str | None = Field(default=None, description="The upstream's own word for it.")


class ChatCompletion(_Closed):
    """A chat completion in OpenAI's form."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: dict[str, Any] | None = Field(description="Tokens of all candidates.")
    me2: Me2


class ResponseObject(_Open):
    """A response in the form of OpenAI's Responses API."""

    id: str
    object: Literal["response"]
    created_at: int
    model: str
    status: Literal["completed", "incomplete"]
    output: list[dict[str, Any]] = Field(description="Reasoning, a message, calls of functions.")
    usage: dict[str, Any] | None = Field(
        description="Tokens of all candidates. Their details are not summed and stand at 0."
    )
    me2: Me2


class ScoreResponse(_Closed):
    """Rewards, one per trace; higher is better, and only differences mean something."""

    scorer: str
    rewards: list[float]
    truncated: list[int] = Field(description="For each trace, tokens that the scorer had to leave out.")


class RankedDocument(_Closed):
    """One document."""

    index: int
    relevance_score: float | None = Field(description="The raw reward, not a probability.")
    answer: str | None
    confidence: float | None
    truncated: bool
    document: dict[str, Any] | None = None


class RerankResponse(Choice):
    """Documents or candidates, best first."""

    id: str
    model: str
    select: Select
    results: list[RankedDocument]
    failures: list[FailureObject]


class EmbeddingObject(_Closed):
    """The raw reward of an input."""

    object: Literal["embedding"]
    index: int
    embedding: list[float]


class EmbeddingList(_Closed):
    """Raw rewards in the form in which SGLang serves them."""

    object: Literal["list"]
    data: list[EmbeddingObject]
    model: str
    usage: dict[str, int]


class ServedModelObject(_Closed):
    """A served model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(_Closed):
    """The served models."""

    object: Literal["list"]
    data: list[ServedModelObject]


class ErrorObject(_Closed):
    """What went wrong, and what to do."""

    message: str
    type: str
    param: str | None = Field(description="The field or header that is wrong.")
    code: str | None


class Error(_Closed):
    """An error in OpenAI's form."""

    error: ErrorObject
