"""How the best is chosen: what a request says of it, and what the response tells."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers

from me2sdk.adapters.openai_server.bodies import ChatBody, ChoiceHeaders, RerankBody, parse
from me2sdk.adapters.openai_server.core import Core, ServedModel
from me2sdk.adapters.openai_server.errors import ApiError
from me2sdk.adapters.openai_server.settings import AnswerSettings
from me2sdk.errors import ConfigurationError
from me2sdk.llm import LLM
from me2sdk.sampling import SelectionConfig
from me2sdk.schema import RerankResult

__all__ = ["choice_headers", "selection", "settings"]


def settings(defaults: AnswerSettings, headers: Headers, body: ChatBody | RerankBody) -> dict[str, Any]:
    """How a request chooses: its fields win over its headers, and these over the configuration.

    Args:
        defaults: the configuration, as far as it concerns this request.
        headers: the request's headers.
        body: its body.

    Raises:
        ApiError: a header is wrong.
    """
    return _settings(defaults, parse(ChoiceHeaders, dict(headers)), body)


def _settings(defaults: AnswerSettings, told: ChoiceHeaders, body: ChatBody | RerankBody) -> dict[str, Any]:
    found = {}
    for name in ("select", "answer", "min_confidence"):
        said = (getattr(body, name), getattr(told, name), getattr(defaults, name))
        found[name] = next((value for value in said if value is not None), None)
    return found


def selection(core: Core, headers: Headers, body: ChatBody, *, n: int, model: ServedModel) -> SelectionConfig:
    """How a request samples and chooses.

    Args:
        core: what requests share.
        headers: the request's headers.
        body: its body.
        n: candidates to sample.
        model: the model that it asks.

    Raises:
        ApiError: a field or header is wrong.
    """
    told = parse(ChoiceHeaders, dict(headers))
    stop = told.stop_sampling if body.stop_sampling is None else body.stop_sampling
    found = {
        "n": n,
        "scorer": core.chosen(body.scorer, headers, model.scorer),
        **_settings(model.settings, told, body),
        "escalate": _stronger(core, body.escalate, model),
        "deadline": body.deadline,
    }
    try:
        return SelectionConfig(**found, stop=model.settings.stop if stop is None else stop)
    except ConfigurationError as error:
        if stop is not None:
            where = "x-me2-stop-sampling" if body.stop_sampling is None else "stop_sampling"
            raise ApiError(400, str(error), param=where, code="invalid_field") from None
    return SelectionConfig(**found)  # the configuration's stop does not fit what the request chooses by


def _stronger(core: Core, name: str | None, model: ServedModel) -> LLM | None:
    """A session of the stronger model; that of the configuration is not asked again where it is asked already."""
    if name is None:
        default = model.settings.escalate
        return None if default in (None, model.name) else core.model(default).llm
    if name not in core.models:
        raise ApiError(
            400, f"escalate is one of {', '.join(core.models)}.", param="escalate", code="unknown_model"
        )
    return core.model(name).llm


def choice_headers(result: RerankResult) -> dict[str, str]:
    """How sure a choice is, for clients that see headers before bodies."""
    sure = {} if result.confidence is None else {"x-me2-confidence": f"{result.confidence:.4f}"}
    return {**sure, "x-me2-abstained": str(result.abstained).lower(), "x-me2-chosen-by": result.chosen_by}
