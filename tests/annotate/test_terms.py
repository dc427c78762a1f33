from __future__ import annotations

from me2sdk.annotate.terms import numbers, terms


def test_terms_are_what_a_text_is_about() -> None:
    assert terms("Then the discriminant of x_1 is \\sqrt 49, so 4.") == {
        "discriminant",
        "x_1",
        "\\sqrt",
        "49",
    }


def test_numbers_are_read_as_they_are_written() -> None:
    assert numbers("4 + 5.5 = 9.5 (left: 9.5, 10), x_2 and v2") == {"4", "5.5", "9.5", "10"}


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    assert "last" not in terms("word " * 1000 + "last")
    assert not numbers("word " * 1000 + "17")
