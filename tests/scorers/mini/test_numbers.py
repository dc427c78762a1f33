from me2sdk.scorers.mini.numbers import number_key, number_words, read_number


def test_numbers_in_digits() -> None:
    assert read_number("1,234.50") == 1234.5
    assert number_key(0.1 + 0.2) == read_number("0.3")


def test_numbers_in_words() -> None:
    assert number_words(["three", "hens", "half"]) == [3.0, 0.5]
    assert number_words(["hens"]) == []
