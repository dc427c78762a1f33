"""Responses of providers and of model functions, in one form."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from me2sdk import traces
from me2sdk.llm.tokens import estimate_tokens
from me2sdk.schema import Certainty, Message, Usage

__all__ = ["Generation"]

_LOGPROBS = "logprobs"


class Generation(BaseModel):
    """One answer of a model.

    Attributes:
        index: which sample it is, from 0.
        message: the assistant message in OpenAI's form, with ``reasoning_content``, ``thinking_blocks``,
            ``tool_calls``, ``function_call`` and ``refusal`` where the provider sent them; `Trace.from_message`
            reads it.
        model: the model that wrote it.
        finish_reason: why it stopped ("stop", "length", ...), or None. Where LiteLLM calls an answer finished that
            its provider calls cut off or refused, it is the provider's own word ("abort", "error", "refusal").
        certainty: how sure the model was of it, or None where ``logprobs`` were not asked for or did not come. They
            are not kept themselves.
        usage: tokens and cost of this answer; None where one call brought several answers, since providers
            report their total alone (`LLM.usage` has it).
        cached: whether it came from the cache.
        seconds: time spent on the call, its retries and their pauses; 0 for a cached answer.
        raw: the ``litellm.ModelResponse`` with this choice alone, or what a model function returned in its place;
            None for texts, message dicts and cached answers. Dumps and comparisons leave it out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    index: int
    message: Message
    model: str
    finish_reason: str | None = None
    certainty: Certainty | None = None
    usage: Usage | None = None
    cached: bool = False
    seconds: float = Field(default=0.0, ge=0)
    raw: Any = Field(default=None, exclude=True, repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Generation):
            return NotImplemented
        return self.model_dump() == other.model_dump()


class Choice(NamedTuple):
    """One of the answers of a call."""

    message: Message
    finish_reason: str | None
    raw: Any
    logprobs: Any = None

    def measured(self) -> tuple[Message, Certainty | None]:
        """The message without log-probabilities, where a model function put them there, and what they say."""
        own = {name: value for name, value in self.message.items() if name != _LOGPROBS}
        given = self.message.get(_LOGPROBS) if self.logprobs is None else self.logprobs
        return own, Certainty.from_logprobs(given)


class Answer(NamedTuple):
    """All that one call returned."""

    choices: list[Choice]
    usage: Usage

    @property
    def estimated_tokens(self) -> int:
        """Tokens of the answers, estimated from their text."""
        messages = [{**choice.message, "role": None, _LOGPROBS: None} for choice in self.choices]
        return sum(estimate_tokens(list(message.values())) for message in messages)


def read_response(response: Any) -> Answer:
    """Read a ``litellm.ModelResponse`` or anything of the same shape, such as OpenAI's own objects."""
    choices = []
    for choice in response.choices or ():
        alone = len(response.choices) == 1 or not hasattr(response, "model_copy")
        raw = response if alone else response.model_copy(update={"choices": [choice]})
        message = _message(choice.message)
        logprobs = getattr(choice, _LOGPROBS, None)
        choices.append(Choice(message, _finish_reason(choice, message), raw, logprobs))
    return Answer(choices, _usage(response))


def stored_certainty(record: dict[str, Any]) -> Certainty | None:
    """The certainty of a cached answer, or None where it has none that can be read."""
    try:
        return Certainty.model_validate(record.get("certainty"))
    except ValidationError:
        return None


def _finish_reason(choice: Any, message: Message) -> str | None:
    """Why an answer ended. LiteLLM says "stop" for errors and unknown reasons, and keeps them in other fields."""
    reason = getattr(choice, "finish_reason", None)
    extra = getattr(choice, "provider_specific_fields", None) or {}
    if extra.get("error") or getattr(choice, "error", None):
        return "error"
    reported = (
        extra.get("native_finish_reason"),
        getattr(choice, "native_finish_reason", None),
        (message.get("provider_specific_fields") or {}).get("stop_reason"),
    )
    for native in reported:
        refused = traces.refusal_of({}, native) is not None
        if refused or (traces.is_cut_off(native) and not traces.is_cut_off(reason)):
            return str(native)
    return reason if isinstance(reason, str) else None


def _message(message: Any) -> Message:
    fields = (
        message
        if isinstance(message, dict)
        else message.model_dump(mode="json", exclude_none=True, warnings=False)
    )
    fields = {name: clean_json(value) for name, value in fields.items() if value is not None}
    extra = fields.pop("provider_specific_fields", None)
    if isinstance(extra, dict):
        # LiteLLM keeps a second copy here of what it moved, "reasoning" for one.
        extra = {k: v for k, v in extra.items() if v is not None and v not in fields.values()}
        if "refusal" in extra:  # some versions of LiteLLM put it here
            fields["refusal"] = extra.pop("refusal")
    return {
        "role": "assistant",
        "content": None,
        **fields,
        **({"provider_specific_fields": extra} if extra else {}),
    }


def _usage(response: Any) -> Usage:
    reported = getattr(response, "usage", None)
    prompt = getattr(reported, "prompt_tokens", None)
    completion = getattr(reported, "completion_tokens", None)
    if not prompt and not completion:
        prompt = completion = None  # LiteLLM writes zeros where the provider said nothing
    cost = (getattr(response, "_hidden_params", None) or {}).get("response_cost")
    if not isinstance(cost, (int, float)) or not math.isfinite(cost) or not cost:
        cost = None  # LiteLLM says 0 for many models whose price it does not know
    return Usage(calls=1, prompt_tokens=prompt, completion_tokens=completion, cost=cost)


def clean_json(value: Any) -> Any:
    """A copy of a JSON value with U+FFFD in place of lone surrogates, which cannot be sent or stored."""
    if isinstance(value, str):
        return traces.clean(value)
    if isinstance(value, dict):
        return {clean_json(name): clean_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean_json(item) for item in value]
    return value
