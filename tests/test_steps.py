from __future__ import annotations

import gc
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from me2sdk import ConfigurationError, InvalidTraceError, Trace, count_prefixes, split_steps
from me2sdk.steps import PREFIX_SETS, guess_prefixes

PIECES = st.lists(
    st.sampled_from(
        [
            "So",
            "Wait",
            "let's",
            "Let’s",
            "x",
            "\n",
            "\n\n",
            " ",
            "\t",
            "\r",
            "**",
            "1. ",
            "\ud800",
            "\u2028",
            "\x1c",
        ]
    ),
    max_size=40,
).map("".join)
TRACE = "Okay, so I need 2+2.\n\nIt is easy.\n\nWait, is it?\n \nIndeed.\n\n\n**So** it is 4."


@given(
    st.one_of(st.text(alphabet=st.characters(exclude_categories=())), PIECES),
    st.sampled_from([*PREFIX_SETS, "auto"]),
)
def test_round_trip(text: str, prefixes: str) -> None:
    steps = split_steps(text, prefixes)
    assert "".join(step.text + step.separator for step in steps) == text
    assert bool(steps) == bool(text)
    assert all(step.text for step in steps)


@given(PIECES)
def test_each_step_but_the_first_starts_with_a_prefix_word(text: str) -> None:
    for step in split_steps(text, ["so", "let's"])[1:]:
        assert step.text.lstrip(" \n\t\r*1.\u2028\x1c").lower().startswith(("so", "let's", "let’s"))


def test_blocks_join_the_step_before_them() -> None:
    steps = split_steps(TRACE, "general")
    assert [step.text for step in steps] == [
        "Okay, so I need 2+2.\n\nIt is easy.",
        "Wait, is it?\n \nIndeed.",
        "**So** it is 4.",
    ]
    assert [step.separator for step in steps] == ["\n\n", "\n\n\n", ""]


def test_a_trace_is_cut_by_its_reasoning() -> None:
    trace = Trace.from_text(f"<think>{TRACE}</think>So 4.\n\nSo done.")
    assert split_steps(trace) == split_steps(TRACE)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("So.\n\nSo.", 2),
        ("So.\n\nSome.", 1),
        ("So.\n\nso's", 1),
        ("Let.\n\nLet's go", 2),
        ("x\n\nWAIT", 2),
        ("x\n\n2. So y", 2),
        ("x\n\n> *So* y", 2),
        ("x\nSo y", 1),
        ("\n\nSo", 1),
        ("x\n\n", 1),
        ("\n\n\n", 1),
    ],
)
def test_prefix_words_are_whole_words(text: str, count: int) -> None:
    assert len(split_steps(text, ["so", "let's", "wait"])) == count


def test_families_have_their_own_words() -> None:
    text = "x\n\nNeed a bound.\n\nTherefore b."
    assert len(split_steps(text, "gpt-oss")) == 2
    assert len(split_steps(text, "qwen3")) == 2
    assert split_steps(text, "gpt-oss") != split_steps(text, "qwen3")
    assert len(split_steps(text, "general")) == 3


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Okay, so I need to find x.\n\nWait, no.\n\nHmm.\n\nAlternatively.", "deepseek-r1-distill"),
        ("Okay, let's see.\n\nWait, no.\n\nHmm.", "qwen3"),
        ("We need x.\n\nThus 2.\n\nNeed a bound.\n\nThus done.", "gpt-oss"),
        ("First, we add.\n\nThe sum is 4.", "general"),
        ("", "general"),
    ],
)
def test_guess(text: str, name: str) -> None:
    assert guess_prefixes(text) == name


def test_unknown_set_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="qwen3"):
        split_steps("x", "qwen")
    with pytest.raises(InvalidTraceError, match="not from int"):
        split_steps(3)  # type: ignore[arg-type]


def test_count_prefixes_writes_a_set_that_split_steps_reads(tmp_path: Path) -> None:
    counts = count_prefixes(["Thus a.\n\nThe b.\n\nThus c.", Trace(reasoning="Thus.\n\nOdd.")])
    assert (counts.traces, counts.blocks) == (2, 5)
    assert counts.counts == {"thus": 3, "the": 1, "odd": 1}
    assert counts.select(0.3) == {"thus"}
    assert counts.select(0.1) == {"thus", "odd"}  # an article never starts a step
    path = tmp_path / "set.json"
    counts.write(path, 0.3)
    assert json.loads(path.read_text())["prefixes"] == ["thus"]
    assert len(split_steps("x\n\nThus y\n\nSo z", path)) == 2
    path.write_text("{")
    with pytest.raises(ConfigurationError, match="count_prefixes"):
        split_steps("x", path)


@pytest.mark.parametrize(
    "piece",
    [
        "x",
        "\n",
        " ",
        "\n ",
        "\n\n ",
        "Wait, this is a sentence that goes on for a while.\n\n",
        "word ",
        "**\n\n",
        "1. \n\n",
        "\t\n",
    ],
)
def test_ten_megabytes_take_seconds_and_no_more_than_their_length_explains(piece: str) -> None:
    def seconds(characters: int) -> float:
        text = piece * (characters // len(piece))
        started = time.process_time()
        steps = split_steps(text)
        taken = time.process_time() - started
        assert sum(len(step.text) + len(step.separator) for step in steps) == len(text)
        return taken

    gc.freeze()  # or the collector walks what every other test has loaded, again and again
    try:
        whole = seconds(10_000_000)
        # A core that is shared is slower for both; time that grows with the square would be a hundred times as long.
        assert whole < 2 or whole < 20 * min(seconds(1_000_000) for _ in range(3))
    finally:
        gc.unfreeze()
