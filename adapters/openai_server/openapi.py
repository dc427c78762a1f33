"""The OpenAPI document that the server serves of itself."""

from __future__ import annotations

import functools
from importlib.metadata import version
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from me2sdk.adapters.openai_server import schemas
from me2sdk.adapters.openai_server.bodies import (
    ChatBody,
    EmbeddingBody,
    RerankBody,
    ResponsesBody,
    ScoreBody,
)

__all__ = ["document"]

_REFERENCE = "#/components/schemas/{model}"


class _Operation(NamedTuple):
    summary: str
    body: type[BaseModel]
    answer: type[BaseModel]
    streamed: str = ""
    headers: bool = True


_POSTS = {
    "/v1/chat/completions": _Operation(
        "The best of several answers, as a chat completion.",
        ChatBody,
        schemas.ChatCompletion,
        "Chunks of a chat completion; the last one of the last choice holds me2.",
    ),
    "/v1/responses": _Operation(
        "The same in the form of the Responses API. Nothing is stored.",
        ResponsesBody,
        schemas.ResponseObject,
        "Events of a response; the response in the last one holds me2.",
    ),
    "/v1/score": _Operation("Rewards of traces.", ScoreBody, schemas.ScoreResponse, headers=False),
    "/v1/rerank": _Operation(
        "Documents or candidates in order, best first.", RerankBody, schemas.RerankResponse, headers=False
    ),
    "/v1/embeddings": _Operation(
        "Raw rewards of scoring texts, as SGLang serves them.",
        EmbeddingBody,
        schemas.EmbeddingList,
        headers=False,
    ),
}
_HEADERS = {
    "x-me2-n": "best_of",
    "x-me2-scorer": "scorer",
    "x-me2-select": "select",
    "x-me2-answer": "answer",
    "x-me2-stop-sampling": "stop_sampling",
    "x-me2-min-confidence": "min_confidence",
    "x-me2-candidates": 'me2.candidates, as "all"',
}
_ERRORS = {
    "400": "A field or header is wrong, or the upstream refused the request.",
    "401": "The key is missing or wrong.",
    "404": "There is no such model.",
    "429": "Too many requests, here or upstream, or the budget is spent. Retry-After says when to try again.",
    "500": "The server is not set up for this.",
    "502": "No candidate came back from the upstream.",
    "503": "The upstream is not available, and says in Retry-After when to try again.",
    "504": "No candidate came back in time.",
}
_SURE = {
    "x-me2-confidence": "The chance that the answer is right. Left out where it is not known.",
    "x-me2-abstained": "Whether that is below min_confidence.",
    "x-me2-chosen-by": "What the choice rests on.",
}


@functools.cache
def document() -> dict[str, Any]:
    """The document, by OpenAPI 3.1."""
    bodies = [(operation.body, "validation") for operation in _POSTS.values()]
    answers = [operation.answer for operation in _POSTS.values()]
    shown = (*answers, schemas.ModelList, schemas.ServedModelObject, schemas.Error)
    _, found = models_json_schema(
        [*bodies, *((one, "serialization") for one in shown)],  # type: ignore[list-item]
        ref_template=_REFERENCE,
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "me2 serve",
            "version": version("me2sdk"),
            "description": "OpenAI's API, answered with the best of several candidates.",
        },
        "security": [{}, {"key": []}],
        "paths": {
            **{path: {"post": _post(path, operation)} for path, operation in _POSTS.items()},
            "/v1/models": {"get": _get("The served models.", "models", schemas.ModelList)},
            "/v1/models/{name}": {
                "get": {
                    **_get("A served model.", "model", schemas.ServedModelObject, "404"),
                    "parameters": [
                        {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
                    ],
                }
            },
            "/healthz": {"get": _open("200 once every scorer is loaded, 503 before.", "health", "503")},
            "/healthz/live": {"get": _open("Whether the process responds.", "live")},
            "/metrics": {"get": _open("Metrics for Prometheus.", "metrics", media="text/plain")},
            "/openapi.json": {"get": _open("This document.", "openapi")},
        },
        "components": {
            "schemas": found["$defs"],
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Where the operator has set a key.",
                }
            },
        },
    }


def _post(path: str, operation: _Operation) -> dict[str, Any]:
    content = {"application/json": {"schema": _schema(operation.answer)}}
    if operation.streamed:
        content["text/event-stream"] = {"schema": {"type": "string", "description": operation.streamed}}
    chosen = operation.answer not in (schemas.ScoreResponse, schemas.EmbeddingList)
    headers = {name: _header(text) for name, text in _SURE.items()} if chosen else {}
    names = _HEADERS if operation.headers else {}
    return {
        "operationId": path.removeprefix("/v1/").replace("/", "_"),
        "summary": operation.summary,
        "parameters": [
            {
                "name": name,
                "in": "header",
                "description": f"The same as the field {field}, which wins over it.",
                "schema": {"type": "string"},
            }
            for name, field in names.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _schema(operation.body)}},
        },
        "responses": {
            "200": {"description": "The answer.", "headers": headers, "content": content},
            **{status: _error(text) for status, text in _ERRORS.items()},
        },
    }


def _header(text: str) -> dict[str, Any]:
    return {"description": text, "schema": {"type": "string"}}


def _error(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": _schema(schemas.Error)}}}


def _get(summary: str, name: str, answer: type[BaseModel], *errors: str) -> dict[str, Any]:
    content = {"application/json": {"schema": _schema(answer)}}
    return {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": "The answer.", "content": content},
            **{status: _error(_ERRORS[status]) for status in ("401", *errors)},
        },
    }


def _open(summary: str, name: str, *others: str, media: str = "application/json") -> dict[str, Any]:
    kind = "object" if media == "application/json" else "string"
    content = {media: {"schema": {"type": kind}}}
    answers = {status: {"description": summary, "content": content} for status in ("200", *others)}
    return {"operationId": name, "summary": summary, "security": [], "responses": answers}


def _schema(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}
