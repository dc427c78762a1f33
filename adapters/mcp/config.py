"""The configuration of a server for agents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from me2sdk.adapters._shared import by_name
from me2sdk.errors import ConfigurationError
from me2sdk.llm import Budget
from me2sdk.sampling import SelectionConfig
from me2sdk.schema import Select

__all__ = ["MCPConfig"]

_Count = Annotated[int, Field(ge=1)]


class MCPConfig(BaseModel):
    """The configuration of a server for agents. Frozen; limits are checked when it is made.

    Attributes:
        models: the models that tools may ask: a LiteLLM name, a list of names, or a mapping of the names that agents
            use to what `LLM` takes as a model. The first is the default. Without any, only tools that need no model
            are offered.
        judge: name of the model that judges pairs, if a call does not say; the first by default.
        scorers: the scorers that calls may choose among, in the same forms: names as `open_scorer` takes them, or
            objects with ``score``. The first is the default.
        n: candidates to sample, if a call does not say.
        max_n: most candidates that a call may ask for.
        select: how the best is chosen, if a call does not say; see `best_of_n`, also for the next three.
        answer: what is compared, if a call does not say.
        stop: when to stop before all are sampled, if a call does not say.
        min_confidence: below this a result says that it abstains, if a call does not say.
        repeats: judgements of a pair in each of the two orders, if a call does not say; most that it may ask for.
        params: parameters of every call of a model, as LiteLLM takes them: ``api_base``, ``temperature``, ….
        budget: a `Budget` for all calls together. No call of a tool can raise it.
        cache: as in `LLM`.
        max_concurrency: most calls of models in flight.
        timeout: seconds in which the candidates of a call have to come; those that are late count as failures.
        max_items: most traces or candidates per call.
        max_characters: most characters of a trace.

    Example:
        ```python
        from me2sdk import Budget
        from me2sdk.adapters.mcp import MCPConfig

        config = MCPConfig(models={"fast": "openai/gpt-4o-mini"}, n=4, budget=Budget(usd=1))
        print(config.n, list(config.models))  # 4 ['fast']
        ```
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    models: Annotated[dict[str, Any], BeforeValidator(by_name)] = Field(default={})
    judge: str | None = None
    scorers: Annotated[dict[str, Any], BeforeValidator(by_name)] = Field(
        default={"mini": "mini"}, min_length=1
    )
    n: _Count = 8
    max_n: _Count = 32
    select: Select = "auto"
    answer: Any = "auto"
    stop: Any = None
    min_confidence: float | None = None
    repeats: _Count = 3
    params: dict[str, Any] = Field(default={}, repr=False)
    budget: Budget | None = None
    cache: bool | str | Path | None = None
    max_concurrency: _Count = 16
    timeout: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    max_items: _Count = 128
    max_characters: _Count = 1_000_000

    @model_validator(mode="after")
    def _check(self) -> MCPConfig:
        if self.n > self.max_n:
            raise ConfigurationError(f"n is {self.n}, more than max_n, which is {self.max_n}")
        if self.judge not in (None, *self.models):
            raise ConfigurationError(
                f"judge is {self.judge!r}, and the models are {', '.join(self.models) or 'none'}"
            )
        SelectionConfig(
            n=self.n,
            select=self.select,
            answer=self.answer,
            stop=self.stop,
            min_confidence=self.min_confidence,
        )
        return self
