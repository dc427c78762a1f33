"""``/v1/score``, ``/v1/rerank`` and ``/v1/embeddings``: rewards of traces that the client already has."""

from __future__ import annotations

import uuid
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response

from me2sdk.adapters._shared import choice
from me2sdk.adapters.openai_server.bodies import EmbeddingBody, RerankBody, ScoreBody, parse
from me2sdk.adapters.openai_server.choices import choice_headers, settings
from me2sdk.adapters.openai_server.core import Core
from me2sdk.adapters.openai_server.errors import ApiError
from me2sdk.adapters.openai_server.responses import JsonResponse
from me2sdk.adapters.openai_server.wire import failures
from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.llm import estimate_tokens
from me2sdk.sampling import arerank, read_candidate
from me2sdk.schema import Message, Question, Trace
from me2sdk.scorers import TRACE_OFFSETS, read_scoring_text
from me2sdk.traces import refusal_of

__all__ = ["embeddings", "rerank", "score"]


async def score(core: Core, headers: Headers, value: dict[str, Any], ends: float) -> Response:
    """``POST /v1/score``: a reward per trace."""
    body = parse(ScoreBody, value)
    scorer = core.chosen(body.scorer, headers)
    traces = _traces(core, "traces", body.traces, body.question)
    await core.ready()
    rewards = await scorer.ascore(body.question, traces)
    return JsonResponse({"scorer": scorer.name, "rewards": list(rewards), "truncated": rewards.truncated})


async def rerank(core: Core, headers: Headers, value: dict[str, Any], ends: float) -> Response:
    """``POST /v1/rerank``: documents or candidates, best first."""
    body = parse(RerankBody, value)
    if (body.query is None) == (body.question is None) or (body.documents is None) == (
        body.candidates is None
    ):
        raise ApiError(400, "Send query and documents, or question and candidates.", param="query")
    name = "documents" if body.candidates is None else "candidates"
    items = body.candidates or body.documents or []
    question = body.query if body.question is None else body.question
    # Clients of Cohere's API must send the name of some model.
    scorer = core.chosen(
        body.model if body.scorer is None and body.model in core.scorers else body.scorer, headers
    )
    chosen = settings(core.config, headers, body)
    read = _traces(core, name, [_document(item) for item in items], question, skip=True)
    await core.ready()
    result = await arerank(question, read, scorer=scorer, **chosen)
    core.metrics.count_candidates(result)
    results = [
        {
            "index": candidate.index,
            "relevance_score": candidate.score,
            "answer": candidate.answer,
            "confidence": candidate.confidence,
            "truncated": candidate.trace.truncated,
            **({"document": _shown(items[candidate.index])} if body.return_documents else {}),
        }
        for candidate in result.candidates[: body.top_n]
    ]
    return JsonResponse(
        {
            "id": f"rerank-{uuid.uuid4().hex}",
            "model": scorer.name,
            "select": result.select,
            **choice(result),
            "results": results,
            "failures": failures(result),
        },
        headers=choice_headers(result),
    )


async def embeddings(core: Core, headers: Headers, value: dict[str, Any], ends: float) -> Response:
    """``POST /v1/embeddings``: raw rewards of scoring texts, as SGLang serves them."""
    body = parse(EmbeddingBody, value)
    scorer = core.scorer(None if body.model in (None, "default") else body.model, "model")
    texts = [body.input] if isinstance(body.input, str) else body.input
    if len(texts) > core.config.max_traces:
        raise _too_many(core, "input", len(texts))
    pairs = [
        _split(core, index, text, offset)
        for index, (text, offset) in enumerate(zip(texts, _offsets(headers, len(texts)), strict=True))
    ]
    await core.ready()
    # Clients send traces as they have them: what is in a request says nothing of what belongs together.
    rewards = await scorer.alone().ascore([question for question, _ in pairs], [trace for _, trace in pairs])
    cut = next((index for index, tokens in enumerate(rewards.truncated) if tokens), None)
    if cut is not None:
        raise ApiError(400, f"input {cut} is longer than {scorer.name} reads. Shorten it.", param="input")
    tokens = estimate_tokens(texts)
    return JsonResponse(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": [reward]}
                for index, reward in enumerate(rewards)
            ],
            "model": scorer.name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _traces(
    core: Core, name: str, items: list[str | Message], question: Question | None, skip: bool = False
) -> list[Any]:
    """The traces in a body. ``skip`` keeps messages as they are, since they may call tools, and what cannot be read."""
    config = core.config
    if len(items) > config.max_traces:
        raise _too_many(core, name, len(items))
    traces: list[Any] = []
    for index, item in enumerate(items):
        try:
            trace, refusal = read_candidate(item, question)
            if refusal is not None:
                raise InvalidTraceError("This is a refusal: there is nothing to score.")
        except (InvalidTraceError, TypeError, AttributeError) as error:
            if not skip:
                reason = (
                    str(error) if isinstance(error, InvalidTraceError) else "This is no assistant message."
                )
                raise ApiError(400, f"{name}.{index}: {reason}", param=name, code="invalid_trace") from None
            traces.append(item if isinstance(item, dict) and refusal_of(item) is not None else "")
            continue
        if len(trace.reasoning) + len(trace.response or "") > 2 * config.max_trace_characters:
            raise _too_long(core, name, index)
        traces.append(item if skip and isinstance(item, dict) else trace)
    return traces


def _split(core: Core, index: int, text: str, offset: int | None) -> tuple[Question | None, Trace]:
    if len(text) > core.config.max_trace_characters:
        raise _too_long(core, "input", index)
    if not text.strip():
        raise ApiError(400, f"input.{index} is empty: there is nothing to score.", param="input")
    try:
        return read_scoring_text(text, offset)
    except ConfigurationError as error:
        raise ApiError(400, f"{TRACE_OFFSETS}: {error}", param=TRACE_OFFSETS) from None


def _offsets(headers: Headers, count: int) -> list[int | None]:
    header = headers.get(TRACE_OFFSETS)
    if header is None:
        return [None] * count
    numbers = header.split(",")
    if len(numbers) != count or not all(n.isascii() and n.isdigit() and len(n) < 10 for n in numbers):
        raise ApiError(
            400, f"{TRACE_OFFSETS} holds a number for each input, separated by commas.", param=TRACE_OFFSETS
        )
    return [int(number) for number in numbers]


def _document(item: str | Message) -> str | Message:
    text = item.get("text") if isinstance(item, dict) and "role" not in item else None
    return text if isinstance(text, str) else item


def _shown(item: str | Message) -> Message:
    return {"text": item} if isinstance(item, str) else item


def _too_many(core: Core, name: str, count: int) -> ApiError:
    most = core.config.max_traces
    return ApiError(
        400, f"{name} holds {count} items; at most {most} are allowed.", param=name, code="too_many"
    )


def _too_long(core: Core, name: str, index: int) -> ApiError:
    most = core.config.max_trace_characters
    return ApiError(
        400, f"{name}.{index} is too long; {most} characters are allowed.", param=name, code="too_long"
    )
