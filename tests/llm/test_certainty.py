"""Log-probabilities that a server or a function sends become the certainty of an answer, and are not kept."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply

from me2sdk import LLM
from me2sdk.llm import Generation
from me2sdk.schema import Certainty

TOP = [{"token": "4", "logprob": -0.5, "bytes": None}, {"token": "5", "logprob": -1.5, "bytes": None}]
LOGPROBS = {
    "content": [
        {"token": "4", "logprob": -0.5, "bytes": [52], "top_logprobs": TOP},
        {"token": ".", "logprob": -1.5, "bytes": [46], "top_logprobs": TOP},
    ],
    "refusal": None,
}
EXPECTED = Certainty.from_logprobs(LOGPROBS)


def test_a_reply_with_logprobs(connect: Any) -> None:
    with OpenAIServer(Reply("4.", choice={"logprobs": LOGPROBS})) as server:
        generation = connect(server).generate("2 + 2?", logprobs=True, top_logprobs=2)
    assert (server.requests[0].body["logprobs"], server.requests[0].body["top_logprobs"]) == (True, 2)
    assert generation.certainty == EXPECTED
    assert EXPECTED is not None
    assert (EXPECTED.mean_logprob, EXPECTED.top_k) == (-1.0, 1.0)
    assert "logprobs" not in generation.model_dump_json()
    assert generation.raw.choices[0].logprobs.content[0].logprob == -0.5  # the response itself is as it came


@pytest.mark.parametrize("logprobs", [None, {"content": None}, {"content": []}, {}])
def test_a_reply_without_logprobs(connect: Any, logprobs: Any) -> None:
    with OpenAIServer(Reply("4.", choice={"logprobs": logprobs})) as server:
        assert connect(server).generate("2 + 2?", logprobs=True).certainty is None


def test_each_of_several_choices_has_its_own(connect: Any) -> None:
    async def sample(llm: LLM) -> list[Any]:
        return sorted(
            [item async for item in llm.asample("2 + 2?", 2, logprobs=True)], key=lambda one: one.index
        )

    def behave(request: Any) -> Reply:
        value = -0.25 * (request.number + 1)
        return Reply(
            "4", choice={"logprobs": {"content": [{"token": "4", "logprob": value}]}}, honours_n=False
        )

    with OpenAIServer(behave) as server:
        items = asyncio.run(sample(connect(server)))
    assert sorted(item.certainty.mean_logprob for item in items) == [-0.5, -0.25]


@pytest.mark.parametrize("nested", [False, True], ids=["message", "response"])
def test_a_function_may_send_them(nested: bool) -> None:
    def model(messages: Any, **params: Any) -> Any:
        if nested:
            from litellm import ModelResponse

            return ModelResponse(choices=[{"message": {"content": "4."}, "logprobs": LOGPROBS}])
        return {"content": "4.", "logprobs": LOGPROBS}

    generation = LLM(model).generate("2 + 2?")
    assert generation.certainty == EXPECTED
    assert "logprobs" not in generation.message
    assert "logprobs" not in json.dumps(generation.model_dump())


def test_a_cached_answer_keeps_it(connect: Any, tmp_path: Path) -> None:
    with OpenAIServer(Reply("4.", choice={"logprobs": LOGPROBS})) as server:
        llm = connect(server, cache=tmp_path)
        first, again = (llm.generate("2 + 2?", logprobs=True) for _ in range(2))
    assert (first.cached, again.cached, len(server.requests)) == (False, True, 1)
    assert first.certainty == again.certainty == EXPECTED


def stored(llm: LLM, change: Any) -> None:
    """Change the one record of the cache."""
    assert llm._cache is not None
    rows = llm._cache._rows
    (key,) = list(rows)
    record = json.loads(rows[key])
    change(record)
    rows[key] = json.dumps(record)
    rows.close()


def test_an_older_answer_counts_unless_logprobs_were_asked_for(connect: Any, tmp_path: Path) -> None:
    """What was paid for stays usable where nothing is missing from it."""
    with OpenAIServer(Reply("4.", choice={"logprobs": LOGPROBS})) as server:
        for folder, params, cached in (("a", {}, True), ("b", {"logprobs": True}, False)):
            llm = connect(server, cache=tmp_path / folder)
            llm.generate("2 + 2?", **params)
            stored(llm, lambda record: record.pop("certainty"))
            assert llm.generate("2 + 2?", **params).cached is cached


@pytest.mark.parametrize("planted", ["text", 7, [], {}, {"tokens": "many"}, {"unknown": 1}])
def test_a_certainty_that_cannot_be_read_is_none(connect: Any, tmp_path: Path, planted: Any) -> None:
    with OpenAIServer("4.") as server:
        llm = connect(server, cache=tmp_path)
        llm.generate("2 + 2?")
        stored(llm, lambda record: record.update(certainty=planted))
        again = llm.generate("2 + 2?")
    assert (again.cached, again.certainty) == (True, None)


def test_a_budget_does_not_count_them_as_text() -> None:
    from me2sdk.llm.answer import Answer, Choice
    from me2sdk.schema import Usage

    plain = {"role": "assistant", "content": "4."}
    sizes = [
        Answer([Choice(m, None, None)], Usage()).estimated_tokens
        for m in (plain, {**plain, "logprobs": LOGPROBS})
    ]
    assert sizes[0] == sizes[1]


def test_a_generation_loads_back() -> None:
    generation = LLM(lambda messages: {"content": "4.", "logprobs": LOGPROBS}).generate("2 + 2?")
    assert Generation.model_validate_json(generation.model_dump_json()) == generation


def test_parameters_that_are_not_set() -> None:
    llm = LLM(lambda messages, **params: "4.", top_logprobs=5, logprobs=None)
    assert llm.unset({"logprobs": True, "top_logprobs": 10, "seed": 1}) == {"seed": 1}
