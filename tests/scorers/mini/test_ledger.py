import pytest

from me2sdk.scorers.mini.ledger import follow_numbers
from me2sdk.scorers.mini.question import read_question
from me2sdk.scorers.mini.reading import Reading

QUESTION = "A farm has 13 red hens and 8 white hens. Each hen lays 5 eggs. How many eggs are there?"


def follow(trace: str) -> dict[str, float]:
    return follow_numbers(Reading.of(trace), read_question(QUESTION))


def test_numbers_with_an_origin_are_no_fault() -> None:
    values = follow("There are 13 + 8 = 21 hens.\nThey lay 21 * 5 = 105 eggs.")
    assert values.pop("equations") == pytest.approx(2 / 6)
    assert values == dict.fromkeys(values, 0.0)


@pytest.mark.parametrize(
    ("trace", "feature"),
    [
        ("There are 13 + 8 = 22 hens.", "wrong_equations"),
        ("There are 13 + 77 = 90 hens.", "unsupported_operands"),
        ("There are 4711 foxes.", "unsupported_numbers"),
        ("There are 21 hens.", "implied_numbers"),
        ("They lay 21 * 5 = 105 eggs.\nThere are 13 + 8 = 21 hens.", "used_before_computed"),
        ("There are 13 + 8 = 21 hens.\nThere are 8 * 5 = 40 eggs.", "unused_results"),
        ("There are many.", "unused_question_numbers"),
    ],
)
def test_what_becomes_of_the_numbers_is_followed(trace: str, feature: str) -> None:
    assert follow(trace)[feature] > 0


def test_of_very_many_equations_the_first_and_last_are_read() -> None:
    many = "\n".join(f"{n} + 1 = {n + 1}." for n in range(3, 2003))
    assert follow(many)["equations"] == pytest.approx(400 / 404)
