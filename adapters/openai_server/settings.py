"""How answers are sampled and chosen: the settings that a server has, and each of its models may have of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from me2sdk.errors import ConfigurationError
from me2sdk.llm import Budget
from me2sdk.sampling import SelectionConfig
from me2sdk.schema import Select

__all__ = ["AnswerSettings", "ModelConfig", "Settings"]

# A client that could set one of these would send the server's calls, and its keys, elsewhere.
_NEVER = re.compile(
    r"api_|_key$|_base$|url|header|callback|provider|mock|litellm|extra_|metadata|retries|timeout|fallback|cost"
    r"|secret|credential|password|token_provider|organization|^aws_|^vertex_|^azure_|^(messages|model|n|stream)$"
)
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _budget(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if unknown := sorted(set(value) - {"usd", "tokens"}):
        raise ConfigurationError(f"a budget has usd and tokens, not {unknown[0]}")
    return Budget(**value)


class Settings(BaseModel):
    """Settings that cannot be changed and show no values in errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True
    )


class AnswerSettings(Settings):
    """How answers are sampled and chosen, where a request does not say.

    Attributes:
        n: candidates per request, if it does not say.
        max_n: most candidates that a request may ask for.
        select: how the best is chosen, if a request does not say; see `best_of_n`, also for the next three.
        answer: what is compared, if a request does not say.
        stop: when to stop before all are sampled, if a request does not say and its answers can be counted.
        min_confidence: below this a response says that it abstains, if the request does not say.
        escalate: name of the served model to ask where the choice is not sure, if a request does not say.
        params: parameters of every upstream call, as LiteLLM takes them: ``api_base``, ``api_key``, ``temperature``, …
            Parameters of OpenAI's chat API in a request override them.
        allow_params: names of further parameters that requests may set, such as ``top_k``. Names that would redirect
            calls or set keys are refused.
        budget: a `Budget` for all requests together.
        max_concurrency: most upstream calls in flight, over all requests.
        upstream_timeout: seconds per try of an upstream call.
        max_retries: tries of an upstream call after the first one.
    """

    n: Count = 8
    max_n: Count = 64
    select: Select = "auto"
    answer: Any = "auto"
    stop: Any = None
    min_confidence: float | None = None
    escalate: str | None = None
    params: dict[str, Any] = Field(default={}, repr=False)
    allow_params: frozenset[str] = frozenset()
    budget: Annotated[Budget | None, BeforeValidator(_budget)] = None
    max_concurrency: Count = 64
    upstream_timeout: Seconds = 120.0
    max_retries: int = Field(default=4, ge=0)

    @field_validator("allow_params")
    @classmethod
    def _check_params(cls, names: frozenset[str]) -> frozenset[str]:
        if refused := sorted(name for name in names if _NEVER.search(name)):
            raise ValueError(f"{', '.join(refused)} may not come from clients; set them in params")
        return names

    @model_validator(mode="after")
    def _check_choice(self) -> AnswerSettings:
        self.check()
        return self

    def check(self) -> None:
        """Make sure that the settings go together.

        Raises:
            ConfigurationError: they do not.
        """
        if self.n > self.max_n:
            raise ConfigurationError(f"n is {self.n}, more than max_n, which is {self.max_n}")
        SelectionConfig(
            n=self.n,
            select=self.select,
            answer=self.answer,
            stop=self.stop,
            min_confidence=self.min_confidence,
            escalate=self.escalate,
        )


class ModelConfig(AnswerSettings):
    """A served model with settings of its own. What is not set here is as the server's settings say.

    Its ``params`` are added to the server's. ``budget``, ``max_concurrency``, ``upstream_timeout`` and ``max_retries``
    hold for this model alone, in place of the server's.

    Attributes:
        model: what is asked: anything that `LLM` takes.
        scorer: name of the scorer of its candidates, if a request does not say; the server's first by default.

    Example:
        ```python
        from me2sdk.adapters.openai_server import ModelConfig, ServerConfig

        models = {"fast": "openai/gpt-4o-mini", "sure": ModelConfig(model="openai/gpt-4o", n=16, stop=0.95)}
        config = ServerConfig(models=models, n=4)
        print(config.of_model("fast").n, config.of_model("sure").n)  # 4 16
        ```
    """

    model: Any
    scorer: str | None = None

    @property
    def own(self) -> dict[str, Any]:
        """Those of the shared settings that are set here."""
        shared = AnswerSettings.model_fields.keys() & self.model_fields_set
        return {name: getattr(self, name) for name in shared}

    def check(self) -> None:
        """Only together with the server's settings can it be told whether they go together."""
