"""The request bodies, and how they are checked."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from me2sdk.adapters._shared import check_answer
from me2sdk.adapters.openai_server.errors import ApiError
from me2sdk.schema import Message, Select

__all__ = [
    "PARAMETERS",
    "ChatBody",
    "ChoiceHeaders",
    "EmbeddingBody",
    "RerankBody",
    "ResponsesBody",
    "ScoreBody",
    "parse",
]

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_Body = TypeVar("_Body", bound=BaseModel)


def _check_messages(messages: list[Message]) -> list[Message]:
    for index, message in enumerate(messages):
        if message.get("role") not in _ROLES:
            raise ValueError(f"message {index} needs a role, one of {', '.join(_ROLES)}")
        content = message.get("content")
        parts = isinstance(content, list) and all(isinstance(part, dict) for part in content)
        if not (content is None or isinstance(content, str) or parts):
            raise ValueError(f"the content of message {index} is a string or a list of parts")
    return messages


def _check_tools(tools: list[Message]) -> list[Message]:
    for index, tool in enumerate(tools):
        # LiteLLM would itself call out to a server that such a tool names.
        if tool.get("type") == "mcp":
            raise ValueError(f"tool {index} is of type mcp, which this server does not run")
    return tools


_Answer = Annotated[str, AfterValidator(check_answer)]


def _check_input(given: str | list[Message]) -> str | list[Message]:
    if not given:
        raise ValueError("there is nothing to answer")
    for index, item in enumerate(given if isinstance(given, list) else ()):
        kind = item.get("type", "message")
        if kind not in ("message", "reasoning", "function_call", "function_call_output"):
            # Among them references to what OpenAI has stored, and calls of tools that run there.
            raise ValueError(
                f"item {index} is of type {str(kind)[:50]}, which cannot be sent to the upstream"
            )
        if kind == "message" and item.get("role") not in _ROLES:
            raise ValueError(f"item {index} needs a role, one of {', '.join(_ROLES)}")
    return given


def _check_function_tools(tools: list[Message]) -> list[Message]:
    for index, tool in enumerate(tools):
        if tool.get("type") != "function":
            raise ValueError(
                f"tool {index} is of type {str(tool.get('type'))[:50]}; this server only passes on functions"
            )
    return tools


def _refuse_stored(given: Any) -> None:
    if given is not None:
        raise ValueError("nothing is stored here. Send the whole conversation as input")


_NotStored = Annotated[Any, AfterValidator(_refuse_stored)]
_Confidence = Annotated[float, Field(gt=0, le=1)]
_Stop = Literal["sure"] | Annotated[float, Field(ge=0.5, lt=1)]
_Messages = Annotated[list[Message], Field(min_length=1), AfterValidator(_check_messages)]
_Question = str | _Messages
_Tools = Annotated[list[Message], AfterValidator(_check_tools)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Parameters(_Strict):
    """The parameters of OpenAI's chat API, which go to the upstream."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: _Tools | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Message] | None = None
    function_call: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    prediction: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    user: str | None = None


PARAMETERS = frozenset(Parameters.model_fields)


class StreamOptions(BaseModel):
    """What a stream holds."""

    model_config = ConfigDict(strict=True, extra="ignore")

    include_usage: bool = False


class Me2Options(_Strict):
    """What the field ``me2`` of a response holds."""

    candidates: bool = Field(default=False, description="All candidates, and what failed.")


def _field(description: str) -> Any:
    return Field(default=None, description=description)


class _Choosing(_Strict):
    """How to sample and choose."""

    best_of: Annotated[int, Field(ge=1)] | None = _field("Candidates to sample at most.")
    scorer: str | None = _field("One of the scorers that the operator named.")
    select: Select | None = _field("How the best candidate is chosen.")
    answer: _Answer | None = _field(
        "What is compared: auto, text, similar, json, json:field.path, tool_calls or tool_calls:name."
    )
    stop_sampling: _Stop | None = _field(
        "When to stop before all are sampled: at this chance that the leading answer stays the leading one, or sure."
    )
    min_confidence: _Confidence | None = _field("Below this chance of being right the response abstains.")
    escalate: str | None = _field("Name of the served model to ask where the choice is not sure.")
    deadline: Annotated[float, Field(gt=0)] | None = _field(
        "Seconds after which what has come is decided on."
    )
    me2: Me2Options | None = _field("What the field me2 of the response holds.")


class ChatBody(Parameters, _Choosing):
    """``POST /v1/chat/completions``. Other fields are checked against those that the operator allows."""

    model_config = ConfigDict(extra="allow")

    messages: _Messages
    model: str | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    # OpenAI keeps these with stored completions. Nothing is stored here, so they are ignored.
    metadata: dict[str, Any] | None = None
    store: bool | None = None


class TextOptions(_Strict):
    """The form of the text."""

    model_config = ConfigDict(extra="ignore")

    format: dict[str, Any] | None = None
    verbosity: str | None = None


class ReasoningOptions(_Strict):
    """How hard the model is to think."""

    model_config = ConfigDict(extra="ignore")

    effort: str | None = None


class ResponsesBody(_Choosing):
    """``POST /v1/responses``. Other fields are checked against those that the operator allows."""

    model_config = ConfigDict(extra="allow")

    input: Annotated[str | list[Message], AfterValidator(_check_input)]
    model: str | None = None
    instructions: str | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    tools: Annotated[list[Message], AfterValidator(_check_function_tools)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    include: list[str] | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    user: str | None = None
    previous_response_id: _NotStored = None
    conversation: _NotStored = None
    prompt: _NotStored = None
    background: Literal[False] | None = None
    truncation: Literal["disabled"] | None = None
    # Nothing is stored here, so these are ignored.
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    stream_options: dict[str, Any] | None = None


class ScoreBody(_Strict):
    """``POST /v1/score``."""

    question: _Question | None = None
    traces: Annotated[list[str | Message], Field(min_length=1)]
    scorer: str | None = None


class RerankBody(_Strict):
    """``POST /v1/rerank``: the form of Cohere and Jina, or ours."""

    question: _Question | None = None
    query: str | None = None
    candidates: Annotated[list[str | Message], Field(min_length=1)] | None = None
    documents: Annotated[list[str | Message], Field(min_length=1)] | None = None
    model: str | None = None
    scorer: str | None = None
    select: Select | None = None
    answer: _Answer | None = None
    min_confidence: _Confidence | None = None
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool = False


class ChoiceHeaders(BaseModel):
    """Headers that say how to choose."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    select: Select | None = Field(default=None, alias="x-me2-select")
    answer: _Answer | None = Field(default=None, alias="x-me2-answer")
    stop_sampling: _Stop | None = Field(default=None, alias="x-me2-stop-sampling")
    min_confidence: _Confidence | None = Field(default=None, alias="x-me2-min-confidence")


class EmbeddingBody(BaseModel):
    """``POST /v1/embeddings``, as clients of SGLang's reward models send it."""

    model_config = ConfigDict(extra="ignore", strict=True)

    model: str | None = None
    input: str | Annotated[list[str], Field(min_length=1)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: None = None


def parse(kind: type[_Body], value: dict[str, Any]) -> _Body:
    """Read a body, or headers.

    Raises:
        ApiError: a field is missing, wrong or unknown; the message names it.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        # The location also names members of a union; the client only knows the field.
        place = ".".join(str(part) for part in first["loc"][:1]) or "body"
        detail = ".".join(
            str(part) for part in first["loc"] if isinstance(part, int) or part in kind.model_fields
        )
        message = first["msg"].removeprefix("Value error, ")
        hint = " Leave it out." if first["type"] == "extra_forbidden" else ""
        raise ApiError(
            400, f"{(detail or place)[:100]}: {message}.{hint}", param=place[:100], code="invalid_field"
        ) from None
