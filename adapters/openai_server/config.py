"""The configuration of a server."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from me2sdk.llm import Budget
from me2sdk.sampling import SelectionConfig
from me2sdk.schema import Select

__all__ = ["ServerConfig", "own_name"]

# A client that could set one of these would send the server's calls, and its keys, elsewhere.
_NEVER = re.compile(
    r"api_|_key$|_base$|url|header|callback|provider|mock|litellm|extra_|metadata|retries|timeout|fallback|cost"
    r"|secret|credential|password|token_provider|organization|^aws_|^vertex_|^azure_|^(messages|model|n|stream)$"
)
_Count = Annotated[int, Field(ge=1)]
_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _by_name(value: Any) -> Any:
    """A mapping as it is; items of another form under their own names."""
    if isinstance(value, Mapping):
        return value
    many = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return {own_name(item): item for item in many}


def own_name(item: Any) -> str:
    """The name by which clients know a model or scorer without a given name. It shows no addresses or folders."""
    if not isinstance(item, str):
        return str(getattr(item, "name", None) or getattr(item, "__name__", None) or type(item).__name__)
    if item.startswith(("http://", "https://")):
        return "remote"
    folder = Path(item.removeprefix("prm:"))
    return folder.name if folder.is_dir() else item


class ServerConfig(BaseModel):
    """The configuration of a server. Frozen; limits are checked when it is made.

    Attributes:
        models: the served models: a LiteLLM name, a list of names, or a mapping of the names that clients use to what
            `LLM` takes as a model. The first is the default. Without any, the server only scores.
        scorers: the scorers that requests may choose among, in the same forms: names as `open_scorer` takes them
            ("mini", the hub name or folder of a reward model, the URL of a server that speaks SGLang's protocol, …) or
            objects with ``score``. The first is the default. All of them are loaded at the start.
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
        cache: as in `LLM`.
        max_concurrency: most upstream calls in flight, over all requests.
        upstream_timeout: seconds per try of an upstream call.
        max_retries: tries of an upstream call after the first one.
        timeout: seconds per request. The answers by then are ranked; 504 if there are none.
        max_requests: requests that run at a time.
        max_waiting: requests that may wait; more are refused with 429.
        max_body: most bytes of a request's body. Bodies take at most ``(max_requests + max_waiting) * max_body`` bytes
            of memory.
        max_traces: most traces, documents or inputs per request.
        max_trace_characters: most characters per trace.
        keep_alive: seconds between the comments that a stream sends while candidates are sampled.
        api_key: the bearer token that ``/v1`` requires, or None for an open server.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        grace: seconds in which running requests may finish after a signal to stop.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    models: Annotated[dict[str, Any], BeforeValidator(_by_name)] = {}
    scorers: Annotated[dict[str, Any], BeforeValidator(_by_name), Field(min_length=1)] = {"mini": "mini"}
    n: _Count = 8
    max_n: _Count = 64
    select: Select = "auto"
    answer: Any = "auto"
    stop: Any = None
    min_confidence: float | None = None
    escalate: str | None = None
    params: dict[str, Any] = Field(default={}, repr=False)
    allow_params: frozenset[str] = frozenset()
    budget: Budget | None = None
    cache: bool | str | Path | None = None
    max_concurrency: _Count = 64
    upstream_timeout: _Seconds = 120.0
    max_retries: int = Field(default=4, ge=0)
    timeout: _Seconds = 300.0
    max_requests: _Count = 64
    max_waiting: int = Field(default=256, ge=0)
    max_body: _Count = 4 * 2**20
    max_traces: _Count = 128
    max_trace_characters: _Count = 1_000_000
    keep_alive: _Seconds = 5.0
    api_key: SecretStr | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    grace: _Seconds = 30.0

    @field_validator("allow_params")
    @classmethod
    def _check_params(cls, names: frozenset[str]) -> frozenset[str]:
        if refused := sorted(name for name in names if _NEVER.search(name)):
            raise ValueError(f"{', '.join(refused)} may not come from clients; set them in params")
        return names

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None) -> SecretStr | None:
        text = key.get_secret_value() if key is not None else "-"
        if not text.strip() or not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("the key is empty or holds characters that a header cannot carry")
        return key

    @model_validator(mode="after")
    def _check_n(self) -> ServerConfig:
        if self.n > self.max_n:
            raise ValueError(f"n is {self.n}, more than max_n, which is {self.max_n}")
        return self

    @model_validator(mode="after")
    def _check_choice(self) -> ServerConfig:
        if self.escalate is not None and self.escalate not in self.models:
            raise ValueError(
                f"escalate is {self.escalate!r}, and the models are {', '.join(self.models) or 'none'}"
            )
        SelectionConfig(
            n=self.n,
            select=self.select,
            answer=self.answer,
            stop=self.stop,
            min_confidence=self.min_confidence,
            escalate=self.escalate,
        )
        return self
