import math

import pytest
from hypothesis import given, settings, strategies as st

from me2sdk.scorers.mini.features import FEATURES, MAX_CHARACTERS, clip, extract, read_trace

QUESTION = (
    "A farm has 12 red hens and 8 white hens. Each hen lays 5 eggs a week. The farmer eats 10 eggs and sells the "
    "rest. How many eggs does the farmer sell?"
)
GOOD = (
    "The farm has 12 + 8 = 20 hens.\n"
    "They lay 20 * 5 = 100 eggs a week.\n"
    "The farmer eats 10 of them, so he can sell 100 - 10 = 90 eggs."
)


@pytest.mark.parametrize(
    ("feature", "trace"),
    [
        ("equations", GOOD + "\nHe keeps 100 - 90 = 10 eggs."),
        ("wrong_equations", GOOD.replace("= 100", "= 110")),
        ("unsupported_operands", GOOD.replace("20 * 5 = 100", "20 * 57 = 1140")),
        ("unsupported_numbers", GOOD + "\nThere are 4711 foxes."),
        ("implied_numbers", GOOD.replace("12 + 8 = 20", "20")),
        ("unused_question_numbers", GOOD.replace("12 + 8 = 20", "20")),
        ("unused_results", GOOD.replace("100 - 10 = 90", "200 - 10 = 190")),
        ("used_before_computed", "\n".join(reversed(GOOD.split("\n")))),
        ("repeated_phrases", GOOD + "\nThey lay 20 * 5 = 100 eggs a week."),
        ("repeated_lines", GOOD + "\nThey lay 20 * 5 = 100 eggs a week."),
        ("unlinked_sentences", GOOD + "\nBicycles were invented in Germany."),
        ("hedging", GOOD + "\nPerhaps it is so."),
        ("checking", GOOD + "\nLet me verify that this is the case."),
        ("mistakes", GOOD + "\nThat is wrong."),
        ("late_mistakes", GOOD + "\nThat is wrong."),
        ("restarts", GOOD + "\nLet us begin again."),
        ("approximation", GOOD + "\nThat is about right."),
        ("denial", GOOD + "\nThat cannot be."),
        ("filler", GOOD + "\nOkay, let's see."),
        ("answer_stated", GOOD + "\nThe answer is 90."),
        ("breaks_off", GOOD + "\nSo the farmer"),
        ("untidy_answer", GOOD.replace("100 - 10 = 90", "100 / 7 = 14.29")),
        ("after_last_number", GOOD + "\nAnd that is all there is to say."),
        ("question_words", GOOD + "\nThe rest of the red hens is white."),
    ],
)
def test_a_feature_rises_with_what_it_is_named_after(feature: str, trace: str) -> None:
    assert extract(QUESTION, trace)[feature] > extract(QUESTION, GOOD)[feature]


def test_asked_for_last_falls_where_the_end_is_about_something_else() -> None:
    cut = "\n".join(GOOD.split("\n")[:1])
    assert extract(QUESTION, GOOD)["asked_for_last"] > extract(QUESTION, cut)["asked_for_last"]


def test_a_good_trace_has_no_faults() -> None:
    values = extract(QUESTION, GOOD)
    faults = (
        "wrong_equations",
        "unsupported_operands",
        "unused_question_numbers",
        "unused_results",
        "checking",
    )
    assert {name: values[name] for name in faults} == dict.fromkeys(faults, 0.0)


def test_saying_the_question_over_is_no_use_of_its_numbers() -> None:
    said = QUESTION.rsplit(".", 1)[0]
    assert extract(QUESTION, said + ".\nThe answer is 90.")["unused_question_numbers"] == 1.0


@pytest.mark.parametrize("word", ["three", "3"])
def test_number_words_count_as_numbers(word: str) -> None:
    values = extract(f"Tom has {word} cats and 5 dogs. How many pets?", "3 cats + 5 dogs = 8 pets")
    assert values["unused_question_numbers"] == 0.0
    assert values["unsupported_operands"] == 0.0


def test_percentages_may_turn_up_as_shares() -> None:
    values = extract("A $50 coat is 20% off. What does it cost?", "It costs 50 * 0.8 = $40.")
    assert values["unused_question_numbers"] == 0.0
    assert values["unsupported_operands"] == 0.0


def test_marks_of_the_calculator_change_nothing() -> None:
    marked = GOOD.replace("= 20 ", "= <<12+8=20>>20 ")
    assert extract(QUESTION, marked) == extract(QUESTION, GOOD)


@settings(max_examples=150)
@given(question=st.text(max_size=80), trace=st.text(max_size=300))
def test_any_text_gives_every_feature_a_finite_value(question: str, trace: str) -> None:
    values = extract(question, trace)
    assert list(values) == list(FEATURES)
    assert all(math.isfinite(value) for value in values.values())


@settings(max_examples=150)
@given(st.text(alphabet="0123456789.,+-*/^()=%$ \neggs", max_size=300))
def test_any_arithmetic_gives_finite_values(trace: str) -> None:
    assert all(math.isfinite(value) for value in extract(trace[:100], trace).values())


def test_the_same_reading_gives_the_same_features() -> None:
    assert extract(QUESTION, read_trace(GOOD)) == extract(QUESTION, GOOD)


def test_clip_keeps_both_ends() -> None:
    text = "a" * MAX_CHARACTERS + "b" * MAX_CHARACTERS
    kept, left_out = clip(text)
    assert (kept[0], kept[-1], left_out) == ("a", "b", MAX_CHARACTERS)
    assert clip("short") == ("short", 0)
