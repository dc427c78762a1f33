"""``POST /v1/responses``: best-of-n in the form of OpenAI's Responses API, without what is stored there."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response

from me2sdk.adapters.openai_server.bodies import ChatBody, ResponsesBody, parse
from me2sdk.adapters.openai_server.choices import choice_headers
from me2sdk.adapters.openai_server.core import Core
from me2sdk.adapters.openai_server.planning import answer, answer_events, make_plan
from me2sdk.adapters.openai_server.responses import EventStream, JsonResponse
from me2sdk.adapters.openai_server.responses_request import chat_value
from me2sdk.adapters.openai_server.responses_wire import ResponseEvents, ResponseForm

__all__ = ["respond"]


async def respond(core: Core, headers: Headers, value: dict[str, Any], ends: float) -> Response:
    """Answer a request.

    Args:
        core: what requests share.
        headers: the request's headers.
        value: its body.
        ends: its deadline, on the event loop's clock.

    Raises:
        ApiError: it cannot be answered.
    """
    body = parse(ResponsesBody, value)
    plan = make_plan(core, headers, parse(ChatBody, chat_value(body)))
    form = ResponseForm(body, plan.name)
    if not body.stream:
        given = await answer(core, plan, ends)
        return JsonResponse(form.response(given), headers=choice_headers(given.result))
    sent = ResponseEvents(form)
    events = answer_events(core, plan, ends, sent.waiting, sent.written)
    return EventStream(await anext(events), events)
