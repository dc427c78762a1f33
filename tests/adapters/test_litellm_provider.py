"""LiteLLM's own call path, sync, awaited, streamed and through a Router: ``me2/`` in front of a real server, and
``transformers/`` on a two-layer random model."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply, error

from me2sdk import BestOfNResult, best_of_n
from me2sdk.adapters.litellm_provider import handlers, register, unregister
from me2sdk.errors import ConfigurationError, GenerationError
from me2sdk.llm import load_litellm

GOOD, BAD = "12 * 13 = 120 + 36 = 156. The answer is 156.", "12 * 13 = 140, or 12 * 13 = 141. Hmm. It is 146."
MODEL, CHAT = "me2/openai/gpt-4o-mini", [{"role": "user", "content": "12 * 13?"}]
KEY = "sk-test-0123456789"


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    register()
    yield
    unregister()


@pytest.fixture(params=["sync", "async"])
def complete(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``litellm.completion`` and ``litellm.acompletion`` as one function; a stream comes back as a list."""
    litellm = load_litellm()

    async def awaited(*args: Any, **kwargs: Any) -> Any:
        response = await litellm.acompletion(*args, **kwargs)
        return [piece async for piece in response] if kwargs.get("stream") else response

    def call(*args: Any, **kwargs: Any) -> Any:
        kwargs = {"api_key": KEY, "max_retries": 0, **kwargs}
        if request.param == "async":
            return asyncio.run(awaited(*args, **kwargs))
        response = litellm.completion(*args, **kwargs)
        return list(response) if kwargs.get("stream") else response

    return call


def test_the_best_answer_comes_back_with_all_of_them_beside_it(complete: Any) -> None:
    with OpenAIServer(Reply([BAD, GOOD, BAD])) as server:
        response = complete(MODEL, CHAT, best_of=3, select="best", api_base=server.url)
    (choice,) = response.choices
    assert choice.message.content == GOOD
    assert choice.index == 0
    result = response._hidden_params["me2sdk"]
    assert isinstance(result, BestOfNResult)
    assert result.best.index == 1
    assert len(result.candidates) == 3
    assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (7, 15)
    assert (
        response._hidden_params["response_cost"] == result.usage.cost == pytest.approx(7 * 15e-8 + 15 * 6e-7)
    )
    assert [request.body["n"] for request in server.requests] == [3]
    assert server.requests[0].key == KEY


def test_parameters_go_on_and_options_do_not(complete: Any) -> None:
    with OpenAIServer([Reply([BAD, GOOD])]) as server:
        response = complete(
            MODEL,
            CHAT,
            api_base=server.url,
            n=2,
            temperature=0.3,
            seed=5,
            stop=["END"],
            extra_headers={"X-Team": "red"},
            extra_body={"best_of": 2, "scorer": "mini", "select": "weighted_vote", "top_k": 4},
        )
    assert [choice.message.content for choice in response.choices] == [GOOD, BAD]
    assert response._hidden_params["me2sdk"].select == "weighted_vote"
    (request,) = server.requests
    sent = {"temperature": 0.3, "seed": 5, "stop": ["END"], "top_k": 4, "n": 2}
    assert {name: request.body.get(name) for name in sent} == sent
    assert not {"best_of", "scorer", "select"} & set(request.body)
    assert request.headers["x-team"] == "red"


def test_how_to_choose_is_said_per_call_and_not_sent(complete: Any) -> None:
    options = {"answer": "text", "min_confidence": 1.0, "escalate": "openai/strong", "deadline": 30}
    with OpenAIServer(lambda request: Reply([BAD, GOOD, BAD] if "n" in request.body else GOOD)) as server:
        response = complete(
            MODEL, CHAT, api_base=server.url, stop="sure", extra_body={"best_of": 3, **options}
        )
    result = response._hidden_params["me2sdk"]
    assert (result.escalated, result.asked, result.abstained) == (True, 4, True)
    assert {answer.text for answer in result.answers} == {GOOD.casefold(), BAD.casefold()}
    assert [request.body["model"] for request in server.requests] == ["gpt-4o-mini", "strong"]
    for request in server.requests:
        assert not {"best_of", *options} & set(request.body)
        assert request.body["stop"] in ("sure", ["sure"])  # LiteLLM's own: a text at which an answer ends


def test_early_stopping_has_a_name_of_its_own(complete: Any) -> None:
    litellm = load_litellm()
    with OpenAIServer(lambda request: Reply([GOOD] * request.body.get("n", 1))) as server:
        response = complete(MODEL, CHAT, api_base=server.url, best_of=4, stop_sampling="sure")
        assert (response._hidden_params["me2sdk"].asked, server.requests[0].body.get("stop")) == (3, None)
        with pytest.raises(litellm.BadRequestError, match="cannot be combined"):
            complete(MODEL, CHAT, api_base=server.url, stop_sampling=0.9, stop=["END"])


def test_eight_answers_unless_told_otherwise(complete: Any) -> None:
    with OpenAIServer(GOOD) as server:
        assert len(complete(MODEL, CHAT, api_base=server.url)._hidden_params["me2sdk"].candidates) == 8
        assert len(complete(MODEL, CHAT, api_base=server.url, n=9).choices) == 9


def test_one_failed_answer_costs_the_others_nothing(complete: Any) -> None:
    script = [Reply(BAD, honours_n=False), error(500), Reply(GOOD, honours_n=False)]
    with OpenAIServer(script) as server:
        response = complete(MODEL, CHAT, best_of=3, api_base=server.url)
    assert response.choices[0].message.content == GOOD
    (failure,) = response._hidden_params["me2sdk"].failures
    assert failure.status == 500


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailableError"),
    ],
)
def test_errors_are_those_of_litellm(status: int, name: str) -> None:
    litellm = load_litellm()
    with OpenAIServer(error(status, "no, {key}")) as server, pytest.raises(Exception, match="no,") as caught:
        litellm.completion(MODEL, CHAT, best_of=2, api_base=server.url, api_key=KEY, max_retries=0)
    assert type(caught.value).__name__ == name
    assert caught.value.status_code == status  # type: ignore[attr-defined]
    assert KEY not in str(caught.value)
    cause = caught.value.__cause__
    assert isinstance(cause, GenerationError)
    assert cause.partial is not None
    assert len(cause.partial.failures) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"refusal": "I cannot help with that."},
        {"tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "run", "input": "print(42)"}}]},
        {"function_call": {"name": "f", "arguments": "{}"}},
    ],
)
def test_what_stands_in_place_of_content_comes_through(complete: Any, fields: dict[str, Any]) -> None:
    (name, value), *_ = fields.items()
    with OpenAIServer(Reply(None, fields)) as server:
        message = complete(MODEL, CHAT, best_of=2, api_base=server.url).choices[0].message
        stream = load_litellm().completion(
            MODEL, CHAT, best_of=2, api_base=server.url, api_key=KEY, stream=True, max_retries=0
        )
        deltas = [chunk.choices[0].delta.model_dump(exclude_none=True) for chunk in stream]
    found = message.model_dump()
    # Where older versions of LiteLLM keep a refusal.
    assert {**(found.get("provider_specific_fields") or {}), **found}[name] == value
    (streamed,) = [delta[name] for delta in deltas if delta.get(name)]
    assert streamed == ([{**value[0], "index": 0}] if name == "tool_calls" else value)


def test_a_context_that_is_too_short_is_told_apart(complete: Any) -> None:
    message = "This model's maximum context length is 10 tokens."
    with (
        OpenAIServer(error(400, message)) as server,
        pytest.raises(load_litellm().ContextWindowExceededError),
    ):
        complete(MODEL, CHAT, best_of=2, api_base=server.url)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"select": "worst"}, "select must be one of"),
        ({"scorer": "./no/such/folder"}, "no/such/folder"),
        ({"n": 3, "best_of": 2}, "best_of=2"),
    ],
)
def test_options_that_cannot_work(complete: Any, options: dict[str, Any], message: str) -> None:
    with OpenAIServer(GOOD) as server, pytest.raises(load_litellm().BadRequestError, match=message):
        complete(MODEL, CHAT, api_base=server.url, **options)
    assert not server.requests


def test_a_stream_brings_the_chosen_answer(complete: Any) -> None:
    litellm = load_litellm()
    with OpenAIServer(Reply([f"<think>{BAD}</think>146", f"<think>{GOOD}</think>156"])) as server:
        pieces = complete(
            MODEL, CHAT, best_of=2, api_base=server.url, stream=True, stream_options={"include_usage": True}
        )
    whole = litellm.stream_chunk_builder(pieces, messages=CHAT)
    assert whole.choices[0].message.content == "156"
    assert whole.choices[0].message.reasoning_content == GOOD
    assert whole.choices[0].finish_reason == "stop"
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (7, 10)
    results = [p._hidden_params["me2sdk"] for p in pieces if "me2sdk" in p._hidden_params]
    assert [len(result.candidates) for result in results] == [2]


def test_a_stream_that_fails_and_one_of_two_answers(complete: Any) -> None:
    # LiteLLM's own form of an error that a Router may answer with another model; others come as they are.
    with (
        OpenAIServer(error(429)) as server,
        pytest.raises(load_litellm().exceptions.MidStreamFallbackError) as caught,
    ):
        complete(MODEL, CHAT, best_of=2, api_base=server.url, stream=True)
    assert caught.value.status_code == 429
    assert isinstance(caught.value.original_exception, load_litellm().RateLimitError)
    with OpenAIServer(error(401)) as server, pytest.raises(load_litellm().AuthenticationError):
        complete(MODEL, CHAT, best_of=2, api_base=server.url, stream=True)
    with OpenAIServer(GOOD) as server, pytest.raises(load_litellm().BadRequestError, match="leave n out"):
        complete(MODEL, CHAT, n=2, best_of=2, api_base=server.url, stream=True)


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_pass(complete: Any, stream: bool) -> None:
    called = {"id": "call_1", "type": "function", "function": {"name": "multiply", "arguments": '{"a": 12}'}}
    tools = [{"type": "function", "function": {"name": "multiply", "parameters": {"type": "object"}}}]
    with OpenAIServer(Reply(None, fields={"tool_calls": [called]}, finish_reason="tool_calls")) as server:
        response = complete(MODEL, CHAT, best_of=2, api_base=server.url, tools=tools, stream=stream)
    if stream:
        response = load_litellm().stream_chunk_builder(response)
    choice = response.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls[0].function.name == "multiply"
    assert choice.message.tool_calls[0].function.arguments == '{"a": 12}'
    assert server.requests[0].body["tools"] == tools


async def test_a_router_balances_and_falls_back() -> None:
    litellm = load_litellm()
    with OpenAIServer(error(429)) as down, OpenAIServer(Reply([BAD, *[GOOD] * 7])) as up:

        def deployment(group: str, server: OpenAIServer) -> dict[str, Any]:
            params = {"model": MODEL, "best_of": 2, "api_base": server.url, "api_key": KEY}
            return {"model_name": group, "litellm_params": params}

        models = [deployment("first", down), deployment("second", up)]
        router = litellm.Router(model_list=models, fallbacks=[{"first": ["second"]}], num_retries=0)
        response = await router.acompletion("first", messages=CHAT)
        assert response.choices[0].message.content == GOOD
        assert len(response._hidden_params["me2sdk"].candidates) == 2
        assert len(down.requests) == 1
        result = await asyncio.to_thread(
            best_of_n, "12 * 13?", model=MODEL, n=2, api_base=up.url, api_key=KEY
        )
        assert result.best.response == GOOD


def test_registering_keeps_what_others_registered() -> None:
    litellm = load_litellm()
    other = {"provider": "elsewhere", "custom_handler": litellm.CustomLLM()}
    before = list(litellm.provider_list)
    litellm.custom_provider_map.insert(0, other)
    try:
        register()
        assert [item["provider"] for item in litellm.custom_provider_map] == [
            "elsewhere",
            "me2",
            "transformers",
        ]
        unregister()
        assert litellm.custom_provider_map == [other]
        assert "me2" not in litellm.provider_list
        with pytest.raises(litellm.BadRequestError, match="LLM Provider NOT provided"):
            litellm.completion("me2/openai/gpt-4o-mini", CHAT)
        litellm.custom_provider_map.append({"provider": "me2", "custom_handler": other["custom_handler"]})
        with pytest.raises(ConfigurationError, match="another provider 'me2'"):
            register()
    finally:
        litellm.custom_provider_map.clear()
        litellm.provider_list[:] = before
    register()
    register()
    assert {item["provider"]: item["custom_handler"] for item in litellm.custom_provider_map} == handlers()


# The models of this process.


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from support.tiny_policy import tiny_policy

    folder = tiny_policy(tmp_path_factory.mktemp("policy"))
    template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant] "
    (folder / "chat_template.jinja").write_text(template)
    return str(folder)


def greedy_text(folder: str, tokens: int) -> str:
    """What transformers itself writes."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    prompt = tokenizer.apply_chat_template(
        CHAT, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    ids = model.generate(**prompt, do_sample=False, max_new_tokens=tokens)
    return str(tokenizer.decode(ids[0, prompt["input_ids"].shape[1] :]))


def test_candidates_of_one_question_are_generated_together(policy: str) -> None:
    result = best_of_n(
        "12 * 13?", model=f"transformers/{policy}", n=4, max_tokens=12, temperature=1.5, seed=1
    )
    assert (result.usage.calls, result.usage.cost) == (1, 0)
    assert len({candidate.response for candidate in result.candidates}) == 4
    cut = [candidate for candidate in result.candidates if candidate.finish_reason == "length"]
    assert 12 * len(cut) <= (result.usage.completion_tokens or 0) <= 48
    assert cut
    assert all(candidate.trace.truncated for candidate in cut)


def test_a_local_model_decodes_as_transformers_does(complete: Any, policy: str) -> None:
    model, expected = f"transformers/{policy}", greedy_text(policy, 24)
    response = complete(model, CHAT, temperature=0, max_tokens=24, n=2)
    assert [choice.message.content for choice in response.choices] == [expected] * 2
    assert response.usage.completion_tokens == 48
    sampled = [complete(model, CHAT, max_tokens=16, seed=seed, top_k=50, top_p=0.9) for seed in (1, 1, 2)]
    texts = [response.choices[0].message.content for response in sampled]
    assert texts[0] == texts[1] != texts[2]
    one = complete(model, CHAT, max_tokens=24, top_k=1)
    assert one.choices[0].message.content == expected
    assert complete(model, CHAT, max_tokens=4, dtype="bfloat16").usage.completion_tokens == 4


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_text_ends_an_answer_and_is_left_out(complete: Any, policy: str, stream: bool) -> None:
    text = greedy_text(policy, 24)
    stop = next(text[i : i + 3] for i in range(6, 20) if "\ufffd" not in text[i : i + 3])
    response = complete(
        f"transformers/{policy}", CHAT, temperature=0, max_tokens=24, stop=[stop, "never"], stream=stream
    )
    if stream:
        assert all(stop[0] != piece.choices[0].delta.content for piece in response)
        response = load_litellm().stream_chunk_builder(response)
    assert response.choices[0].message.content == text[: text.index(stop)]
    assert response.choices[0].finish_reason == "stop"


def test_a_local_stream_is_the_whole_answer_in_pieces(complete: Any, policy: str) -> None:
    pieces = complete(
        f"transformers/{policy}",
        CHAT,
        temperature=0,
        max_tokens=24,
        stream=True,
        stream_options={"include_usage": True},
    )
    said = [
        piece.choices[0].delta.content for piece in pieces if piece.choices and piece.choices[0].delta.content
    ]
    assert len(said) > 5
    assert "".join(said) == greedy_text(policy, 24)
    assert [p.choices[0].finish_reason for p in pieces if p.choices and p.choices[0].finish_reason] == [
        "length"
    ]
    assert [piece.usage.completion_tokens for piece in pieces if getattr(piece, "usage", None)] == [24]


def test_nobody_who_waits_any_more_is_answered(policy: str) -> None:
    from me2sdk.adapters.litellm_provider.generator import Generator
    from me2sdk.adapters.litellm_provider.types import GenerationStopped, SamplingParams

    generator, stop, begun = Generator(policy), threading.Event(), threading.Event()
    long = SamplingParams(max_tokens=1500, temperature=0)  # one that samples may end at any token
    running = generator.submit(CHAT, long, stop, on_text=lambda _: begun.set())
    waiting = generator.submit(CHAT, long, stop)
    assert begun.wait(60)
    stop.set()
    for future in (running, waiting):
        with pytest.raises(GenerationStopped):
            future.result(60)
    assert (
        generator.submit(CHAT, SamplingParams(max_tokens=2), threading.Event()).result(60).outputs[0].tokens
        == 2
    )


async def test_who_leaves_stops_the_model(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from me2sdk.adapters.litellm_provider.generator import Generator
    from me2sdk.adapters.litellm_provider.types import GenerationStopped

    litellm, futures, submit = load_litellm(), [], Generator.submit

    def watched(*args: Any, **kwargs: Any) -> Any:
        futures.append(submit(*args, **kwargs))
        return futures[-1]

    monkeypatch.setattr(Generator, "submit", watched)
    model = f"transformers/{policy}"
    long = {"max_tokens": 1900, "temperature": 0}  # one that samples may end at any token
    stream = await litellm.acompletion(model, CHAT, **long, stream=True)
    async for piece in stream:
        if piece.choices[0].delta.content:
            break
    await stream.aclose()
    cut = {"messages": CHAT, "optional_params": long, "timeout": None}
    task = asyncio.create_task(
        handlers()["transformers"].acompletion(model=policy, **cut, model_response=None)
    )
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    response = await litellm.acompletion(model, CHAT, max_tokens=2)
    assert response.usage.completion_tokens == 2
    for future in futures[:2]:
        with pytest.raises((GenerationStopped, CancelledError)):
            future.result()


@pytest.mark.parametrize(
    ("params", "name", "message"),
    [
        (
            {"tools": [{"type": "function"}]},
            "UnsupportedParamsError",
            "tools.*A local model takes n, max_tokens",
        ),
        ({"temperature": -1}, "UnsupportedParamsError", "temperature"),
        ({"n": 2, "stream": True}, "UnsupportedParamsError", "leave n out"),
        ({"dtype": "float99"}, "BadRequestError", "no dtype to compute in"),
        ({"timeout": 0.001, "max_tokens": 1000}, "Timeout", "did not finish in time"),
    ],
)
def test_calls_that_a_local_model_refuses(
    policy: str, params: dict[str, Any], name: str, message: str
) -> None:
    litellm = load_litellm()
    with pytest.raises(getattr(litellm, name), match=message):
        list(litellm.completion(f"transformers/{policy}", CHAT, **params))
    chat = [{"role": "user", "content": "x" * 3000}]
    with pytest.raises(litellm.ContextWindowExceededError, match="the context of"):
        litellm.completion(f"transformers/{policy}", chat)


def test_models_that_cannot_be_read(policy: str, tmp_path: Path) -> None:
    import shutil

    import torch

    litellm = load_litellm()

    def refused(folder: Path, message: str) -> None:
        with pytest.raises(litellm.BadRequestError, match=message):
            litellm.completion(f"transformers/{folder}", CHAT)

    refused(tmp_path, "no config.json and no GGUF files")
    pickled = tmp_path / "pickled"
    shutil.copytree(policy, pickled)
    (pickled / "model.safetensors").unlink()
    torch.save({}, pickled / "pytorch_model.bin")
    refused(pickled, "weights in safetensors")
    silent = tmp_path / "silent"
    shutil.copytree(policy, silent)
    for template in silent.glob("chat_template*"):
        template.unlink()
    refused(silent, "no chat template")


def test_what_is_missing_is_named(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("causal_model", "decoding"):
        monkeypatch.delitem(sys.modules, f"me2sdk.adapters.litellm_provider.{name}", raising=False)
        monkeypatch.delattr(f"me2sdk.adapters.litellm_provider.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(load_litellm().BadRequestError, match=r'Run: pip install "me2sdk\[litellm\]"'):
        load_litellm().completion(f"transformers/{policy}", CHAT)
