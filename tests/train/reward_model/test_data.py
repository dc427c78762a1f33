"""Pairs as token ids: the same ids that `TRMScorer` feeds its model."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="needs the extra [train]")
transformers = pytest.importorskip("transformers", reason="needs the extra [train]")
datasets = pytest.importorskip("datasets", reason="needs the extra [train]")

from me2sdk.errors import ConfigurationError, InvalidTraceError  # noqa: E402
from me2sdk.schema import Trace  # noqa: E402
from me2sdk.scorers.base import read_inputs  # noqa: E402
from me2sdk.scorers.local.reward_model import RewardModel  # noqa: E402
from me2sdk.scorers.text import scoring_parts  # noqa: E402
from me2sdk.testing import tiny_reward_model  # noqa: E402
from me2sdk.train import Preference, RewardModelConfig, write_preferences  # noqa: E402
from me2sdk.train.reward_model.data import tokenize_pairs  # noqa: E402

PAIRS = [
    Preference(
        question="What is 2 + 2?",
        chosen=Trace(reasoning="It is 4."),
        rejected=Trace(reasoning="It is 5."),
        category="a",
    ),
    Preference(
        question=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "And 3 + 3?\n"}],
        chosen=Trace(reasoning="3 + 3 is 6, then", response="6"),
        rejected=Trace(reasoning="Hmm 🤔 <eos> <pad> 思考"),
        category="b",
    ),
    Preference(
        question="<bos> q",
        chosen=Trace(reasoning="ends as a text does <eos>, and goes on"),
        rejected=Trace(reasoning="  x\n\n"),
    ),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_reward_model(tmp_path_factory.mktemp("base"))


def config(base: Path, source: Path, **changes: Any) -> RewardModelConfig:
    settings = {"base": str(base), "output": "unused", "train": [str(source)], "validation": None, **changes}
    return RewardModelConfig.model_validate(settings)


def write(path: Path, pairs: list[Preference]) -> Path:
    write_preferences(path, pairs)
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    return list(datasets.Dataset.from_file(str(path)))


def test_the_ids_are_those_that_the_scorer_feeds(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    data = tokenize_pairs(config(base, write(tmp_path / "pairs.jsonl", PAIRS)), tokenizer, tmp_path / "data")
    trained = [row[side] for row in rows(data.train) for side in ("chosen_ids", "rejected_ids")]

    scorer = RewardModel(
        str(base), quantization=None, device="cpu", dtype=None, max_tokens=None, batch_tokens=None,
        trust_remote_code=False, revision=None,
    )  # fmt: skip
    fed: list[list[int]] = []
    scores = scorer._runner.scores

    def watch(batch: list[list[int]], shared: list[list[int]]) -> Any:
        fed.extend(batch)
        return scores(batch, shared)

    monkeypatch.setattr(scorer._runner, "scores", watch)
    for pair in PAIRS:
        for side in (pair.chosen, pair.rejected):
            scorer.score([scoring_parts(*read_inputs(pair.question, [side])[0])], threading.Event())
    assert trained == fed
    assert all(ids[-1] != tokenizer.eos_token_id for ids in trained[:4])  # nothing was appended


def test_pairs_that_cannot_be_used_are_counted(base: Path, tmp_path: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    more = [
        Preference(question="q", chosen=Trace(reasoning="x" * 99), rejected=Trace(reasoning="y")),
        Preference(question="q", chosen=Trace(reasoning="same"), rejected=Trace(reasoning=" same\n")),
    ]
    source = write(tmp_path / "pairs.jsonl", [*PAIRS, *more])
    with source.open("a") as file:
        file.write('{"prompt": "q", "chosen": "fine", "rejected": "</think>"}\n')
    data = tokenize_pairs(config(base, source, max_length=99, max_left_out=0.5), tokenizer, tmp_path / "data")
    assert data.left_out == {"a side without reasoning": 1, "longer than 99 tokens": 1, "two equal sides": 1}
    assert data.total("train") == 3
    (counts,) = data.counts["train"].values()
    assert counts["a"].model_dump() == {"pairs": 1, "chosen_longer": 0, "chosen_shorter": 0}
    assert counts[""].model_dump() == {"pairs": 1, "chosen_longer": 1, "chosen_shorter": 0}
    with pytest.raises(
        ConfigurationError, match=r"3 of 6 pairs .*longer than 99 tokens: 1.*max_left_out=0\.4"
    ):
        tokenize_pairs(config(base, source, max_length=99, max_left_out=0.4), tokenizer, tmp_path / "data")


def test_no_question_stands_on_both_sides(base: Path, tmp_path: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    pairs = [
        Preference(
            question=f"Question {k // 2}", chosen=Trace(reasoning=f"a{k}"), rejected=Trace(reasoning="b")
        )
        for k in range(80)
    ]
    source = write(tmp_path / "pairs.jsonl", pairs)
    data = tokenize_pairs(config(base, source, validation=0.3), tokenizer, tmp_path / "data")
    sides = [
        {tokenizer.decode(row["chosen_ids"]).partition("\n")[0] for row in rows(path)}
        for path in (data.train, data.validation)
    ]
    assert not sides[0] & sides[1]
    assert (len(sides[0]) + len(sides[1]), data.total("train") + data.total("validation")) == (40, 80)
    again = tokenize_pairs(config(base, source, validation=0.3), tokenizer, tmp_path / "again")
    assert again.fingerprint == data.fingerprint
    with pytest.raises(ConfigurationError, match="no pairs for validation"):
        tokenize_pairs(config(base, source, validation=1e-9), tokenizer, tmp_path / "none")


def test_validation_from_files_of_its_own(base: Path, tmp_path: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    held = write(tmp_path / "held.jsonl", PAIRS[:1])
    source = write(tmp_path / "pairs.jsonl", PAIRS[1:])
    data = tokenize_pairs(config(base, source, validation=[str(held)]), tokenizer, tmp_path / "data")
    assert (data.total("train"), data.total("validation")) == (2, 1)
    source.write_text(json.dumps({"chosen": "x"}) + "\n")
    with pytest.raises(InvalidTraceError, match="Line 1"):
        tokenize_pairs(config(base, source), tokenizer, tmp_path / "data")
