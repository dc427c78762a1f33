import pytest
from hypothesis import given, strategies as st

from me2sdk.scorers.mini.question import read_question
from me2sdk.scorers.mini.reading import Reading
from me2sdk.scorers.mini.relative import RELATIVE, compare

QUESTION = read_question("What is 3 + 4 * 2?")


def beside(*traces: str) -> list[dict[str, float]]:
    return compare([Reading.of(trace) for trace in traces], QUESTION)


def test_the_odd_one_out_shares_least() -> None:
    usual, other, odd = beside("4 * 2 = 8, so it is 11.", "It is 11, since 4 * 2 = 8.", "3 + 4 = 7, so 14.")
    assert usual["shared_results"] > odd["shared_results"] == 0.0
    assert usual["shared_numbers"] == other["shared_numbers"] > odd["shared_numbers"]
    assert odd["lonely_numbers"] == 1.0
    assert usual["lonely_numbers"] == 0.0


def test_numbers_of_the_question_are_shared_by_all_and_say_nothing() -> None:
    assert [one["shared_numbers"] for one in beside("3 and 4", "3 and 2", "2")] == [0.0, 0.0, 0.0]


def test_the_same_traces_share_everything() -> None:
    for one in beside("It is 11 = 11.", "It is 11 = 11.", "It is 11 = 11."):
        assert (one["shared_numbers"], one["shared_results"], one["shared_wording"]) == (1.0, 1.0, 1.0)


def test_more_words_are_no_way_to_share_more() -> None:
    base = "We double four to get eight and add three to get eleven."
    padded = base + " Here is much more to read that nobody else has said at all in any of these."
    first, _, longer = beside(base, base, padded)
    assert first["shared_wording"] > longer["shared_wording"]


def test_the_similarity_is_the_mean_over_the_others() -> None:
    # {11} beside {11, 8} and {14}: 2 * (1 + 0) / 2 over 1 + 1.5.
    assert beside("11", "11 8", "14")[0]["shared_numbers"] == pytest.approx(2 * 0.5 / 2.5)


@given(st.lists(st.text(max_size=60), min_size=2, max_size=6))
def test_any_traces_can_be_compared(traces: list[str]) -> None:
    for one in beside(*traces):
        assert list(one) == list(RELATIVE)
        assert all(0.0 <= value <= 1.0 for value in one.values())
