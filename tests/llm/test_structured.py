from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply, Request, error

from me2sdk import LLM, ConfigurationError, GenerationError
from me2sdk.llm import Structured, ask_structured, check_structured, schema_params
from me2sdk.prompts import Outcome, ask_until

KNOWN, UNKNOWN = "openai/gpt-4o-mini", "openai/test"
SCHEMA = schema_params("word", {"word": {"type": "string"}, "count": {"type": "integer"}})


def at(server: OpenAIServer, model: Any = KNOWN, **more: Any) -> LLM:
    return LLM(model, api_base=server.url, api_key="k", max_retries=0, **more)


async def ask(llm: LLM, structured: Structured, sample: int = 0, **params: Any) -> Outcome[str]:
    def in_form(as_json: bool) -> Awaitable[Outcome[str]]:
        async def once(messages: Any, attempt: int) -> str:
            more = SCHEMA if as_json else {}
            found = await llm.agenerate(messages, sample_index=sample, **{**params, **more})
            return str(found.message["content"])

        return ask_until(once, "in JSON" if as_json else "in words", str, lambda said: None)

    return await ask_structured(llm, structured, [sample], params, in_form)


def forms(server: OpenAIServer) -> list[tuple[str, bool]]:
    return [(request.text, "response_format" in request.body) for request in server.requests]


def refusing(request: Request) -> Any:
    refused = error(400, "response_format json_schema is not supported by this model")
    return refused if "response_format" in request.body else "fine"


def test_a_schema_has_every_field_required_and_no_other() -> None:
    sent = SCHEMA["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["strict"] is True
    assert sent["json_schema"]["schema"] == {
        "type": "object",
        "properties": {"word": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["word", "count"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("model", "structured", "as_json"),
    [
        (KNOWN, "auto", True),
        (UNKNOWN, "auto", False),
        (KNOWN, False, False),
        (UNKNOWN, True, True),
    ],
)
async def test_a_schema_is_sent_where_the_model_is_known_to_take_one(
    model: str, structured: Structured, as_json: bool
) -> None:
    with OpenAIServer("fine") as server:
        outcome = await ask(at(server, model), structured)
    assert outcome.reading == "fine"
    assert forms(server) == [("in JSON" if as_json else "in words", as_json)]
    if as_json:
        assert server.requests[0].body["response_format"] == SCHEMA["response_format"]


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_refused_schema_is_remembered_by_the_model_and_its_sessions(status: int) -> None:
    def refuse(request: Request) -> Any:
        return error(status) if "response_format" in request.body else "fine"

    with OpenAIServer(refuse) as server:
        llm = at(server)
        assert (await ask(llm.session(), "auto")).reading == "fine"
        assert (await ask(llm.session(), "auto")).reading == "fine"
        assert (await ask(at(server), "auto")).reading == "fine"  # another object asks again
    assert forms(server) == [
        ("in JSON", True),
        ("in words", False),
        ("in words", False),
        ("in JSON", True),
        ("in words", False),
    ]


async def test_each_model_of_a_pool_is_remembered_by_itself() -> None:
    def refuse(request: Request) -> Any:
        return refusing(request) if request.body["model"] == "gpt-4o" else "fine"

    with OpenAIServer(refuse) as server:
        llm = at(server, [KNOWN, "openai/gpt-4o"])
        for _ in range(2):
            for sample in range(2):
                assert (await ask(llm, "auto", sample)).reading == "fine"
    assert [as_json for _, as_json in forms(server)] == [True, True, False, True, False]


async def test_a_schema_that_the_caller_insists_on_is_not_left_out() -> None:
    with OpenAIServer(refusing) as server:
        outcome = await ask(at(server), True)
    assert isinstance(outcome.error, GenerationError)
    assert "response_format json_schema" in str(outcome.error)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [error(401, "bad key"), error(503), error(400, "This model's maximum context length is 10 tokens.")],
)
async def test_other_errors_are_no_refusal_of_a_schema(fault: Any) -> None:
    with OpenAIServer(fault) as server:
        llm = at(server)
        assert (await ask(llm, "auto")).error is not None
        assert (await ask(llm, "auto")).error is not None
    assert [text for text, _ in forms(server)] == ["in JSON", "in JSON"]


async def test_where_both_forms_are_refused_nothing_is_remembered() -> None:
    with OpenAIServer(error(400, "no")) as server:
        llm = at(server)
        for _ in range(2):
            assert isinstance((await ask(llm, "auto")).error, GenerationError)
    assert [as_json for _, as_json in forms(server)] == [True, False, True, False]


@pytest.mark.parametrize("where", ["object", "call"])
async def test_a_form_of_the_callers_own_is_left_alone(where: str) -> None:
    own = {"response_format": {"type": "json_object"}}
    with OpenAIServer(Reply("fine")) as server:
        llm = at(server, **(own if where == "object" else {}))
        await ask(llm, True, **(own if where == "call" else {}))
    assert server.requests[0].text == "in words"
    assert server.requests[0].body["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize(("structured", "sent"), [("auto", False), (True, True)])
async def test_a_function_is_held_to_a_schema_only_if_the_caller_says_so(
    structured: Structured, sent: bool
) -> None:
    seen: list[bool] = []

    def model(messages: Any, **params: Any) -> str:
        seen.append("response_format" in params)
        return "fine"

    await ask(LLM(model), structured)
    assert seen == [sent]


async def test_a_router_is_known_by_all_of_its_deployments() -> None:
    from litellm import Router

    def router(url: str, *models: str) -> Callable[..., Any]:
        settings = [{"model": model, "api_base": url, "api_key": "k"} for model in models]
        return Router(model_list=[{"model_name": "group", "litellm_params": one} for one in settings])  # type: ignore[return-value]

    with OpenAIServer("fine") as server:
        await ask(LLM(router(server.url, KNOWN)), "auto")
        await ask(LLM(router(server.url, KNOWN, UNKNOWN)), "auto")
    assert [as_json for _, as_json in forms(server)] == [True, False]


@pytest.mark.parametrize("value", ["yes", None, 2, "Auto"])
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(ConfigurationError, match='"auto", True or False'):
        check_structured(value)
