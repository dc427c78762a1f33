"""What chat completions and responses share: a checked request, and the candidates that are sampled for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from starlette.datastructures import Headers

from me2sdk.adapters.openai_server.bodies import PARAMETERS, ChatBody
from me2sdk.adapters.openai_server.choices import selection
from me2sdk.adapters.openai_server.core import Core
from me2sdk.adapters.openai_server.errors import ApiError
from me2sdk.adapters.openai_server.http import in_time
from me2sdk.adapters.openai_server.wire import ChatAnswer
from me2sdk.errors import GenerationError, ScoringError
from me2sdk.llm import LLM
from me2sdk.sampling import SelectionConfig, sample
from me2sdk.schema import Message, Usage

__all__ = ["Plan", "answer", "answer_events", "make_plan"]

_SCORING_SHARE = 0.1  # of a request's time, for what follows the sampling
_MAX_SCORING_SECONDS = 5.0
_SOON = 1e-3


@dataclass(frozen=True)
class Plan:
    """A checked request. Its fields win over its headers, and these over the configuration."""

    name: str
    llm: LLM
    messages: list[Message]
    selection: SelectionConfig
    choices: int
    show_all: bool
    params: dict[str, Any]

    @property
    def usage(self) -> Usage:
        """What the request has used so far."""
        stronger = self.selection.escalate
        return self.llm.usage + (stronger.usage if isinstance(stronger, LLM) else Usage())


async def answer_events(
    core: Core,
    plan: Plan,
    ends: float,
    waiting: Callable[[], bytes],
    written: Callable[[ChatAnswer], Iterable[bytes]],
) -> AsyncGenerator[bytes, None]:
    """Sample, and give what is sent meanwhile and afterwards.

    Args:
        core: what requests share.
        plan: the request.
        ends: its deadline, on the event loop's clock.
        waiting: gives what is sent each time that ``keep_alive`` seconds have passed.
        written: gives the events of the answer.

    Raises:
        ApiError: it cannot be answered.
    """
    work = asyncio.create_task(in_time(ends, answer(core, plan, ends)))
    try:
        while not (await asyncio.wait((work,), timeout=core.config.keep_alive))[0]:
            yield waiting()
        for data in written(work.result()):
            yield data
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def answer(core: Core, plan: Plan, ends: float) -> ChatAnswer:
    """Sample candidates and choose.

    Args:
        core: what requests share.
        plan: the request.
        ends: its deadline, on the event loop's clock.

    Raises:
        ME2Error: no candidate came back, or the choice needs rewards and there are none.
    """
    await core.ready()
    left = ends - asyncio.get_running_loop().time()
    left = max(_SOON, left - min(_MAX_SCORING_SECONDS, _SCORING_SHARE * left))
    asked = plan.selection.deadline
    chosen = replace(plan.selection, deadline=left if asked is None else min(asked, left))
    try:
        result, generations = await sample(plan.llm, plan.messages, chosen, plan.params)
    except (GenerationError, ScoringError) as error:
        if error.partial is not None:
            core.metrics.count_candidates(error.partial)
        raise
    finally:
        core.metrics.count_usage(plan.usage)
    core.metrics.count_candidates(result)
    return ChatAnswer(plan.name, plan.selection.n, plan.choices, plan.show_all, result, generations)


def make_plan(core: Core, headers: Headers, body: ChatBody) -> Plan:
    """Check a request against what the operator allows.

    Args:
        core: what requests share.
        headers: the request's headers.
        body: its body.

    Raises:
        ApiError: a field or header is wrong, or not allowed.
    """
    model = core.model(body.model)
    config = model.settings
    extra = body.model_extra or {}
    if unknown := sorted(set(extra) - config.allow_params):
        raise ApiError(
            400,
            f"This server does not take the parameter {unknown[0][:100]!r}. Leave it out, or ask its operator to "
            "allow it.",
            param=unknown[0][:100],
            code="unknown_parameter",
        )
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
    given = body.model_dump(include=set(PARAMETERS), exclude_none=True)
    return Plan(
        name=model.name,
        llm=model.llm,
        messages=body.messages,
        selection=selection(core, headers, body, n=n, model=model),
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
