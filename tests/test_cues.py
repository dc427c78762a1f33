import time

import pytest

from me2sdk.cues import Cue, count_cues, cue_words, opening_cue


@pytest.mark.parametrize(
    ("text", "cue"),
    [
        ("Wait, that cannot be.", Cue.REFLECTION),
        ("Let me start over.", Cue.RESTART),
        ("Alternatively, use the other formula.", Cue.ALTERNATIVE),
        ("Let me double-check the sum.", Cue.CHECK),
        ("Combining the two, x is 3.", Cue.MERGE),
        ("Therefore x is 3.", Cue.CONCLUSION),
        ("Perhaps x is 3.", Cue.HEDGING),
        ("Okay.", Cue.FILLER),
        ("THUS it holds.", Cue.CONCLUSION),
        ("Let’s see what happens.", Cue.FILLER),
    ],
)
def test_each_cue_is_found(text: str, cue: Cue) -> None:
    assert count_cues(text)[cue] >= 1
    assert opening_cue(text) is cue


def test_counts_have_every_cue_and_do_not_overlap() -> None:
    counts = count_cues("Let me think about this. Let me think.")
    assert set(counts) == set(Cue)
    assert counts[Cue.FILLER] == 2
    assert sum(counts.values()) == 2


def test_phrases_need_whole_words() -> None:
    assert sum(count_cues("The waiter was overchecked in thusness.").values()) == 0


def test_text_and_its_words_count_the_same() -> None:
    text = "Hmm, maybe I should check this again. On the other hand, it is clear."
    assert count_cues(text) == count_cues(cue_words(text))


def test_a_turn_wins_over_filler_at_the_opening() -> None:
    assert opening_cue("Okay, but wait, is it?") is Cue.REFLECTION
    assert opening_cue("Maybe so.") is Cue.HEDGING


def test_only_the_opening_is_read() -> None:
    assert opening_cue("We add the two numbers of the list and wait.") is None
    assert opening_cue("") is None
    assert opening_cue("12 + 3 = 15") is None


def test_a_megabyte_is_linear() -> None:
    start = time.perf_counter()
    count_cues("let me think about " * 60_000)
    count_cues("a" * 1_000_000)
    assert time.perf_counter() - start < 5
