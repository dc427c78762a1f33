"""``POST /v1/chat/completions``: best-of-n over the upstream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, cast, get_args

from starlette.datastructures import Headers
from starlette.responses import Response

from me2sdk.adapters.openai_server.bodies import PARAMETERS, ChatBody, parse
from me2sdk.adapters.openai_server.core import Core
from me2sdk.adapters.openai_server.errors import ApiError
from me2sdk.adapters.openai_server.http import in_time
from me2sdk.adapters.openai_server.responses import EventStream, JsonResponse, event
from me2sdk.adapters.openai_server.wire import ChatAnswer, chunks, completion
from me2sdk.errors import GenerationError, ScoringError
from me2sdk.llm import LLM
from me2sdk.sampling import SelectionConfig, sample
from me2sdk.schema import Message, Select

__all__ = ["chat"]

_SCORING_SHARE = 0.1  # of a request's time, for what follows the sampling
_MAX_SCORING_SECONDS = 5.0


@dataclass(frozen=True)
class _Plan:
    """A checked request. Its fields win over its headers, and these over the configuration."""

    name: str
    llm: LLM
    messages: list[Message]
    selection: SelectionConfig
    choices: int
    show_all: bool
    params: dict[str, Any]


async def chat(core: Core, headers: Headers, value: dict[str, Any], ends: float) -> Response:
    """Answer a request.

    Args:
        core: what requests share.
        headers: the request's headers.
        value: its body.
        ends: its deadline, on the event loop's clock.

    Raises:
        ApiError: it cannot be answered.
    """
    body = parse(ChatBody, value)
    plan = _plan(core, headers, body)
    if not body.stream:
        return JsonResponse(completion(await _answer(core, plan, ends)))
    include_usage = body.stream_options is not None and body.stream_options.include_usage
    events = _events(core, plan, ends, include_usage)
    # An error before the first comment is due still gets its own HTTP status.
    return EventStream(await anext(events), events)


async def _events(core: Core, plan: _Plan, ends: float, include_usage: bool) -> AsyncGenerator[bytes, None]:
    work = asyncio.create_task(in_time(ends, _answer(core, plan, ends)))
    try:
        while not (await asyncio.wait((work,), timeout=core.config.keep_alive))[0]:
            yield b": sampling candidates\n\n"
        for chunk in chunks(work.result(), include_usage):
            yield event(chunk)
        yield b"data: [DONE]\n\n"
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def _answer(core: Core, plan: _Plan, ends: float) -> ChatAnswer:
    await core.ready()
    left = ends - asyncio.get_running_loop().time()
    deadline = left - min(_MAX_SCORING_SECONDS, _SCORING_SHARE * left)
    params = {**plan.params, "deadline": deadline}
    try:
        result, generations = await sample(plan.llm, plan.messages, plan.selection, params)
    except (GenerationError, ScoringError) as error:
        if error.partial is not None:
            core.metrics.count_candidates(error.partial)
        raise
    finally:
        core.metrics.count_usage(plan.llm.usage)
    core.metrics.count_candidates(result)
    return ChatAnswer(plan.name, plan.selection.n, plan.choices, plan.show_all, result, generations)


def _plan(core: Core, headers: Headers, body: ChatBody) -> _Plan:
    config = core.config
    extra = body.model_extra or {}
    if unknown := sorted(set(extra) - config.allow_params):
        raise ApiError(
            400,
            f"This server does not take the parameter {unknown[0][:100]!r}. Leave it out, or ask its operator to "
            "allow it.",
            param=unknown[0][:100],
            code="unknown_parameter",
        )
    name, llm = core.model(body.model)
    n, where = _count(headers, body)
    choices = body.n or 1
    if n is None:
        n, where = max(config.n, choices), "n"
    if n > config.max_n:
        raise ApiError(400, f"{where} is at most {config.max_n}; it is {n}.", param=where, code="n_too_large")
    if choices > n:
        raise ApiError(
            400, f"n is how many of the {n} candidates to return, so it cannot be {choices}.", param="n"
        )
    selection = SelectionConfig(
        n=n,
        scorer=core.chosen(body.scorer, headers),
        select=body.select or _select(headers) or config.select,
    )
    given = body.model_dump(include=set(PARAMETERS), exclude_none=True)
    return _Plan(
        name=name,
        llm=llm,
        messages=body.messages,
        selection=selection,
        choices=choices,
        show_all=body.me2.candidates if body.me2 else headers.get("x-me2-candidates", "").lower() == "all",
        params={**given, **extra},
    )


def _count(headers: Headers, body: ChatBody) -> tuple[int | None, str]:
    """How many candidates the request asks for, and the field or header that says so."""
    header = headers.get("x-me2-n")
    if body.best_of is not None or header is None:
        return body.best_of, "best_of"
    if not (header.isascii() and header.isdigit() and 0 < len(header) < 10 and int(header) > 0):
        raise ApiError(400, "x-me2-n is a number of candidates, at least 1.", param="x-me2-n")
    return int(header), "x-me2-n"


def _select(headers: Headers) -> Select | None:
    header = headers.get("x-me2-select")
    if header is not None and header not in get_args(Select):
        raise ApiError(400, f"x-me2-select is one of {', '.join(get_args(Select))}.", param="x-me2-select")
    return cast("Select | None", header)
