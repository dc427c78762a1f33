from __future__ import annotations

import time

import pytest
from hypothesis import given, strategies as st

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
        # Blocks within blocks, ends without a beginning and beginnings without an end.
        ("<think>a<think>b</think>c</think>d", "a\n\nb\n\nc", "d", False),
        ("a<think>b</think>c</think>d", "a\n\nb\n\nc", "d", False),
        ("<think>a</think>\n</think>\n\nb", "a", "b", False),
        ("<think>a</thinking>b", "a", "b", False),
        ("Sure. <think>a</think>b", "a", "Sure.\n\nb", False),
        ('<think type="deep">a</think >b', "a", "b", False),
        # Wrapped answers.
        ("<think>7 * 6 = 42</think> <answer>42</answer>", "7 * 6 = 42", "42", False),
        ("<think>\n7 * 6 = 42\n</think>\n<answer>\n42\n</answer>", "7 * 6 = 42", "42", False),
        ("<think>a</think><answer>42", "a", "42", False),
        ("<think>a</think>42</answer>", "a", "42", False),
        ("<think>a<answer>42</answer>", "a", "42", False),
        ("<think>a <answer>42</answer> but wait", "a <answer>42</answer> but wait", None, True),
        ("<think>a</think>Put it in <answer>b</answer>.", "a", "Put it in <answer>b</answer>.", False),
        ("<think>a</think><answer>1</answer>\nand\n", "a", "1\n\nand", False),
        ("<answer>42</answer>", "<answer>42</answer>", "<answer>42</answer>", False),
        ("<|START_RESPONSE|>b<|END_RESPONSE|>", "b", "b", False),
        ("<think>a</think>It is <|begin_of_box|>42<|end_of_box|>.", "a", "It is 42.", False),
        # Tokens of chat templates.
        ("<think>7 * 6 = 42</think>42<|im_end|>", "7 * 6 = 42", "42", False),
        ("<|im_start|>assistant\n<think>a</think>b<|im_end|>\n<|endoftext|>", "a", "b", False),
        ("<s>plain </s>", "plain", "plain", False),
        ("<start_of_turn>model\nb <end_of_turn>\n", "b", "b", False),
        ("\ufeff<think>a</think>b", "a", "b", False),
        ("a<end_of_turn>", "a", "a", False),
        ("b<｜end▁of▁sentence｜>", "b", "b", False),
        # Harmony in its leftovers.
        (
            '<|start|>assistant to=functions.mul<|channel|>commentary <|constrain|>json<|message|>{"a": 7}<|call|>',
            '{"a": 7}',
            None,
            False,
        ),
        (
            "assistant<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>",
            "a",
            "b",
            False,
        ),
        ("a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>", "a", "b", False),
        ("<|start|>assistant<|message|>b<|end|>", "b", "b", False),
        ("final<|message|>b<|return|>", "b", "b", False),
        ("analysis<|message|>a", "a", None, True),
        ("assistantfinal42", "42", "42", False),
        (
            "analysisAdd.assistantcommentary to=f {}assistantanalysisOk.assistantfinal4",
            "Add.\n\nto=f {}\n\nOk.",
            "4",
            False,
        ),
        ("analysisWe need", "We need", None, True),
        ("analysis of the data", "analysis of the data", "analysis of the data", False),
        ("Write `<|channel|>final<|message|>`.",) * 3 + (False,),
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
        ({"content": "b", "thinking": "a"}, "a", "b", False),
        ({"content": "b", "provider_specific_fields": {"thinking": "a"}}, "a", "b", False),
        (
            {"content": "b", "reasoning_content": "a", "provider_specific_fields": {"reasoning": "a"}},
            "a",
            "b",
            False,
        ),
        (
            {
                "content": "b",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "a"},
                    {"type": "reasoning.encrypted", "data": "x"},
                    {"type": "reasoning.summary", "summary": "c"},
                ],
            },
            "a\n\nc",
            "b",
            False,
        ),
        (
            {
                "content": [
                    {
                        "type": "thinking",
                        "thinking": [{"type": "text", "text": "a"}, {"type": "text", "text": "c"}],
                    },
                    {"type": "text", "text": "b"},
                ]
            },
            "a\n\nc",
            "b",
            False,
        ),
        (
            {"content": [{"type": "reasoning", "reasoning": "a"}, {"type": "text", "text": "b"}]},
            "a",
            "b",
            False,
        ),
        (
            {
                "content": [
                    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}]},
                    {"type": "output_text", "text": "b"},
                ]
            },
            "a",
            "b",
            False,
        ),
        ({"content": [{"text": "a", "thought": True}, {"text": {"value": "b"}}, "c"]}, "a", "bc", False),
        ({"content": {"type": "text", "text": "b"}, "reasoning": {"content": "a"}}, "a", "b", False),
        # What leaks into the content beside a field.
        ({"reasoning_content": "a", "content": "<|channel|>final<|message|>b"}, "a", "b", False),
        (
            {"reasoning_content": "7 crates of", "content": " 6 make 42.\n</think>\n\nThere are 42 jars."},
            "7 crates of 6 make 42.",
            "There are 42 jars.",
            False,
        ),
        ({"reasoning_content": "<think>a</think>", "content": "b<|im_end|>"}, "a", "b", False),
        ({"reasoning_content": "a</think>b", "content": None}, "a", "b", False),
        ({"reasoning_content": "a", "content": "<think>c</think>b"}, "a\n\nc", "b", False),
        ({"reasoning_content": "a", "content": "<think>a and c</think>b"}, "a and c", "b", False),
        ({"reasoning_content": "a", "content": "<think>c"}, "a\n\nc", None, True),
        ({"reasoning_content": "a", "content": "<answer>b</answer>"}, "a", "b", False),
        ({"reasoning_content": "a", "content": "c</think>"}, "ac", None, True),
    ],
)
def test_from_message(message: object, reasoning: str, response: str | None, truncated: bool) -> None:
    trace = Trace.from_message(message)
    assert (trace.reasoning, trace.response, trace.truncated) == (reasoning, response, truncated)


@pytest.mark.parametrize(
    ("message", "reason", "response", "truncated"),
    [
        ({"content": None, "reasoning_content": "a"}, "stop", "a", False),
        ({"content": "", "reasoning_content": "a"}, "end_turn", "a", False),
        ({"content": None, "reasoning_content": "a"}, "length", None, True),
        ({"content": None, "reasoning_content": "a"}, "whim", None, True),
        ({"content": "<think>a"}, "stop", "a", False),
        ({"content": "<think>a"}, "length", None, True),
        ({"content": "c</think>", "reasoning_content": "a"}, "stop", "ac", False),
        ({"content": "b", "reasoning_content": "a"}, "MAX_TOKENS", "b", True),
        ({"content": "b", "reasoning_content": "a"}, "stop", "b", False),
        ({"content": "b"}, "content_filter", "b", True),
        ({"content": None, "reasoning": "a</think>b"}, "length", None, True),
    ],
)
def test_a_finish_reason_says_whether_reasoning_alone_is_an_answer(
    message: dict[str, object], reason: str, response: str | None, truncated: bool
) -> None:
    trace = Trace.from_message(message, finish_reason=reason)
    assert (trace.response, trace.truncated) == (response, truncated)


def test_a_field_may_hold_itself() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert Trace.from_message({"content": "b", "reasoning": loop}).reasoning == "b"


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
        "<think>`x",
        "<think>\n```\n</think>\n",
        "`a``b",
        "```py\n",
        "`</think>` ",
        "<a:think",
        "<think ",
        "</s>",
        "<|im_end|> ",
        "<answer>",
        "<think></think>",
        "<|im_start|>assistant",
        "Here is my response:",
    ],
)
def test_reading_hostile_text_is_linear(piece: str) -> None:
    seconds = []
    for size in (25_000, 200_000):
        text = piece * (size // len(piece))
        best = float("inf")
        for _ in range(2):
            started = time.process_time()
            for start in ("", "<think>", "<think>a</think>"):
                trace = Trace.from_text(start + text)
                _ = trace.answer
            best = min(best, time.process_time() - started)
        seconds.append(best)
    assert seconds[1] < 25 * seconds[0] + 0.2  # 8 times the text; quadratic would be 64 times
