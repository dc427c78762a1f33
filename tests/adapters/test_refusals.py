"""A refusal in each framework's own form is one in ours."""

from __future__ import annotations

from typing import Any

import pytest

from me2sdk import RerankResult, rerank

NO = "I cannot help with that."


def ranked(message: dict[str, Any]) -> RerankResult:
    return rerank("q", [message, "7 * 6 = 42"])


def check(message: dict[str, Any]) -> None:
    assert [(c.index, c.refusal) for c in ranked(message).candidates] == [(1, None), (0, NO)]


@pytest.mark.parametrize(
    "fields",
    [
        {"content": "", "additional_kwargs": {"refusal": NO}},
        {"content": [{"type": "refusal", "refusal": NO}]},
    ],
)
def test_langchain(fields: dict[str, Any]) -> None:
    messages = pytest.importorskip("langchain_core.messages")
    from me2sdk.adapters.langchain.messages import assistant

    check(assistant(messages.AIMessage(**fields)))


def test_langchain_says_it_in_a_reason() -> None:
    messages = pytest.importorskip("langchain_core.messages")
    from me2sdk.adapters.langchain.messages import answered

    said = answered(messages.AIMessage("", response_metadata={"stop_reason": "refusal"}))
    assert said.choices[0].finish_reason == "refusal"


def test_the_responses_api() -> None:
    pytest.importorskip("agents")
    from me2sdk.adapters._shared import as_assistant

    part = {"type": "refusal", "refusal": NO}
    check(as_assistant([{"type": "message", "role": "assistant", "content": [part]}]))


def test_inspect() -> None:
    model = pytest.importorskip("inspect_ai.model")
    from me2sdk.adapters.inspect_ai.messages import as_message

    check(as_message(model.ChatMessageAssistant(content=[model.ContentText(text=NO, refusal=True)])))


def test_llama_index() -> None:
    types = pytest.importorskip("llama_index.core.base.llms.types")
    from me2sdk.adapters.llama_index.messages import as_message
    from me2sdk.adapters.llama_index.native import _answered

    empty = {"role": "assistant", "content": ""}
    check(as_message(types.ChatMessage(**empty, additional_kwargs={"refusal": NO})))
    raw = {"choices": [{"message": {"refusal": NO}, "finish_reason": "stop"}]}
    check(_answered(types.ChatResponse(message=types.ChatMessage(**empty), raw=raw)).choices[0].message)


def test_dspy() -> None:
    dspy = pytest.importorskip("dspy")
    from me2sdk.adapters.dspy.messages import answered

    part = dspy.lm15.RefusalPart(text=NO)
    message = dspy.lm15.Message(role="assistant", parts=(part,))
    response = dspy.lm15.Response(
        id="1", model="x", message=message, finish_reason="stop", usage=dspy.lm15.Usage()
    )
    check(answered(response).choices[0].message)


def test_pydantic_ai() -> None:
    messages = pytest.importorskip("pydantic_ai.messages")
    from me2sdk.adapters.pydantic_ai import _answered

    response = messages.ModelResponse(
        parts=[messages.TextPart("so far")],
        finish_reason="content_filter",
        provider_details={"finish_reason": "refusal"},
    )
    assert _answered(response).choices[0].finish_reason == "refusal"
