from __future__ import annotations

import time
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply

from me2sdk.llm import Generation, clean_json, estimate_tokens
from me2sdk.schema import Usage

CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("fields", "content", "expected"),
    [
        ({"reasoning_content": "r"}, "c", {"reasoning_content": "r", "content": "c"}),
        ({"reasoning": "r"}, "c", {"reasoning_content": "r", "content": "c"}),
        ({}, "<think>r</think>c", {"reasoning_content": "r", "content": "c"}),
        ({}, "r</think>c", {"content": "r</think>c"}),
        ({"tool_calls": [CALL]}, None, {"content": None, "tool_calls": [CALL]}),
        ({"reasoning_content": "r"}, None, {"content": None, "reasoning_content": "r"}),
        ({}, "lone \ud800 surrogate", {"content": "lone \ufffd surrogate"}),
    ],
)
async def test_messages_of_several_providers(
    connect: Any, fields: dict[str, Any], content: str | None, expected: dict[str, Any]
) -> None:
    with OpenAIServer(Reply(content, fields)) as server:
        answer = await connect(server).agenerate("a lone \ud800 surrogate")
        assert server.requests[0].text == "a lone \ufffd surrogate"
    assert answer.message == {"role": "assistant", **expected}
    assert Generation.model_validate_json(answer.model_dump_json()) == answer


async def test_thinking_blocks_are_kept(connect: Any) -> None:
    blocks = [{"type": "thinking", "thinking": "r", "signature": "s"}]
    with OpenAIServer(Reply("c", {"thinking_blocks": blocks, "reasoning_content": "r"})) as server:
        answer = await connect(server, "hosted_vllm/test").agenerate("x")
    assert answer.message["reasoning_content"] == "r"
    assert answer.message.get("thinking_blocks", blocks) == blocks


def test_comparison_and_dump_leave_raw_aside() -> None:
    one = Generation(index=0, message={"content": "x"}, model="m", usage=Usage(), raw=object())
    assert one == Generation(index=0, message={"content": "x"}, model="m", usage=Usage())
    assert one != Generation(index=1, message={"content": "x"}, model="m", usage=Usage())
    assert one != "x"
    assert "raw" not in one.model_dump()
    assert "object" not in repr(one)


def test_clean_copies() -> None:
    value = {"a": ["\ud800", {"b": ("x", 1, None)}]}
    assert clean_json(value) == {"a": ["\ufffd", {"b": ["x", 1, None]}]}
    assert value["a"][0] == "\ud800"


def test_estimate_is_on_the_high_side_and_linear() -> None:
    english = "The quick brown fox jumps over the lazy dog. "  # 10 tokens in most vocabularies
    assert 10 <= estimate_tokens(english) <= 20
    assert estimate_tokens([{"role": "user", "content": english}]) == estimate_tokens(english) + 4
    assert estimate_tokens([None, {"x": 1, "y": True}]) == 2
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    assert estimate_tokens({"role": "user", "content": [picture, {"type": "text", "text": "hi"}]}) < 1100
    assert estimate_tokens("\ud800") == 1
    started = time.perf_counter()
    estimate_tokens("a" * 10_000_000)
    assert time.perf_counter() - started < 1
