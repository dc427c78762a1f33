from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from support.needs import needs

from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.schema import Trace
from me2sdk.train import Preference, read_preferences, split_by_question, write_preferences
from me2sdk.train.data import question_key


def pair(question: str = "What is 2 + 2?", **fields: object) -> Preference:
    chosen = Trace(reasoning="2 + 2 = 4.", response="It is \\boxed{4}.")
    return Preference(
        question=question, chosen=chosen, rejected=Trace.from_text("2 + 2 = 4. Hmm. 4."), **fields
    )


@pytest.mark.parametrize("name", ["pairs.jsonl", pytest.param("pairs.parquet", marks=needs("pyarrow"))])
def test_pairs_come_back_as_written(name: str, tmp_path: Path) -> None:
    pairs = [
        pair(
            category="filler", dimension="micro_efficiency", provenance={"votes": [1, {"a": None}], "é": "☃"}
        ),
        pair("second\nquestion"),
        Preference(
            question=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}],
            chosen=Trace.from_text("1 + 1 = 2"),
            rejected=Trace.from_text("2"),
        ),
    ]
    assert write_preferences(tmp_path / name, pairs) == 3
    assert list(read_preferences(tmp_path / name)) == pairs
    assert [path.name for path in tmp_path.iterdir()] == [name]


@needs("datasets")
def test_records_of_the_published_form_are_read(tmp_path: Path) -> None:
    import datasets

    record = {
        "prompt": [{"role": "user", "content": "Q"}],
        "chosen": [{"role": "assistant", "content": "<think>good</think>A"}],
        "rejected": [{"role": "assistant", "content": "bad</think>A"}],
        "extra": 3,
    }
    datasets.Dataset.from_list([record, record]).to_parquet(tmp_path / "train-00000-of-00001.parquet")
    for source in (tmp_path / "train-00000-of-00001.parquet", tmp_path):
        first, _ = read_preferences(source)
        assert first.question == "Q"
        assert (first.chosen.reasoning, first.chosen.response) == ("good", "A")
        assert (first.rejected.reasoning, first.rejected.response) == ("bad", "A")


def test_a_prompt_inside_of_both_sides_is_found() -> None:
    said = {"role": "user", "content": "Q"}
    record = {
        "chosen": [said, {"role": "assistant", "content": "x"}],
        "rejected": [said, {"role": "assistant", "content": "y"}],
    }
    read = Preference.from_record(record)
    assert (read.question, read.chosen.reasoning, read.rejected.reasoning) == ("Q", "x", "y")


def test_a_folder_of_splits_is_read(tmp_path: Path) -> None:
    write_preferences(tmp_path / "train.jsonl", [pair("a"), pair("b")])
    write_preferences(tmp_path / "validation.jsonl", [pair("c")])
    assert [p.question for p in read_preferences(tmp_path)] == ["a", "b"]
    assert [p.question for p in read_preferences(tmp_path, "validation")] == ["c"]


@pytest.mark.parametrize(
    "record", [{"prompt": "q", "chosen": "x"}, {"chosen": [], "rejected": []}, {"prompt": 3}]
)
def test_other_records_are_refused_with_their_place(record: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(pair().to_record()) + "\n" + json.dumps(record) + "\n")
    with pytest.raises(InvalidTraceError, match=r"Line 2 of .*pairs.jsonl"):
        list(read_preferences(path))


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    for name in ("no.jsonl", "no.parquet", "no_such_folder/data"):
        with pytest.raises(ConfigurationError):
            list(read_preferences(tmp_path / name))
    with pytest.raises(ConfigurationError, match="jsonl or"):
        write_preferences(tmp_path / "pairs.csv", [pair()])


questions = st.lists(st.text("abcdefgh ?!", min_size=1, max_size=4), max_size=40)


@given(questions, st.floats(0, 1))
def test_no_question_stands_on_both_sides_of_a_split(names: list[str], share: float) -> None:
    pairs = [pair(name) for name in names]
    training, validation = split_by_question(pairs, share)
    assert not {question_key(p.question) for p in training} & {question_key(p.question) for p in validation}
    assert sorted(p.question for p in [*training, *validation]) == sorted(names)


def test_a_split_holds_the_share_asked_for_and_never_changes_side() -> None:
    pairs = [pair(f"question {n}") for n in range(1000)]
    _, validation = split_by_question(pairs, 0.2)
    assert 150 < len(validation) < 250
    _, larger = split_by_question(pairs[::-1], 0.4)
    assert {p.question for p in validation} <= {p.question for p in larger}
    assert split_by_question(pairs, 0)[1] == []
    assert split_by_question(pairs, 1)[0] == []
    with pytest.raises(ConfigurationError, match="share"):
        split_by_question(pairs, 5)
