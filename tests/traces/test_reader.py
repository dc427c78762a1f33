from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from me2sdk import InvalidTraceError, Trace

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=200)
PIECES = st.lists(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "<thinking>",
            "[THINK]",
            "[/THINK]",
            "<|channel|>analysis<|message|>",
            "<|channel|>final",
        ]
        + [
            "<|message|>",
            "<|end|>",
            "<|start|>assistant",
            "\\boxed{",
            "{",
            "}",
            "\\",
            "Final answer:",
            "####",
            " 42",
            "\n",
        ]
        + ["assistantfinal", "analysis", "x", "\ud800"]
    ),
    max_size=30,
).map("".join)


@pytest.mark.parametrize(
    ("text", "reasoning", "response", "truncated"),
    [
        ("<think>a</think>b", "a", "b", False),
        ("\n <think>\na\n</think>\n\nb\n", "a", "b", False),
        ("<THINKING>a</thinking>b", "a", "b", False),
        ("<think>a</think>b<think>c</think>d", "a\n\nc", "b\n\nd", False),
        ("a</think>b", "a", "b", False),
        ("<think>a", "a", None, True),
        ("<think>a</think>b<think>c", "a", "b<think>c", False),
        ("<think>a</think><think>c", "a\n\nc", None, True),
        ("<think>a<think>b</think>c", "a<think>b", "c", False),
        ("[THINK]a[/THINK]b", "a", "b", False),
        ("<think>\n\n</think>\n\nb", "b", "b", False),
        ("plain", "plain", "plain", False),
        ("I write <think> in prose", "I write <think> in prose", "I write <think> in prose", False),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>",
            "a",
            "b",
            False,
        ),
        (
            "<|start|>assistant<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary to=f "
            "<|constrain|>json<|message|>{}<|call|><|channel|>final<|message|>b",
            "a\n\n{}",
            "b",
            False,
        ),
        ("<|channel|>analysis<|message|>a", "a", None, True),
        ("analysisWe need 2.assistantfinal4", "We need 2.", "4", False),
        ("", "", "", False),
    ],
)
def test_from_text(text: str, reasoning: str, response: str | None, truncated: bool) -> None:
    trace = Trace.from_text(text, "q")
    assert (trace.reasoning, trace.response, trace.truncated) == (reasoning, response, truncated)
    assert trace.question == "q"


class _Message:
    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)


@pytest.mark.parametrize(
    ("message", "reasoning", "response", "truncated"),
    [
        ({"content": "b", "reasoning_content": "a"}, "a", "b", False),
        ({"content": "b", "reasoning": "a"}, "a", "b", False),
        ({"content": "<think>a</think>b", "reasoning_content": "a"}, "a", "b", False),
        ({"content": "<think>a</think>b", "reasoning_content": None}, "a", "b", False),
        (
            {
                "content": "b",
                "thinking_blocks": [{"type": "thinking", "thinking": "a"}, {"type": "redacted_thinking"}],
            },
            "a",
            "b",
            False,
        ),
        (
            {"content": [{"type": "thinking", "thinking": "a"}, {"type": "text", "text": "b"}]},
            "a",
            "b",
            False,
        ),
        ({"content": None, "reasoning_content": "a"}, "a", None, True),
        ({"content": "b"}, "b", "b", False),
        (
            {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
            "f({})",
            "f({})",
            False,
        ),
        (_Message(content="b", reasoning_content="a"), "a", "b", False),
        (_Message(content="<think>a</think>b"), "a", "b", False),
    ],
)
def test_from_message(message: object, reasoning: str, response: str | None, truncated: bool) -> None:
    trace = Trace.from_message(message)
    assert (trace.reasoning, trace.response, trace.truncated) == (reasoning, response, truncated)


@pytest.mark.parametrize("message", [{}, {"content": None}, {"content": "  "}, 3, None, "text"])
def test_from_message_refuses_what_is_no_message(message: object) -> None:
    with pytest.raises(InvalidTraceError, match="assistant message"):
        Trace.from_message(message)


def test_from_text_refuses_bytes() -> None:
    with pytest.raises(InvalidTraceError, match="needs a string"):
        Trace.from_text(b"x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{4}", "4"),
        (r"\boxed{1} then \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{\boxed{3}}", "3"),
        (r"\boxed{a \{b\} c}", r"a \{b\} c"),
        (r"\boxed{7} and \boxed{unclosed", "7"),
        (r"\boxed {5}", "5"),
        ("x\n#### 42", "42"),
        ("#### 1\n#### 1,000 ", "1,000"),
        ("Final answer: 12 apples.", "12 apples"),
        ("**Final Answer:** 12", "12"),
        ("The final answer is $x^2$.", "$x^2$"),
        ("**Final Answer**\n\n" + r"\boxed{9}", "9"),
        ("Final answer: 1\nFinal answer: 2", "2"),
        (r"Final answer: 1 but \boxed{2}", "2"),
        ("the answer is 3", "3"),
        ("", None),
    ],
)
def test_answer(text: str, answer: str | None) -> None:
    assert Trace.from_text(text).answer == answer
    assert Trace(reasoning=text).answer == answer


def test_answer_prefers_the_response_and_ignores_unfinished_thoughts() -> None:
    assert Trace.from_text(r"<think>\boxed{1}</think>\boxed{2}").answer == "2"
    assert Trace.from_text(r"<think>\boxed{1}</think>so it is").answer == "1"
    assert Trace.from_text(r"<think>\boxed{1} but wait").answer is None


@given(st.one_of(ANY_TEXT, PIECES))
def test_any_text_reads_and_round_trips_through_json(text: str) -> None:
    trace = Trace.from_text(text)
    assert Trace.model_validate_json(trace.model_dump_json()) == trace
    assert trace.answer is None or trace.answer.strip()
    assert trace.response is not None or trace.truncated or not trace.reasoning
    assert Trace.from_text(text) == trace


@given(PIECES, PIECES)
def test_a_closed_block_at_the_start_is_always_the_reasoning(thought: str, rest: str) -> None:
    if any(mark in thought + rest for mark in ("think", "THINK", "<|", "\ud800")):
        return
    trace = Trace.from_text(f"<think>{thought}</think>{rest}")
    if thought.strip():
        assert (trace.reasoning, trace.response) == (thought.strip(), rest.strip())
    else:
        assert trace.reasoning == rest.strip()


@pytest.mark.parametrize(
    "piece",
    [
        "<think>",
        "</think>",
        "\\boxed{",
        "\\boxed{}",
        "{",
        "<|channel|>analysis<|message|>",
        "<|start|>",
        "Final answer:",
        "####",
    ]
    + [
        "final answer ",
        " ",
        "\n",
        "<",
        "\\",
        "analysis",
        "<|channel|>",
        "<|end|>",
        "assistantfinal",
        "Final answer is\n",
    ],
)
def test_reading_hostile_text_is_linear(piece: str) -> None:
    seconds = []
    for size in (100_000, 800_000):
        text = piece * (size // len(piece))
        best = float("inf")
        for _ in range(2):
            started = time.process_time()
            trace = Trace.from_text(text)
            _ = trace.answer
            best = min(best, time.process_time() - started)
        seconds.append(best)
    assert seconds[1] < 25 * seconds[0] + 0.2  # 8 times the text; quadratic would be 64 times
