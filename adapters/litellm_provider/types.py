"""What a call to a local model sets, what it returns, and how it can fail."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from me2sdk.errors import ConfigurationError

__all__ = ["CompletionOutput", "GenerationStopped", "PromptTooLong", "RequestOutput", "SamplingParams"]

_DEFAULT_MAX_TOKENS = 1024
_MOST_ALTERNATIVES = 20  # as in OpenAI's API


class GenerationStopped(Exception):
    """The caller stopped the generation."""


class PromptTooLong(ConfigurationError):
    """The prompt fills the model's context."""


class SamplingParams(BaseModel):
    """What a call may set. The model's own generation config decides the rest.

    Attributes:
        n: answers, generated side by side.
        max_tokens: most tokens of an answer; 1,024 by default.
        temperature: 0 decodes greedily. 1 by default, if the model itself names none.
        top_p: nucleus sampling.
        top_k: samples from the k most likely tokens; 0 from all.
        stop: texts that end an answer and are left out of it.
        seed: gives the same answers again; random by default.
        logprobs: whether the log-probability of each token comes back, as the model gives it before temperature and
            filters.
        top_logprobs: with it, how many of the likeliest tokens in each place come back, too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(default=1, ge=1)
    max_tokens: int = Field(default=_DEFAULT_MAX_TOKENS, ge=1)
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0, le=_MOST_ALTERNATIVES)

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else tuple(filter(None, value or ()))


class CompletionOutput(NamedTuple):
    """One answer.

    Attributes:
        text: the text, without the stop text that ended it.
        finish_reason: "stop" or "length".
        tokens: how many tokens were generated.
        logprobs: their log-probabilities in the form of OpenAI's ``logprobs.content``, or None where not asked for.
    """

    text: str
    finish_reason: str
    tokens: int
    logprobs: list[dict[str, Any]] | None = None


class RequestOutput(NamedTuple):
    """All answers of a call.

    Attributes:
        prompt_tokens: tokens of the prompt.
        outputs: the answers.
    """

    prompt_tokens: int
    outputs: list[CompletionOutput]
