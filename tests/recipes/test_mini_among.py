from pathlib import Path

import pytest
from support.sample_data import write_modern

from me2sdk.scorers.mini import MiniScorer
from me2sdk.scorers.mini.features import FEATURES
from me2sdk.scorers.mini.scorer import MiniWeights
from recipes import mini_among
from recipes.mini_among import AMONG, Sampled, fit_among, read_sampled, without_each
from recipes.modern import SETS, read_rows


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_modern(tmp_path_factory.mktemp("modern"))


@pytest.fixture(scope="module")
def sampled(data: Path) -> dict[str, list[Sampled]]:
    return read_sampled(data)


def test_every_question_with_right_and_wrong_answers_is_read(sampled: dict[str, list[Sampled]]) -> None:
    for questions in sampled.values():
        assert len(questions) == 12
        for one in questions:
            assert [len(part) for part in one.features] == [len(part) for part in one.grades] == [5, 5]
            assert one.features[0].shape[1] == len(AMONG)
            assert one.own[1].shape == (5, len(FEATURES))


def test_questions_with_too_few_or_equal_answers_are_left_out() -> None:
    right = {"text": "It is 4.", "correct": True}
    assert mini_among._sampled("2 + 2?", [right, {"text": "It is 5.", "correct": False}]) is None
    assert mini_among._sampled("2 + 2?", [right, right, right]) is None


def test_what_answers_share_is_rewarded(sampled: dict[str, list[Sampled]]) -> None:
    weights, counts = fit_among(sampled, ())
    by_name = {feature.name: feature.weight for feature in weights}
    assert by_name["shared_numbers"] > 0
    assert by_name["lonely_numbers"] <= 0
    assert set(counts) == set(sampled)


def test_the_scorer_without_a_set_is_that_of_the_others(
    data: Path, sampled: dict[str, list[Sampled]], tmp_path: Path
) -> None:
    weights = MiniWeights(name="mini", version="0", alone=(), among=(), share=mini_among.SHARE)
    scorers = without_each(data, weights, tmp_path)
    name = next(iter(SETS))
    others = {other: some for other, some in sampled.items() if other != name}
    assert scorers[name]._weights.among == fit_among(others, ())[0]
    assert scorers[name].version == f"0 without {name}"
    kept = without_each(tmp_path / "no data here", weights, tmp_path)
    row = next(read_rows(data, name))
    texts = [one["text"] for one in row["candidates"]]
    assert isinstance(kept[name], MiniScorer)
    assert kept[name].score(row["question"], texts) == scorers[name].score(row["question"], texts)
