"""``POST /v1/chat/completions``: best-of-n over the upstream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response

from me2sdk.adapters.openai_server.bodies import ChatBody, parse
from me2sdk.adapters.openai_server.choices import choice_headers
from me2sdk.adapters.openai_server.core import Core
from me2sdk.adapters.openai_server.planning import answer, answer_events, make_plan
from me2sdk.adapters.openai_server.responses import WAITING, EventStream, JsonResponse, event
from me2sdk.adapters.openai_server.wire import ChatAnswer, chunks, completion

__all__ = ["chat"]


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
    plan = make_plan(core, headers, body)
    if not body.stream:
        given = await answer(core, plan, ends)
        return JsonResponse(completion(given), headers=choice_headers(given.result))
    include_usage = body.stream_options is not None and body.stream_options.include_usage

    def written(given: ChatAnswer) -> Iterator[bytes]:
        yield from (event(chunk) for chunk in chunks(given, include_usage))
        yield b"data: [DONE]\n\n"

    events = answer_events(core, plan, ends, lambda: WAITING, written)
    # An error before the first comment is due still gets its own HTTP status.
    return EventStream(await anext(events), events)
