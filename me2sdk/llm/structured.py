"""Asking in the form of a JSON schema where a model takes one, and in words where it does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, Protocol, TypeVar

from me2sdk.errors import BudgetExceeded, ConfigurationError, GenerationError
from me2sdk.llm.client import LLM
from me2sdk.llm.request import may_be_parameter

__all__ = ["Structured", "ask_structured", "check_structured", "schema_params"]

Structured = bool | Literal["auto"]
"""Whether a model is held to a JSON schema: "auto" where it is known to take one, and until it refuses."""


class Ended(Protocol):
    """How asking ended, as `me2sdk.prompts.ask_until` says it."""

    @property
    def error(self) -> GenerationError | BudgetExceeded | None:
        """The error that ended it, or None."""


Outcome = TypeVar("Outcome", bound=Ended)
_FORMAT = "response_format"


def check_structured(structured: object) -> None:
    """Refuse what is no `Structured`.

    Raises:
        ConfigurationError: it is something else.
    """
    if not isinstance(structured, bool) and structured != "auto":
        raise ConfigurationError(f'structured is "auto", True or False, not {structured!r:.80}.')


def schema_params(name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The parameter of a call that holds a model to a JSON object.

    Args:
        name: what the provider calls the schema.
        properties: the schema of each field, in the order in which they are written. All of them are required, as
            providers with a strict mode want it.
    """
    return {_FORMAT: {"type": "json_schema", "json_schema": _named(name, _object(properties))}}


def _named(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "strict": True, "schema": schema}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


async def ask_structured(
    llm: LLM,
    structured: Structured,
    samples: Iterable[int],
    params: Mapping[str, Any],
    ask: Callable[[bool], Awaitable[Outcome]],
) -> Outcome:
    """Ask with a schema, or in words where the model takes none.

    A model that refuses a schema and then answers in words is remembered by ``llm`` and all its sessions.

    Args:
        llm: the model.
        structured: whether to send a schema.
        samples: which samples are asked for: of a mixed pool they say which models.
        params: parameters of the calls. A form of the caller's own is left alone.
        ask: asks, and asks again while answers cannot be read; with a schema if its argument is True.
    """
    models = {llm._target(sample) for sample in samples}
    merged = {**llm._params, **params}
    if _FORMAT in merged or structured is False:
        return await ask(False)
    if structured == "auto":
        await llm.aload()
        keys = {(model.name, str(merged.get("api_base") or merged.get("base_url"))) for model in models}
        if keys & llm._without_schema or not all(model.supports_schema(merged) for model in models):
            return await ask(False)
    outcome = await ask(True)
    if structured is True or not _refused(outcome.error):
        return outcome
    in_words = await ask(False)
    if in_words.error is None:  # only now is it known that the schema was the reason
        llm._without_schema |= keys
    return in_words


def _refused(error: GenerationError | BudgetExceeded | None) -> bool:
    return isinstance(error, GenerationError) and may_be_parameter(error)
