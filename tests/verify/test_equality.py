"""Which answers are equal: the same table in both directions, and what must hold for any answers."""

from __future__ import annotations

import importlib.util
import random
import time

import pytest
from hypothesis import example, given, settings, strategies as st

from me2sdk import verify_answer
from me2sdk.verify import group_answers
from me2sdk.verify.equality import compare, equal_answers
from me2sdk.verify.values import read_value

needs_math_verify = pytest.mark.skipif(
    importlib.util.find_spec("math_verify") is None, reason="math-verify is not installed"
)

EQUAL = [
    ("(-\\infty,\\infty)", "\\mathbb{R}"),
    ("∞", "infinity"),
    ("no solution", "\\emptyset"),
    ("A", "Answer: A"),
    ("{1,2}", "\\{1,2\\}"),
    ("0.\\overline{3}", "1/3"),
    ("0.1\\overline{6}", "1/6"),
    ("-42", "–42"),
    ("90 minutes", "1.5 hours"),
    ("FF_{16}", "255"),
    ("x=1,y=2", "(1,2)"),
    ("cos(x)", "\\cos x"),
    ("a/b", "\\frac ab"),
    ("3", "3 pm"),
    ("2\\sqrt{3}", "√12"),
    ("3/2", "1 1/2"),
    ("3/2", "1\\frac12"),
    ("3/2", "1½"),
    ("-3/2", "-1 1/2"),
    ("3, 4", "4, 3"),
    ("1000", "1,000"),
    ("1000000", "1,000,000"),
    ("1234", "1,234"),
    ("10000", "10{,}000"),
    ("10000", "10\\,000"),
    ("A \\to B", "A → B"),
    ("A -> B", "A → B"),
    ("0.5", "1/2"),
    ("2", "\\sqrt{2}^2"),
    ("\\sqrt{4}", "2"),
    ("0.1", "10%"),
    ("10%", "10"),
    ("10", "10%"),
    ("10%", "0.1"),
    ("50%", "1/2"),
    ("10 percent", "10%"),
    ("42", "42 dollars"),
    ("42", "$42"),
    ("42", "$42.00"),
    ("42", "42 USD"),
    ("$42", "42 dollars"),
    ("42", "42€"),
    ("42 dollars", "42"),
    ("5 m", "5 m"),
    ("5 m", "5 meters"),
    ("5 m", "500 cm"),
    ("5 m^2", "5 square meters"),
    ("5 kg", "5 kilograms"),
    ("60 minutes", "1 hour"),
    ("5", "5 m^2"),
    ("25", "25 cm²"),
    ("12 km/h", "12 kph"),
    ("42 jars", "42"),
    ("42", "42 jars of jam"),
    ("42", "forty-two"),
    ("5", "five"),
    ("12", "twelve"),
    ("5:30 pm", "5:30 PM"),
    ("5:30 pm", "17:30"),
    ("5:30", "5:30 pm"),
    ("5 pm", "5:00 p.m."),
    ("\\sin(x)", "sin(x)"),
    ("\\sin x", "sin(x)"),
    ("\\log(x)", "log(x)"),
    ("x^2", "x**2"),
    ("x^{10}", "x^10"),
    ("2^10", "1024"),
    ("1024", "2^{10}"),
    ("\\frac{x}{2}", "x/2"),
    ("100", "10²"),
    ("\\sqrt{5}", "√5"),
    ("\\sqrt{x+1}", "√(x+1)"),
    ("\\sqrt{5}", "sqrt(5)"),
    ("-5", "−5"),
    ("3 × 4", "12"),
    ("2\\pi", "2π"),
    ("\\frac{1}{2}", "½"),
    ("B", "B"),
    ("B", "(B)"),
    ("B", "B."),
    ("B", "b"),
    ("B", "\\text{(B)}"),
    ("B", "B. 42 jars"),
    ("B", "(B) 42"),
    ("B", "B) 42"),
    ("B", "B: forty-two"),
    ("B", "Option B"),
    ("B. 42 jars", "B"),
    ("B. 42 jars", "42"),
    ("B", "**B**"),
    ("C", "C: \\frac{1}{2}"),
    ("42", "6*7 = 42"),
    ("42", "x = 42"),
    ("11", "1011_2"),
    ("1011_2", "1011_2"),
    ("1011_2", "1011_{2}"),
    ("5, -1", "2 \\pm 3"),
    ("42", "|42|"),
    ("x<3", "(-\\infty,3)"),
    ("(-\\infty,3)", "x<3"),
    ("3<x<5", "(3,5)"),
    ("3\\le x<5", "[3,5)"),
    ("x<3", "3>x"),
    ("x\\in[1,2]", "[1,2]"),
    ("\\{1,2\\}", "\\{2,1\\}"),
    ("\\{1,2\\}", "1, 2"),
    ("1,2", "x=1 or x=2"),
    ("1 and 2", "2, 1"),
    ("(-\\infty,1)\\cup(2,\\infty)", "x<1 or x>2"),
    ("\\emptyset", "\\varnothing"),
    ("\\emptyset", "∅"),
    ("100000000!", "100000000!"),
    ("yes", "Yes."),
    ("March 7", "March 7"),
    ("Tuesday", "\\text{Tuesday}"),
    ("1500", "1.5e3"),
    ("1500", "1.5 \\times 10^3"),
    ("1500", "1.5 × 10³"),
    ("0.0015", "1.5e-3"),
    ("x=5", "5"),
    ("5", "x=5"),
    ("y=2x+1", "2x+1"),
    ("y=2x+1", "y=1+2x"),
    ("y = 2x+1", "2x - y + 1 = 0"),
    ("90", "90°"),
    ("90", "90^\\circ"),
    ("90°", "90 degrees"),
    ("(x+1)^2", "x^2+2x+1"),
    ("2:3", "2:3"),
    ("1/2", "2/4"),
    ("-1/2", "-\\frac{1}{2}"),
    ("\\frac{-1}{2}", "-1/2"),
    ("e^x", "\\exp(x)"),
    ("3+4i", "4i+3"),
    ("\\ln 2", "ln(2)"),
    ("\\frac{\\pi}{2}", "π/2"),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"),
    ("0", "-0"),
    ("0.0", "0"),
    ("5.", "5"),
    (".5", "0.5"),
    ("+5", "5"),
    ("007", "7"),
    ("Paris", "paris"),
    ("n^2", "n²"),
    ("2 1/2 cups", "2.5 cups"),
    ("2.5", "2 1/2 cups"),
    ("3/4 cup", "3/4"),
    ("42", "The store has 42 jars."),
    ("42", "42 (jars)"),
    ("$5 million", "5000000"),
]

DIFFERENT = [
    ("2024-01-05", "2018"),
    ("42", "at least 42"),
    ("42", "42?"),
    ("42", "42 \\Rightarrow 43"),
    ("42", "42_8"),
    ("20°C", "20°F"),
    ("3 hours 20 minutes", "3 hours"),
    ("a_1", "a_2"),
    ("1.234.567", "1234567"),
    ("10^100", "10^{101}"),
    ("42", "\\not= 42"),
    ("5 apples", "6 apples"),
    ("34", "3 4"),
    ("34", "3,4"),
    ("3, 4", "3 4"),
    ("1000", "1 000"),
    ("12", "1,2"),
    ("A \\rightarrow B", "A \\leftarrow B"),
    ("left", "arrow"),
    ("1/3", "0.33"),
    ("1/3", "0.333333"),
    ("1/3", "0.333333333333"),
    ("\\pi", "3.14159265"),
    ("\\sqrt{2}", "1.41421356237"),
    ("$42", "€42"),
    ("42 dollars", "42 euros"),
    ("5 m", "5 cm"),
    ("5 m²", "5 m"),
    ("12 km/h", "12 m/s"),
    ("12:00", "12"),
    ("12:00 pm", "12:00 am"),
    ("5 pm", "5 am"),
    ("x^2", "x2"),
    ("x²", "x2"),
    ("10²", "102"),
    ("B", "A"),
    ("B", "A. B"),
    ("B", "42"),
    ("B", "B and C"),
    ("B", "B or C"),
    ("B", "A, B"),
    ("B", "Bob"),
    ("42", "\\neq 42"),
    ("42", "41 = 42"),
    ("42", "x \\neq 42"),
    ("42", "x > 42"),
    ("42", "<42"),
    ("42", "\\pm 42"),
    ("42", "not 42"),
    ("1011", "1011_2"),
    ("1011_2", "1011_3"),
    ("42", "2x+3=42"),
    ("42", "42 or 43"),
    ("42", "-42"),
    ("42", "42!"),
    ("42", "42^2"),
    ("42", "42 \\pmod{5}"),
    ("2", "2 \\pm 3"),
    ("42", "42i"),
    ("42", "42x"),
    ("x<3", "x<=3"),
    ("(1,2)", "(2,1)"),
    ("(1,2)", "[1,2]"),
    ("yes", "no"),
    ("true", "yes"),
    ("March 7", "7"),
    ("April 7", "March 7"),
    ("(x+1)^2", "x^2+2x+2"),
    ("2:3", "3:2"),
    ("i", "-i"),
    ("1e400", "1"),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix}2\\\\1\\end{pmatrix}"),
    ("1.000", "1,000"),
    ("3.5", "3,5"),
    ("the noble gas", "helium"),
    ("7", "about 42"),
]

UNDECIDED = [
    ("5 apples", "5 oranges"),
    ("42", "\\approx 42"),
    ("1", "100000000!"),
    ("9^{9^{9^9}}", "9^{9^{9^8}}"),
    ("x=5", "y=5"),
    ("42", "~42"),
    ("42", "about 42"),
]

ALL = sorted({text for pair in EQUAL + DIFFERENT + UNDECIDED for text in pair})


def decided_alone(one: str, other: str) -> bool:
    return not compare(read_value(one), read_value(other)).ask


@needs_math_verify
@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_equal_in_both_directions(gold: str, answer: str) -> None:
    assert (equal_answers(gold, answer)[0], equal_answers(answer, gold)[0]) == (True, True)


@needs_math_verify
@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_different_in_both_directions(gold: str, answer: str) -> None:
    assert (equal_answers(gold, answer)[0], equal_answers(answer, gold)[0]) == (False, False)


@pytest.mark.parametrize(("gold", "answer"), UNDECIDED)
def test_what_cannot_be_told_is_undecided(gold: str, answer: str) -> None:
    assert verify_answer(f"\\boxed{{{answer}}}", gold).outcome == "undecided"


@pytest.mark.parametrize("answer", ["41", "42", "1e9", "-7.5"])
def test_a_reference_may_be_a_number(answer: str) -> None:
    assert verify_answer(f"\\boxed{{{answer}}}", float(answer)).outcome == "right"
    assert verify_answer("\\boxed{42}", 42).reference == "42"


PIECES = st.lists(
    st.sampled_from(
        [
            *"0123456789",
            *"+-*/^=<>(){}[],.:%$°²½√× xyBe",
            "\\frac{1}{2}",
            "\\sqrt{2}",
            " jars",
            " m",
            " cm",
            " or ",
            "\\pm ",
            "\\pi ",
            "\\neq ",
            "\\text{",
            "\\infty",
            "x<",
            "pm",
            "not ",
            "10^",
            "9^{9^",
            "!",
            "_2",
            "|",
        ]
    ),
    max_size=8,
).map("".join)
ANSWERS = st.one_of(st.sampled_from(ALL), PIECES, st.text(max_size=12))


@settings(deadline=None)
@given(ANSWERS)
def test_equality_is_reflexive(answer: str) -> None:
    assert equal_answers(answer, answer)[0] is True
    assert compare(read_value(answer), read_value(answer)).equal is True
    assert group_answers([answer, answer]) == [0, 0]


@settings(deadline=None)
@given(ANSWERS, ANSWERS)
@example("5 m", "5")
def test_equality_is_symmetric(one: str, other: str) -> None:
    assert compare(read_value(one), read_value(other)) == compare(read_value(other), read_value(one))


@settings(max_examples=200, deadline=None)
@given(st.lists(ANSWERS, max_size=10), st.randoms(use_true_random=False))
@example(["5", "5 m", "5 cm"], random.Random(0))
@example(["x=5", "5", "y=5"], random.Random(0))
@example(["1,2", "(1,2)", "(2,1)"], random.Random(0))
def test_groups_do_not_depend_on_the_order(answers: list[str], dice: random.Random) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        places = list(range(len(answers)))
        dice.shuffle(places)
        groups = group_answers(answers)
        shuffled = group_answers([answers[place] for place in places])
    here = {frozenset(i for i, g in enumerate(groups) if g == group) for group in groups}
    there = {frozenset(places[i] for i, g in enumerate(shuffled) if g == group) for group in shuffled}
    assert here == there


@needs_math_verify
def test_groups_of_formulas_do_not_depend_on_the_order() -> None:
    answers = ["x<3", "(-\\infty,3)", "|x|", "\\sqrt{x^2}", "(x+1)^2", "x^2+2x+1", "x \\le 3"]
    group_answers(answers)  # starts math-verify
    wanted = [0, 0, 1, 1, 2, 2, 3]
    for shift in range(len(answers)):
        turned = group_answers(answers[shift:] + answers[:shift])
        assert [turned.index(group) for group in turned] == [
            (wanted[shift:] + wanted[:shift]).index(group) for group in wanted[shift:] + wanted[:shift]
        ]


@pytest.mark.parametrize(
    ("answers", "groups"),
    [
        (["5", "5 m", "5 cm"], [0, 1, 2]),
        (["5", "5 m", "5 meters"], [0, 0, 0]),
        (["1 1/2", "11/2", "3/2"], [0, 1, 0]),
        (["3 4", "34"], [0, 1]),
        (["10%", "0.1", "10"], [0, 0, 1]),
        (["x=5", "5", "y=5"], [0, 1, 2]),
        (["x=5", "5"], [0, 0]),
        (["1,2", "2,1", "(1,2)", "(2,1)"], [0, 0, 1, 2]),
        (["B", "(B)", "B. 42 jars", "A"], [0, 0, 0, 1]),
        (["42", "42 jars", "42 jars of jam", "$42"], [0, 1, 2, 3]),
        (["5:30 pm", "17:30", "5:30 am"], [0, 0, 1]),
        (["9^{9^{9^9}}", "9^{9^{9^9}}", "9^{9^{9^8}}"], [0, 0, 1]),
    ],
)
def test_no_group_holds_different_values(answers: list[str], groups: list[int]) -> None:
    assert group_answers(answers) == groups


HOSTILE = {
    "towers": "9^{{9^{{9^{{{}}}}}}}",
    "factorials": "(1000{}!)!",
    "sums": "\\sum_{{k=1}}^{{10000000{0}}} \\frac{{1}}{{k^2+{0}}}",
    "integrals": "\\int_0^1 x^{{x^{{x^{{{}}}}}}} dx",
    "brackets": "(" * 300 + "{}" + ")" * 300,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_vote_over_hostile_answers_is_bounded(kind: str) -> None:
    answers: list[str | None] = [HOSTILE[kind].format(i) for i in range(32)]
    started = time.monotonic()
    groups = group_answers(answers)
    assert time.monotonic() - started < 5.5
    assert len(set(groups)) == 32


def test_ordinary_answers_are_quick() -> None:
    pairs = [
        ("\\boxed{42}", "42"),
        ("#### 42 jars", "42"),
        ("\\boxed{x+1}", "1+x"),
        ("Answer: B", "B"),
        ("\\boxed{0.5}", "1/2"),
    ]
    started = time.process_time()
    assert all(verify_answer(*pairs[i % 5]) for i in range(1000))
    assert time.process_time() - started < 20
    started = time.process_time()
    group_answers([f"{i % 9} jars" if i % 2 else f"\\frac{{{i % 7}}}{{2}}" for i in range(64)])
    assert time.process_time() - started < 2


def test_reading_hostile_answers_is_quick() -> None:
    started = time.process_time()
    for piece in (
        "\\frac",
        "{",
        "(",
        "1 1/2 ",
        "x=",
        ",",
        "\\pm",
        "a or ",
        "√",
        "½",
        "^",
        "\\text{",
        "9",
        "-",
    ):
        read_value(piece * (990 // len(piece)))
        read_value(piece * 10_000)
    assert time.process_time() - started < 15
