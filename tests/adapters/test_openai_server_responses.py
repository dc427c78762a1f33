"""The Responses API, asked by OpenAI's own client: whole, streamed, with tools, and what cannot be asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseOutputMessage
from pydantic import BaseModel, TypeAdapter
from support.fake_provider import HANG, Reply, Request, error
from support.served import BAD, GOOD, QUESTION, Upstream, asked, complaint, post, served

TEXT = "What is 12 * 13?"
TOOL = {
    "type": "function",
    "name": "add",
    "description": "Adds.",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    "strict": False,
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture(scope="module")
def _shared() -> Iterator[tuple[Upstream, str]]:
    upstream = Upstream()
    with upstream, served(upstream, allow_params={"top_k"}, select="best", n=8) as url:
        yield upstream, url


@pytest.fixture
def upstream(_shared: tuple[Upstream, str]) -> Upstream:
    _shared[0].reset()
    _shared[0].behave = lambda request: Reply([BAD, BAD, GOOD, BAD, BAD, BAD, BAD, BAD])
    return _shared[0]


@pytest.fixture
def url(_shared: tuple[Upstream, str]) -> str:
    return _shared[1]


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with asked(url) as client:
        yield client


def strict(response: Any) -> Response:
    """The response, read by OpenAI's own types without the leniency of its client."""
    return TypeAdapter(Response).validate_python(response.model_dump(mode="json", warnings=False))


def test_the_best_answer_comes_back(upstream: Upstream, client: openai.OpenAI) -> None:
    response = client.responses.create(
        model="m",
        input=TEXT,
        instructions="Be brief.",
        temperature=0.6,
        max_output_tokens=50,
        metadata={"a": "b"},
    )
    assert strict(response).status == "completed"
    assert (response.output_text, response.model, response.instructions) == (GOOD, "m", "Be brief.")
    assert (response.max_output_tokens, response.temperature, response.metadata) == (50, 0.6, {"a": "b"})
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (7, 40)
    me2: Any = response.me2  # type: ignore[attr-defined]
    assert (me2["answered"], me2["chosen_by"], me2["scorer"]) == (8, "reward", "mini")
    sent = upstream.requests[0].body
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": TEXT}]
    assert (sent["temperature"], sent["max_completion_tokens"], sent["n"]) == (0.6, 50, 8)


@pytest.mark.parametrize("by_header", [False, True])
def test_fields_of_ours_and_headers(upstream: Upstream, client: openai.OpenAI, by_header: bool) -> None:
    body = {"best_of": 2, "me2": {"candidates": True}}
    headers = {"x-me2-n": "2", "x-me2-candidates": "all"}
    how: Any = {"extra_headers": headers} if by_header else {"extra_body": body}
    raw = client.responses.with_raw_response.create(model="m", input=TEXT, **how)
    response = raw.parse()
    assert len(response.me2["candidates"]) == 2  # type: ignore[attr-defined]
    assert response.output_text == BAD
    assert raw.headers["x-me2-chosen-by"] == "reward"


def test_a_stream_holds_the_same_in_events_that_the_client_puts_together(
    upstream: Upstream, client: openai.OpenAI
) -> None:
    long = GOOD + " Indeed." * 100
    upstream.behave = lambda request: Reply([BAD, long], {"reasoning_content": "I multiply. " * 40})
    with client.responses.stream(model="m", input=TEXT, extra_body={"best_of": 2}) as stream:
        events = list(stream)
        final: Any = stream.get_final_response()
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert (len(deltas) > 2, "".join(deltas), final.output_text) == (True, long, long)
    thoughts = "".join(event.delta for event in events if event.type == "response.reasoning_text.delta")
    assert thoughts == final.output[0].content[0].text == "I multiply. " * 40
    assert strict(final).id == events[0].response.id  # type: ignore[union-attr]
    assert final.me2["answered"] == 2
    assert len({item.id for item in final.output}) == 2


def test_a_plain_stream_of_events(upstream: Upstream, client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="m", input=QUESTION, stream=True))
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    last: Any = events[-1]
    assert (last.response.output_text, last.response.usage.total_tokens) == (GOOD, 47)


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called_and_their_results_handed_back(
    upstream: Upstream, client: openai.OpenAI, stream: bool
) -> None:
    upstream.behave = lambda request: (
        GOOD
        if any(message["role"] == "tool" for message in request.body["messages"])
        else Reply(None, {"tool_calls": [CALL]}, "tool_calls")
    )
    choice: Any = {"type": "function", "name": "add"}

    def ask(items: Any) -> Response:
        options: Any = {"model": "m", "input": items, "tools": [TOOL], "tool_choice": choice}
        if not stream:
            return client.responses.create(**options)
        with client.responses.stream(**options) as events:
            return events.get_final_response()

    first = ask(TEXT)
    (call,) = strict(first).output
    assert (call.type, call.name, call.arguments, call.call_id) == (
        "function_call",
        "add",
        '{"a": 1}',
        "call_1",
    )
    output = {"type": "function_call_output", "call_id": "call_1", "output": "156"}
    second = ask([{"role": "user", "content": TEXT}, *first.output, output])
    assert second.output_text == GOOD
    sent = upstream.requests[-1].body
    assert sent["tools"][0]["function"]["name"] == "add"
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool"]
    assert sent["messages"][1]["tool_calls"] == [CALL]
    assert sent["messages"][2] == {"role": "tool", "tool_call_id": "call_1", "content": "156"}


def test_answers_of_earlier_turns_images_and_files(upstream: Upstream, client: openai.OpenAI) -> None:
    first = client.responses.create(model="m", input=TEXT)
    parts: Any = [
        {"type": "input_text", "text": "And this?"},
        {"type": "input_image", "image_url": PIXEL, "detail": "low"},
        {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,YQ=="},
    ]
    reasoning: Any = {"type": "reasoning", "id": "rs_1", "summary": []}
    items: Any = [
        {"role": "user", "content": TEXT},
        reasoning,
        *first.output,
        {"role": "user", "content": parts},
    ]
    client.responses.create(model="m", input=items)
    sent = upstream.requests[-1].body["messages"]
    assert sent[:2] == [{"role": "user", "content": TEXT}, {"role": "assistant", "content": GOOD}]
    assert sent[2]["content"] == [
        {"type": "text", "text": "And this?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,YQ=="}},
    ]


def test_answers_of_a_form(upstream: Upstream, client: openai.OpenAI) -> None:
    class Total(BaseModel):
        total: int

    upstream.behave = lambda request: '{"total": 156}'
    parsed = client.responses.parse(model="m", input=TEXT, text_format=Total)
    assert parsed.output_parsed == Total(total=156)
    sent = upstream.requests[0].body
    assert sent["response_format"]["json_schema"]["schema"]["required"] == ["total"]


def test_how_hard_a_model_is_to_think(upstream: Upstream) -> None:
    with served(upstream, models={"m": "openai/gpt-5-mini"}, n=1) as url, asked(url) as client:
        response = client.responses.create(
            model="m", input=TEXT, reasoning={"effort": "low"}, text={"verbosity": "low"}
        )
    assert response.reasoning is not None
    assert response.reasoning.effort == "low"
    sent = upstream.requests[0].body
    assert (sent["reasoning_effort"], sent["verbosity"]) == ("low", "low")


def test_a_refusal_and_an_answer_that_is_cut_off(upstream: Upstream, client: openai.OpenAI) -> None:
    upstream.behave = lambda request: Reply(None, {"refusal": "No."})
    for stream in (False, True):
        if stream:
            with client.responses.stream(model="m", input=TEXT) as events:
                refused = events.get_final_response()
        else:
            refused = client.responses.create(model="m", input=TEXT)
        (message,) = strict(refused).output
        assert isinstance(message, ResponseOutputMessage)
        assert [(part.type, part.refusal) for part in message.content] == [("refusal", "No.")]  # type: ignore[union-attr]
    upstream.behave = lambda request: Reply("12 * 13 = 1", finish_reason="length")
    cut = client.responses.create(model="m", input=TEXT)
    assert (strict(cut).status, cut.output_text) == ("incomplete", "12 * 13 = 1")
    assert cut.incomplete_details is not None
    assert cut.incomplete_details.reason == "max_output_tokens"
    last = list(client.responses.create(model="m", input=TEXT, stream=True))[-1]
    assert last.type == "response.incomplete"


def test_log_probabilities(upstream: Upstream, client: openai.OpenAI) -> None:
    entry = {"token": "156", "logprob": -0.1, "bytes": [49], "top_logprobs": []}
    upstream.behave = lambda request: Reply(GOOD, choice={"logprobs": {"content": [entry], "refusal": None}})
    response = client.responses.create(
        model="m", input=TEXT, include=["message.output_text.logprobs"], top_logprobs=2
    )
    part: Any = strict(response).output[0].content[0]  # type: ignore[union-attr,index]
    assert [(one.token, one.logprob) for one in part.logprobs] == [("156", -0.1)]
    assert (upstream.requests[0].body["logprobs"], upstream.requests[0].body["top_logprobs"]) == (True, 2)


def test_the_first_events_come_before_the_answer_and_a_late_error_is_an_event() -> None:
    upstream = Upstream()
    upstream.gate.clear()
    upstream.behave = lambda request: error(500)
    with upstream, served(upstream, n=1, keep_alive=0.05) as url, asked(url) as client:
        stream = client.responses.create(model="m", input=TEXT, stream=True)
        assert next(iter(stream)).type == "response.created"
        upstream.gate.set()
        with pytest.raises(openai.APIError, match="No candidate came back"):
            list(stream)


def test_a_client_that_leaves_cancels_its_calls(upstream: Upstream, client: openai.OpenAI) -> None:
    upstream.behave = lambda request: HANG
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.5).responses.create(model="m", input=TEXT)
    upstream.wait_for(lambda: upstream.left >= 1)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input"),
        ({"input": [{"type": "message", "role": "boss", "content": "x"}]}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "input"),
        ({"input": [{"role": "user", "content": [3]}]}, "input"),
        ({"input": 3}, "input"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "c"}, "conversation"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tools": [{"type": "mcp", "server_url": "http://localhost"}]}, "tools"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"max_tokens": 3}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"api_base": "http://localhost"}, "api_base"),
        ({"best_of": 65}, "best_of"),
        ({"answer": r"(\d+)"}, "answer"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"truncation": "auto"}, "truncation"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_named(
    upstream: Upstream, url: str, change: dict[str, Any], param: str
) -> None:
    refused = post(url, "responses", {"model": "m", "input": TEXT, **change})
    assert (refused.status_code, complaint(refused)["param"]) == (400, param)
    assert not upstream.requests


def test_what_the_operator_allows_goes_to_the_upstream(upstream: Upstream, client: openai.OpenAI) -> None:
    def behave(request: Request) -> Any:
        return GOOD

    upstream.behave = behave
    client.responses.create(model="m", input=TEXT, extra_body={"top_k": 3}, store=True, user="u")
    assert (upstream.requests[0].body["top_k"], upstream.requests[0].body["user"]) == (3, "u")


async def test_an_agent_of_the_openai_agents_sdk() -> None:
    agents = pytest.importorskip("agents")
    upstream = Upstream()
    with upstream, served(upstream) as url:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
            model = agents.OpenAIResponsesModel("m", client)
            agent = agents.Agent(name="Tutor", instructions="Be brief.", model=model)
            quiet = agents.RunConfig(tracing_disabled=True)
            run = await agents.Runner.run(agent, TEXT, run_config=quiet)
            streamed = agents.Runner.run_streamed(agent, TEXT, run_config=quiet)
            assert [event.type async for event in streamed.stream_events()]
    assert (run.final_output, streamed.final_output) == (GOOD, GOOD)
    assert run.context_wrapper.usage.total_tokens == 27
