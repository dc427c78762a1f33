from me2sdk.scorers.mini.question import read_question

QUESTION = "Tom has three cats and 20% more dogs. He buys 1 bird. How many pets does he have?"


def test_a_question_offers_its_numbers_and_words() -> None:
    asked = read_question(QUESTION)
    assert asked.written == {"20", "1"}
    assert {3.0, 20.0, 0.2, 0.8, 1.2, 120.0} <= asked.known
    assert all(1.0 not in readings for readings in asked.quantities)
    assert not asked.whole
    assert {"cat", "dog", "pet"} <= asked.content
    assert asked.asked_for == {"pet"}
    assert ("tom", "has", "three", "cats") in asked.phrases


def test_nothing_asked_is_nothing_offered() -> None:
    asked = read_question("")
    assert (asked.quantities, asked.known, asked.content, asked.whole) == ((), frozenset(), frozenset(), True)
