"""The OpenAPI document: valid, complete, and true of what a real server answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.fake_provider import Reply, error
from support.needs import needs
from support.served import BAD, GOOD, QUESTION, Upstream, post, served

from me2sdk.adapters.openai_server import ServerConfig, create_app

ASKED = {"model": "m", "messages": QUESTION}


@pytest.fixture(scope="module")
def _shared() -> Iterator[tuple[Upstream, str]]:
    upstream = Upstream()
    with upstream, served(upstream, api_key=None) as url:
        yield upstream, url


@pytest.fixture
def upstream(_shared: tuple[Upstream, str]) -> Upstream:
    _shared[0].behave = lambda request: Reply([BAD, GOOD, GOOD, BAD])
    return _shared[0]


@pytest.fixture
def url(_shared: tuple[Upstream, str]) -> str:
    return _shared[1]


@pytest.fixture
def document(url: str) -> dict[str, Any]:
    return dict(httpx.get(f"{url}/openapi.json").json())


def check(
    document: dict[str, Any], path: str, response: httpx.Response, method: str = "post"
) -> dict[str, Any]:
    """Hold a response against what the document says of it."""
    import jsonschema

    said = document["paths"][path][method]["responses"][str(response.status_code)]
    schema = {**said["content"]["application/json"]["schema"], "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(response.json())
    for name in said.get("headers", {}):
        assert name in response.headers
    return dict(response.json())


@needs("openapi_spec_validator")
def test_it_is_valid(document: dict[str, Any]) -> None:
    from openapi_spec_validator import validate

    validate(document)


def test_it_holds_every_path_of_the_server(document: dict[str, Any]) -> None:
    app = create_app(ServerConfig())
    routes = {
        str(getattr(route, "path", "")).replace("{name:path}", "{name}"): getattr(route, "methods", None)
        for route in app.routes
    }
    for path, methods in routes.items():
        assert set(document["paths"][path]) == {
            method.lower() for method in methods or () if method != "HEAD"
        }
    assert routes.keys() == document["paths"].keys()


def test_the_field_of_ours_is_described(document: dict[str, Any]) -> None:
    me2 = document["components"]["schemas"]["Me2"]["properties"]
    assert "chance that the chosen answer is right" in me2["confidence"]["description"]
    assert me2["answers"]["items"] == {"$ref": "#/components/schemas/GroupedAnswer"}
    asked = document["components"]["schemas"]["ChatBody"]["properties"]
    assert asked["best_of"]["description"] == "Candidates to sample at most."


@pytest.mark.parametrize("candidates", [False, True])
@pytest.mark.parametrize(
    "reply",
    [
        Reply([BAD, GOOD, GOOD, BAD]),
        Reply(GOOD, usage=None, finish_reason="abort"),
        Reply(None, {"refusal": "No."}),
        Reply("cut", {"reasoning_content": "Hm."}, finish_reason="length"),
    ],
)
def test_completions_and_responses_are_as_it_says(
    upstream: Upstream, url: str, document: dict[str, Any], reply: Reply, candidates: bool
) -> None:
    pytest.importorskip("jsonschema")
    upstream.behave = lambda request: reply
    ours = {"me2": {"candidates": candidates}, "min_confidence": 0.5}
    for path, body in (
        ("/v1/chat/completions", {**ASKED, **ours}),
        ("/v1/responses", {"model": "m", "input": "What is 12 * 13?", **ours}),
    ):
        response = post(url, path.removeprefix("/v1/"), body)
        document["paths"][path]["post"]["responses"]["200"]["headers"].pop("x-me2-confidence")
        found = check(document, path, response)
        assert ("candidates" in found["me2"]) is candidates
        assert ("x-me2-confidence" in response.headers) is (found["me2"]["confidence"] is not None)


def test_the_other_answers_are_as_it_says(url: str, document: dict[str, Any], upstream: Upstream) -> None:
    pytest.importorskip("jsonschema")
    traces = {"question": "What is 12 * 13?", "traces": [GOOD, BAD]}
    check(document, "/v1/score", post(url, "score", traces))
    ranked = {"query": "What is 12 * 13?", "documents": [GOOD, BAD, ""], "return_documents": True}
    found = check(document, "/v1/rerank", post(url, "rerank", ranked))
    assert found["failures"]
    check(document, "/v1/embeddings", post(url, "embeddings", {"input": [GOOD]}))
    check(document, "/v1/models", httpx.get(f"{url}/v1/models"), "get")
    check(document, "/v1/models/{name}", httpx.get(f"{url}/v1/models/m"), "get")
    check(document, "/v1/models/{name}", httpx.get(f"{url}/v1/models/none"), "get")
    upstream.behave = lambda request: error(503, retry_after=3)
    for status, body in ((503, ASKED), (400, {}), (404, {**ASKED, "model": "none"})):
        refused = post(url, "chat/completions", body)
        assert refused.status_code == status
        check(document, "/v1/chat/completions", refused)
