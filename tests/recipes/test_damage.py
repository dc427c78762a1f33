import random

import pytest

from me2sdk.scorers.mini import read_equations
from recipes.damage import KINDS, TRACE_KINDS, damage_solution, damage_trace, lengthen, mistake_pair
from recipes.sources import MarkedSolution, Pair, Solution

FARM = Solution(
    question="A farm has 12 red hens and 8 white hens. Each hen lays 5 eggs a week. The farmer eats 10 eggs and sells "
    "the rest. How many eggs does the farmer sell?",
    steps=(
        "The farm has 12 + 8 = <<12+8=20>>20 hens.",
        "They lay 20 * 5 = <<20*5=100>>100 eggs a week.",
        "He eats some of them, so he can sell 100 - 10 = <<100-10=90>>90 eggs.",
    ),
    answer="90",
)
SHOP = Solution(
    question="A pen costs $3 and a book costs $7. What do 4 pens and a book cost?",
    steps=("The pens cost 4*3 = $<<4*3=12>>12.", "Together that is 12+7 = $<<12+7=19>>19."),
    answer="19",
)
TRACE = MarkedSolution(
    task="shuffle",
    question="Alice has a cup. She swaps with Bob, then Bob swaps with Carl. Who has the cup?",
    steps=(
        "Alice has the cup.",
        "After the first swap Bob has it.",
        "Then Carl has it.",
        "So the answer is Carl.",
    ),
    mistake=None,
    right=True,
)


def pairs(kind: str, count: int = 60) -> list[Pair]:
    rng = random.Random(3)
    made = [damage_solution(FARM, kind, rng, SHOP) for _ in range(count)]
    return [pair for pair in made if pair]


def wrong(text: str) -> int:
    return sum(not equation.holds for equation in read_equations(text))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_pairs_without_marks(kind: str) -> None:
    made = pairs(kind)
    assert len(made) > 30
    for pair in made:
        assert pair.better != pair.worse
        assert "<<" not in pair.better + pair.worse
        assert wrong(pair.better) == 0
        assert (pair.question, pair.kind, pair.source) == (FARM.question, kind, "gsm8k")


@pytest.mark.parametrize("kind", KINDS)
def test_the_better_side_is_the_longer_one_in_half_of_the_pairs(kind: str) -> None:
    made = pairs(kind, 300)
    longer = sum(len(pair.better) > len(pair.worse) for pair in made) / len(made)
    assert 0.38 < longer < 0.62


def test_the_same_seed_makes_the_same_pairs() -> None:
    assert pairs("foreign", 20) == pairs("foreign", 20)


@pytest.mark.parametrize("kind", ["wrong_number", "wrong_carried"])
def test_a_wrong_result_breaks_exactly_one_equation(kind: str) -> None:
    assert all(wrong(pair.worse) == 1 for pair in pairs(kind))


@pytest.mark.parametrize("kind", ["wrong_operand", "wrong_operation", "overshot"])
def test_a_wrong_idea_is_carried_through_with_right_arithmetic(kind: str) -> None:
    for pair in pairs(kind):
        assert wrong(pair.worse) == 0
        assert read_equations(pair.worse)[-1].value != 90


def test_a_wrong_result_is_carried_on_to_the_answer() -> None:
    rng = random.Random(0)
    made = [damage_solution(FARM, "wrong_carried", rng, SHOP) for _ in range(40)]
    answers = {pair.worse.rsplit(" ", 1)[-1] for pair in made if pair and "\nA: " in pair.worse}
    assert answers
    assert "90" not in answers


def test_what_cannot_be_damaged_is_left_out() -> None:
    single = Solution(question="Q", steps=("There are 3 of them.",), answer="3")
    for kind in ("swapped", "removed", "stopped", "overshot", "wrong_number", "wrong_operation"):
        assert damage_solution(single, kind, random.Random(0), SHOP) is None


@pytest.mark.parametrize("kind", TRACE_KINDS)
def test_traces_without_arithmetic_can_be_damaged(kind: str) -> None:
    other = TRACE.model_copy(update={"steps": ("Dora has the hat.",)})
    pair = damage_trace(TRACE, kind, random.Random(1), other)
    assert pair is not None
    assert pair.better != pair.worse
    assert "the answer is Carl" in pair.better


def test_traces_with_a_mistake_are_not_damaged_further() -> None:
    wrong_trace = TRACE.model_copy(update={"mistake": 2})
    assert damage_trace(wrong_trace, "filler", random.Random(0), TRACE) is None
    assert damage_trace(TRACE, "wrong_number", random.Random(0), TRACE) is None


def test_mistake_pairs_cut_around_the_mistake() -> None:
    marked = TRACE.model_copy(update={"mistake": 2})
    rng = random.Random(0)
    made = [pair for _ in range(60) if (pair := mistake_pair(marked, rng))]
    assert {pair.better for pair in made} == {"\n".join(TRACE.steps[:2])}
    assert all(pair.worse.endswith(TRACE.steps[2]) for pair in made)
    assert 10 < sum(len(pair.better) > len(pair.worse) for pair in made) < 50
    assert mistake_pair(TRACE, rng) is None


def test_lengthen_adds_no_wrong_equation_and_reaches_the_size() -> None:
    text = "The farm has 12 + 8 = 20 hens.\nThey lay 20 x 5 = 100 eggs."
    for seed in range(20):
        longer = lengthen(text, FARM.question, random.Random(seed), len(text) + 80)
        assert len(longer) >= len(text) + 80
        assert wrong(longer) == 0
