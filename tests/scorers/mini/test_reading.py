from hypothesis import given, strategies as st

from me2sdk.scorers.mini.reading import Reading, content_words


def test_sentences_and_lines_are_cut_into_tokens() -> None:
    reading = Reading.of("First we add. Then 3.5 + 1 = 1,004.5 is left!\n\n\n...\n2. Done \\frac{1}{2}")
    assert reading.tokens[0] == ["first", "we", "add"]
    assert reading.tokens[1] == ["then", "3.5", "1", "=", "1,004.5", "is", "left"]
    assert reading.tokens[-1][-3:] == ["\\frac", "1", "2"]
    assert len(reading.sentences) == len(reading.tokens)


def test_what_is_counted_comes_from_the_tokens() -> None:
    reading = Reading.of("It is 4 = 4. So 2 + 3 ≈ 5.")
    assert reading.numbers == {"4", "2", "3", "5"}
    assert reading.results == {"4", "5"}
    assert reading.words == {"it", "is", "so"}
    assert reading.counts["4"] == 2
    assert ("=", "4") in reading.pairs
    assert [list(numbers) for numbers in reading.numbers_of] == [["4", "4"], ["2", "3", "5"]]


def test_content_words_know_plurals_and_leave_out_the_rest() -> None:
    assert content_words(["the", "eggs", "of", "12", "hens", "="]) == {"egg", "hen"}
    assert content_words(["egg", "hen"]) == {"egg", "hen"}


def test_superscripts_are_no_numbers() -> None:
    reading = Reading.of("x² = 4 and ٣ of them")
    assert reading.numbers == {"4", "٣"}


def test_only_the_ends_of_a_very_long_text_make_pairs() -> None:
    reading = Reading.of("one two " * 100_000 + "three four")
    assert ("three", "four") in reading.pairs
    assert len(reading.pairs) < 10


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    reading = Reading.of(text)
    assert all(reading.tokens)
    assert sum(map(len, reading.tokens)) == len(reading.all_tokens) == reading.counts.total()
