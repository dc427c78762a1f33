"""``POST /v1/chat/completions``: best-of-n over the upstream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, cast, get_args

from starlette.datastructures import Headers
from starlette.responses import Response

from me2sdk.adapters.openai_server.answers import EventStream, JsonResponse, event
from me2sdk.adapters.openai_server.bodies import PARAMETERS, ChatBody, parse
from me2sdk.adapters.openai_server.core import Core, ServedScorer
from me2sdk.adapters.openai_server.errors import ApiError
from me2sdk.adapters.openai_server.http import in_time
from me2sdk.adapters.openai_server.wire import Answer, chunks, completion
from me2sdk.errors import GenerationError, ScoringError
from me2sdk.llm import LLM
from me2sdk.sampling import sample
from me2sdk.schema import Message, Select

__all__ = ["chat"]

_FOR_SCORING = 0.1  # share of a request's time that is kept for what comes after the sampling, at most
_MOST_FOR_SCORING = 5.0  # so many seconds


@dataclass(frozen=True)
class _Plan:
    """A request, checked: what it says, else what its headers say, else what the operator says."""

    name: str
    llm: LLM
    messages: list[Message]
    n: int
    choices: int
    scorer: ServedScorer
    select: Select
    show_all: bool
    params: dict[str, Any]


async def chat(core: Core, headers: Headers, value: dict[str, Any], ends: float) -> Response:
    """Answer a request.

    Args:
        core: what requests share.
        headers: the request's headers.
        value: its body.
        ends: when its time is over, on the event loop's clock.

    Raises:
        ApiError: it cannot be answered.
    """
    body = parse(ChatBody, value)
    plan = _plan(core, headers, body)
    if not body.stream:
        return JsonResponse(completion(await _answer(core, plan, ends)))
    include_usage = body.stream_options is not None and body.stream_options.include_usage
    events = _events(core, plan, ends, include_usage)
    # What fails before the first comment is due still gets a status of its own.
    return EventStream(await anext(events), events)


async def _events(core: Core, plan: _Plan, ends: float, include_usage: bool) -> AsyncGenerator[bytes, None]:
    work = asyncio.create_task(in_time(ends, _answer(core, plan, ends)))
    try:
        while not (await asyncio.wait((work,), timeout=core.settings.keep_alive))[0]:
            yield b": sampling candidates\n\n"
        for chunk in chunks(work.result(), include_usage):
            yield event(chunk)
        yield b"data: [DONE]\n\n"
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def _answer(core: Core, plan: _Plan, ends: float) -> Answer:
    await core.ready()
    left = ends - asyncio.get_running_loop().time()
    deadline = left - min(_MOST_FOR_SCORING, _FOR_SCORING * left)
    params = {**plan.params, "deadline": deadline}
    try:
        result, generations = await sample(
            plan.llm, plan.messages, plan.n, plan.scorer, plan.select, 1, None, params
        )
    except (GenerationError, ScoringError) as error:
        if error.partial is not None:
            core.metrics.ranked(error.partial)
        raise
    finally:
        core.metrics.spent(plan.llm.usage)
    core.metrics.ranked(result)
    return Answer(plan.name, plan.n, plan.choices, plan.show_all, result, generations)


def _plan(core: Core, headers: Headers, body: ChatBody) -> _Plan:
    settings = core.settings
    extra = body.model_extra or {}
    if unknown := sorted(set(extra) - settings.allow_params):
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
        n, where = max(settings.n, choices), "n"
    if n > settings.max_n:
        raise ApiError(
            400, f"{where} is at most {settings.max_n}; it is {n}.", param=where, code="n_too_large"
        )
    if choices > n:
        raise ApiError(
            400, f"n is how many of the {n} candidates to return, so it cannot be {choices}.", param="n"
        )
    scorer = core.chosen(body.scorer, headers)
    given = body.model_dump(include=set(PARAMETERS), exclude_none=True)
    return _Plan(
        name=name,
        llm=llm,
        messages=body.messages,
        n=n,
        choices=choices,
        scorer=scorer,
        select=body.select or _select(headers) or settings.select,
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
