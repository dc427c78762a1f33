from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from support.sample_data import write_data
from typer.testing import CliRunner

from me2sdk.train import read_preferences
from me2sdk.train.data import Preference, question_key
from recipes import small
from recipes.small import TILT, small_pairs
from recipes.sources import held_out, read_gsm8k_candidates, read_prmbench


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def pairs(data: Path) -> list[Preference]:
    return small_pairs(data)


def test_no_question_is_held_out_or_only_measured_on(data: Path, pairs: list[Preference]) -> None:
    measured = {question_key(one.question) for one in read_gsm8k_candidates(data)}
    measured |= {question_key(one.question) for one in read_prmbench(data, "dev")}
    assert {pair.provenance["source"] for pair in pairs} >= {"gsm8k", "perturb"}
    assert not any(held_out(str(pair.question)) or question_key(pair.question) in measured for pair in pairs)


def test_length_does_not_tell_the_better_side(pairs: list[Preference]) -> None:
    sides = Counter(
        (pair.provenance["source"], pair.category, len(pair.chosen.reasoning) > len(pair.rejected.reasoning))
        for pair in pairs
    )
    for source, category, longer in sides:
        assert sides[source, category, longer] <= TILT * sides[source, category, not longer]


def test_only_so_many_pairs_of_a_source(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small, "COUNTS", dict.fromkeys(small.COUNTS, 2))
    counts = Counter(pair.provenance["source"] for pair in small_pairs(data))
    assert set(counts.values()) == {2}


def test_the_command_writes_the_same_pairs_each_time(
    data: Path, pairs: list[Preference], tmp_path: Path
) -> None:
    done = CliRunner().invoke(small.app, [str(data), str(tmp_path / "pairs.jsonl")])
    assert done.exit_code == 0, done.output
    assert "perturb" in done.output
    assert list(read_preferences(tmp_path / "pairs.jsonl")) == pairs
