from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from me2sdk import ConfigurationError, Trace
from me2sdk.traces import ThinkingFormat, formats, register_format, thinking_formats

ROOT = Path(__file__).parents[2]


def _written(form: str) -> str:
    """A form as a model writes it."""
    return form.replace(formats.ANYTHING, "some")


ROWS = [
    pytest.param(row, opening, closing, id=f"{row.name}: {opening}")
    for row in thinking_formats()
    for opening, closing in zip(row.opening, row.closing * len(row.opening), strict=False)
]
PAIRS = [
    (_written(opening), _written(closing))
    for row in thinking_formats()
    if not row.paired and not row.opening[0][0].isalpha()
    for opening, closing in zip(row.opening, row.closing * len(row.opening), strict=False)
]
WORDS = st.text(alphabet="abc .,\n", min_size=1, max_size=20).filter(lambda text: bool(text.strip()))


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table as it was, when the test is over."""
    monkeypatch.setattr(formats, "_table", formats.FORMATS)


def _parts(trace: Trace) -> tuple[str, str | None, bool]:
    return trace.reasoning, trace.response, trace.truncated


@pytest.mark.parametrize(("row", "opening", "closing"), ROWS)
def test_every_format_splits(row: ThinkingFormat, opening: str, closing: str) -> None:
    opening, closing = _written(opening), _written(closing)
    for text in (f"{opening}7 * 6{closing}42", f"\n{opening}\n7 * 6\n{closing}\n\n42\n"):
        assert _parts(Trace.from_text(text)) == ("7 * 6", "42", False)
        assert _parts(Trace.from_message({"content": text})) == ("7 * 6", "42", False)


@pytest.mark.parametrize(("row", "opening", "closing"), ROWS)
def test_every_format_unwraps_its_answer(row: ThinkingFormat, opening: str, closing: str) -> None:
    start = _written(opening) + "7 * 6" + _written(closing)
    for before, after in zip(row.answer_opening, row.answer_closing, strict=False):
        for text in (
            f"{start}{before}42{after}",
            f"{start}\n{before}\n42\n{after}\n",
            f"{start}\n{before}42",
        ):
            assert _parts(Trace.from_text(text)) == ("7 * 6", "42", False)
    for after in row.answer_closing:
        assert _parts(Trace.from_text(f"{start}42{after}")) == ("7 * 6", "42", False)


@pytest.mark.parametrize(("row", "opening", "closing"), ROWS)
def test_the_prompt_may_have_opened_a_format_and_the_model_may_be_cut_off(
    row: ThinkingFormat, opening: str, closing: str
) -> None:
    opening, closing = _written(opening), _written(closing)
    if not row.paired:
        assert _parts(Trace.from_text(f"7 * 6{closing}42")) == ("7 * 6", "42", False)
        assert Trace.from_message({"reasoning": "7 *", "content": f" 6\n{closing}42"}).reasoning == "7 * 6"
        assert Trace.from_message({"reasoning": "7 *", "content": f" 6\n{closing}42"}).response == "42"
    if not opening[0].isalpha():
        assert _parts(Trace.from_text(f"{opening}7 *")) == ("7 *", None, True)
        finished = Trace.from_message({"content": f"{opening}7 * 6"}, finish_reason="stop")
        assert _parts(finished) == ("7 * 6", "7 * 6", False)


@pytest.mark.parametrize(("row", "opening", "closing"), ROWS)
def test_forms_in_code_are_text(row: ThinkingFormat, opening: str, closing: str) -> None:
    opening, closing = _written(opening), _written(closing)
    for answer in (
        f"Write `{opening}` before and `{closing}` after.",
        f"Like this:\n```\n{opening}\nnotes\n{closing}\n```\nDone.",
        f"Use `{closing}` to end it.",
        f"It ends so:\n\n```text\n{closing}\n```",
    ):
        assert _parts(Trace.from_text(answer)) == (answer, answer, False)
        assert _parts(Trace.from_text(f"<think>how</think>{answer}")) == ("how", answer, False)
        assert _parts(Trace.from_message({"reasoning": "how", "content": answer})) == ("how", answer, False)


@pytest.mark.parametrize(
    "thought", ["it's a ` tick", "```py\nx", "`a` and ` b", "```\nx\n```\n```", "`` two ` three", "~~~"]
)
@pytest.mark.parametrize("answer", ["plain", "use `x`", "```py\ny\n```"])
def test_a_stray_backtick_in_the_reasoning_hides_no_tag(thought: str, answer: str) -> None:
    assert _parts(Trace.from_text(f"<think>{thought}\n</think>\n{answer}")) == (thought, answer, False)
    assert _parts(Trace.from_text(f"<think>{thought}</think>{answer}")) == (thought, answer, False)


@given(
    st.sampled_from(PAIRS), WORDS, WORDS, WORDS, WORDS, st.sampled_from(["", "<|im_end|>", "</s>\n", "\n"])
)
def test_nothing_is_lost_and_nothing_is_doubled(
    pair: tuple[str, str], one: str, two: str, three: str, four: str, leftover: str
) -> None:
    opening, closing = pair
    flat = Trace.from_text(f"{opening}{one}{closing}{two}{opening}{three}{closing}{four}{leftover}")
    assert _parts(flat) == (f"{one.strip()}\n\n{three.strip()}", f"{two.strip()}\n\n{four.strip()}", False)
    nested = Trace.from_text(f"{opening}{one}{opening}{two}{closing}{three}{closing}{four}{leftover}")
    assert _parts(nested) == ("\n\n".join(map(str.strip, (one, two, three))), four.strip(), False)
    prefilled = Trace.from_text(f"{one}{opening}{two}{closing}{three}{closing}{four}{leftover}")
    assert _parts(prefilled) == _parts(nested)
    uneven = Trace.from_text(f"{opening}{one}{opening}{two}{closing}{three}{leftover}")
    assert _parts(uneven) == (f"{one}{opening}{two}".strip(), three.strip(), False)


@given(st.sampled_from(PAIRS), st.sampled_from(PAIRS), WORDS, WORDS)
def test_what_leaks_beside_a_field_joins_it_once(
    pair: tuple[str, str], other: tuple[str, str], thought: str, answer: str
) -> None:
    opening, closing = pair
    for field in (thought, f"{opening}{thought}{closing}", f"{other[0]}{thought}"):
        for content in (answer, f"{opening}{thought}{closing}{answer}", f"{closing}{answer}"):
            trace = Trace.from_message({"reasoning_content": field, "content": content})
            assert _parts(trace) == (thought.strip(), answer.strip(), False)


@given(
    st.lists(st.sampled_from([form for pair in PAIRS for form in pair] + ["`", "\n", "a", "b"]), max_size=12)
)
def test_any_forms_in_any_order_keep_each_letter_once(pieces: list[str]) -> None:
    text = "".join(f"{piece}{chr(0x4E00 + index)}" for index, piece in enumerate(pieces))
    trace = Trace.from_text(text)
    kept = trace.reasoning + (trace.response or "")
    if trace.reasoning == trace.response:
        kept = trace.reasoning
    assert sorted(c for c in kept if c >= "\u4e00") == [chr(0x4E00 + index) for index in range(len(pieces))]


@pytest.mark.usefixtures("table")
def test_a_user_adds_a_format() -> None:
    text = "{{ponder}}7 * 6{{end}}42"
    assert Trace.from_text(text).response == text
    register_format(ThinkingFormat("mine", ("{{ponder}}",), ("{{end}}",)))
    assert _parts(Trace.from_text(text)) == ("7 * 6", "42", False)
    register_format(ThinkingFormat("mine", ("Thinking:",), ("Answer:",), paired=True))
    assert Trace.from_text(text).response == text
    assert _parts(Trace.from_text("Thinking: 7 * 6\nAnswer: 42")) == ("7 * 6", "42", False)
    assert _parts(Trace.from_text("Thinking: 7 * 6")) == ("Thinking: 7 * 6", "Thinking: 7 * 6", False)
    assert len(thinking_formats()) == len(formats.FORMATS) + 1


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ((), ("x>",)),
        (("<x>",), ()),
        ("<x>", "</x>"),
        ((" x",), ("<x>",)),
        (("……a",), ("<x>",)),
        (("<x>",), ("Answer:",)),
    ],
)
def test_a_format_without_usable_forms_is_refused(opening: tuple[str, ...], closing: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError):
        ThinkingFormat("mine", opening, closing)


@pytest.mark.parametrize("token", ["</s>", "<|end|>", "<s>\n", "<|im_start|>"])
@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<think>", "</think>"),
        ("<|im_start|>think", "<|im_start|>answer"),
        ("<|im_start|>assistant/think", "<|im_end|>\n<|im_start|>assistant"),
    ],
)
def test_a_long_run_of_tokens_hides_no_form(token: str, opening: str, closing: str) -> None:
    run = token * 50_000
    assert _parts(Trace.from_text(f"{run}{opening}\na{closing}\nb{run}")) == ("a", "b", False)
    assert _parts(Trace.from_text(run)) == ("", "", False)


def test_what_is_no_format_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="ThinkingFormat"):
        register_format("<x>")  # type: ignore[arg-type]


def test_each_row_has_a_name_of_its_own_and_a_source() -> None:
    assert len({row.name for row in formats.FORMATS}) == len(formats.FORMATS)
    assert all(row.source and row.models for row in formats.FORMATS)


@pytest.mark.usefixtures("table")
def test_the_page_is_what_the_table_makes() -> None:
    spec = importlib.util.spec_from_file_location("formats_page", ROOT / "docs" / "formats.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "formats.md").read_text("utf-8") == module.page(), (
        "run python docs/formats.py docs/formats.md"
    )
