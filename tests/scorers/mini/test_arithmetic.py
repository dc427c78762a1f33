import time

import pytest
from hypothesis import given, strategies as st

from me2sdk.scorers.mini.arithmetic import evaluate, read_equations as equations


@pytest.mark.parametrize(
    "text",
    [
        "16 - 3 - 4 = <<16-3-4=9>>9 eggs",
        "5 hours x $3/hour = $15.",
        "That is 9,300/66 = 140.91 pennies",
        "20% of 50 = 10",
        "10/50 * 100 = 20%",
        "5 plus 3 equals 8",
        "3 + 4 is equal to 7",
        "2 multiplied by 3 is 6",
        r"\frac{1}{2} \cdot 48 = 24",
        "-5 + -9 - 0 + 8 = -6",
        "2/3 = 0.66",
        "2/3 = 0.67",
        "2^10 = 1024",
        "3 red eggs + 4 blue eggs = 7 eggs",
        "A = (4 + 3 + -5) = (4 + 3 - 5) = 2",
        "72 = 48 + 24",
        "2(3 + 4) = 14",
    ],
)
def test_right_equations_hold(text: str) -> None:
    found = equations(text)
    assert found
    assert all(equation.holds for equation in found)


@pytest.mark.parametrize(
    "text",
    [
        "16 - 3 = 12",
        "5 plus 3 equals 9",
        "20% of 50 = 11",
        "3 eggs + 4 eggs = 8 eggs",
        "2/3 = 0.5",
        "10/3 = 3",
    ],
)
def test_wrong_equations_do_not(text: str) -> None:
    assert [equation.holds for equation in equations(text)] == [False]


@pytest.mark.parametrize(
    "text",
    [
        "3x + 2 = 17",
        "total - 3 = 9",
        "f(3) = 4 + 5",
        "x = 5",
        r"\sqrt{9} + 1 = 5",
        "27x+45=30x+25",
        "one week is 7 days",
        "a 3-page letter",
        "5 = 5",
        "1 / 0 = 3",
        "3 + = 4",
    ],
)
def test_what_cannot_be_judged_is_left_alone(text: str) -> None:
    assert equations(text) == ()


def test_operands_operators_and_result() -> None:
    (equation,) = equations("She pays 2 * $3.50 + 1 = $8")
    assert equation.operands == (2.0, 3.5, 1.0)
    assert equation.operators == {"*", "+"}
    assert (equation.value, equation.exact, equation.holds) == (8.0, 8.0, True)


def test_a_rounded_result_keeps_the_exact_one() -> None:
    (equation,) = equations("100 / 12 = 8.33")
    assert equation.value == 8.33
    assert equation.exact == pytest.approx(100 / 12)


def test_no_equation_goes_over_the_end_of_a_sentence_or_a_line() -> None:
    assert [e.value for e in equations("First 3.5 + 1 = 4.5. Then 2\n+ 2 = 4, and 5 * 5 = 25!")] == [
        4.5,
        25.0,
    ]


def test_calculator_marks_do_not_count() -> None:
    assert equations("48/2 = <<48/2=24>>24 clips") == equations("48/2 = 24 clips")


def test_prose_around_an_equation_changes_nothing() -> None:
    bare = equations("12 * 5 = 60")
    assert (
        equations(f"{'Now think of the hens. ' * 9}They lay 12 * 5 = 60 eggs{', which is a lot' * 9}.")
        == bare
    )


@given(a=st.integers(-999, 999), b=st.integers(1, 999), sign=st.sampled_from("+-*"))
def test_written_sums_hold_and_altered_ones_do_not(a: int, b: int, sign: str) -> None:
    right = {"+": a + b, "-": a - b, "*": a * b}[sign]
    assert [e.holds for e in equations(f"{a} {sign} {b} = {right}")] == [True]
    assert [e.holds for e in equations(f"{a} {sign} {b} = {right + 1}")] == [False]


@given(st.text(alphabet="0123456789+-*/^()=.,% xX$\\n{}<>", max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    for equation in equations(text):
        assert equation.operands


@pytest.mark.parametrize(
    ("items", "value"),
    [
        ([2.0, "+", 3.0, "*", 4.0], 14.0),
        (["(", 2.0, "+", 3.0, ")", "*", 4.0], 20.0),
        (["u", 2.0, "^", 2.0], -4.0),
        ([2.0, "^", 3.0, "^", 2.0], 512.0),
        ([8.0, "-", 3.0, "-", 2.0], 3.0),
        ([2.0, "^", 9999.0], None),
        ([1.0, "/", 0.0], None),
        (["+", 1.0], None),
        ([1.0, "+"], None),
        ([1.0, 2.0], None),
        ([], None),
    ],
)
def test_evaluate(items: list[float | str], value: float | None) -> None:
    assert evaluate(items) == value


@pytest.mark.parametrize(
    "text", ["1+", "(", "1 = ", "- ", "3 x ", '."', "1,111", "\\frac{", "3 a b = ", "<<"]
)
def test_hostile_repetition_is_linear(text: str) -> None:
    start = time.process_time()
    equations(text * (300_000 // len(text)))
    assert time.process_time() - start < 20
