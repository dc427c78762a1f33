import math

import pytest
from hypothesis import given, settings, strategies as st

from me2sdk.scorers.mini.features import FEATURES, MAX_CHARACTERS, clip, extract

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
        ("repeated_phrases", GOOD + "\nThey lay 20 * 5 = 100 eggs a week."),
        ("repeated_equations", GOOD + "\nAgain, 20 * 5 = 100."),
        ("idle_checks", GOOD + "\nLet me verify that this is the case."),
        ("hedging", GOOD + "\nPerhaps it is so."),
        ("filler", GOOD + "\nOkay, let's see."),
        ("equations", GOOD + "\nHe keeps 100 - 90 = 10 eggs."),
        ("wrong_equations", GOOD.replace("= 100", "= 110")),
        ("operation_mismatch", GOOD.replace("The farm has 12 + 8", "In total the farm has 12 - 8")),
        ("missing_operations", GOOD.replace("100 - 10 = 90", "90")),
        ("unsupported_operands", GOOD.replace("20 * 5 = 100", "20 * 57 = 1140")),
        ("unsupported_numbers", GOOD + "\nThere are 4711 foxes."),
        ("implied_numbers", GOOD.replace("12 + 8 = 20", "20")),
        ("unused_question_numbers", GOOD.replace("12 + 8 = 20", "20")),
        ("reused_question_numbers", GOOD.replace("100 - 10", "100 - 5 - 5")),
        ("unused_results", GOOD.replace("100 - 10 = 90", "200 - 10 = 190")),
        ("used_before_computed", "\n".join(reversed(GOOD.split("\n")))),
        ("negative_results", GOOD.replace("100 - 10 = 90", "10 - 100 = -90")),
        ("relabelled_numbers", GOOD + "\nThere are 12 eggs."),
        ("unlinked_units", GOOD + "\nBicycles were invented in Germany."),
        ("late_novel_words", GOOD + "\nBicycles were invented in Germany."),
        ("out_of_order", "\n".join(reversed(GOOD.split("\n")))),
        ("consequence_first", "So t" + GOOD[1:]),
        ("early_conclusion", "The answer is 90.\n" + GOOD),
        ("question_coverage", GOOD + "\nThe rest of the red hens is white."),
        ("answer_from_question", GOOD.replace("100 - 10 = 90", "100 - 90 = 10")),
        ("answer_untidy", GOOD.replace("100 - 10 = 90", "100 / 7 = 14.29")),
        ("answer_magnitude", GOOD.replace("100 - 10 = 90", "100 * 100 = 10000")),
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
        "idle_checks",
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


def test_clip_keeps_both_ends() -> None:
    text = "a" * MAX_CHARACTERS + "b" * MAX_CHARACTERS
    kept, left_out = clip(text)
    assert (kept[0], kept[-1], left_out) == ("a", "b", MAX_CHARACTERS)
    assert clip("short") == ("short", 0)
