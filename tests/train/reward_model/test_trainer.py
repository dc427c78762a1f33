"""The trainer's arithmetic on numbers worked out by hand, and its batches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("trl", reason="needs the extra [train]")

import datasets  # noqa: E402
from hypothesis import given, strategies as st  # noqa: E402

from me2sdk.testing import tiny_reward_model  # noqa: E402
from me2sdk.train import RewardModelConfig  # noqa: E402
from me2sdk.train.reward_model.model import load_base, load_tokenizer  # noqa: E402
from me2sdk.train.reward_model.trainer import LengthGroups, PairTrainer, training_arguments  # noqa: E402


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_reward_model(tmp_path_factory.mktemp("base"))


def trainer(base: Path, folder: Path, rows: list[dict[str, Any]], **changes: Any) -> PairTrainer:
    config = RewardModelConfig.model_validate(
        {"base": str(base), "output": "unused", "train": ["unused"], "dtype": "float32", **changes}
    )
    tokenizer = load_tokenizer(str(base))
    device = torch.device("cpu")
    return PairTrainer(
        seed=0,
        model=load_base(config, str(base), tokenizer, device),
        args=training_arguments(config, folder, device),
        train_dataset=datasets.Dataset.from_list(rows),
        eval_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
    )


ROWS = [
    {"chosen_ids": [0, 50, 51], "rejected_ids": [0, 60], "length": 3},
    {"chosen_ids": [0, 70], "rejected_ids": [0, 80, 81, 82], "length": 4},
    {"chosen_ids": [0, 90], "rejected_ids": [0, 91], "length": 2},
]


def test_bradley_terry_loss_and_centring_by_hand(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trainer(base, tmp_path, ROWS, center_rewards_coefficient=0.01)
    # Rewards of a batch of two: chosen 2.0 and -0.5, rejected 1.0 and 0.5.
    logits = torch.tensor([[2.0], [-0.5], [1.0], [0.5]])
    monkeypatch.setattr(made.model, "forward", lambda **inputs: type("Out", (), {"logits": logits})())
    loss = made.compute_loss(made.model, {"input_ids": torch.zeros(4, 1), "attention_mask": torch.ones(4, 1)})
    # -ln sigmoid(1) = 0.313262 and -ln sigmoid(-1) = 1.313262, mean 0.813262;
    # centring 0.01 * (3^2 + 0^2) / 2 = 0.045
    assert float(loss) == pytest.approx(0.813262 + 0.045, abs=1e-6)


def test_validation_is_exact_though_the_last_batch_is_short(base: Path, tmp_path: Path) -> None:
    made = trainer(base, tmp_path, ROWS, eval_batch_size=2)
    measured = made.evaluate()
    with torch.inference_mode():
        rewards = [
            [
                float(made.model(input_ids=torch.tensor([row[side]])).logits)
                for side in ("chosen_ids", "rejected_ids")
            ]
            for row in ROWS
        ]
    margins = [chosen - rejected for chosen, rejected in rewards]
    assert made.margins.tolist() == pytest.approx(margins, abs=1e-5)
    assert measured["eval_accuracy"] == pytest.approx(sum(m > 0 for m in margins) / 3)
    assert measured["eval_margin"] == pytest.approx(sum(margins) / 3, abs=1e-5)
    assert measured["eval_loss"] == pytest.approx(
        sum(math.log1p(math.exp(-m)) for m in margins) / 3, abs=1e-5
    )


def test_the_head_computes_in_float32_though_all_else_is_bfloat16(base: Path, tmp_path: Path) -> None:
    made = trainer(base, tmp_path, ROWS, dtype="bfloat16")
    measured = made.evaluate()
    assert made.margins.dtype is torch.float32
    assert any(margin != float(torch.tensor(margin).bfloat16()) for margin in made.margins.tolist())
    assert 0 <= measured["eval_accuracy"] <= 1


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 5), st.integers(0, 3))
def test_batches_hold_each_row_once_and_begin_with_the_longest(
    lengths: list[int], size: int, epoch: int
) -> None:
    sampler = LengthGroups(lengths, size, seed=1)
    sampler.set_epoch(epoch)
    order = list(sampler)
    assert sorted(order) == list(range(len(lengths))) == list(range(len(sampler)))
    assert list(sampler) == order
    whole = order[: len(order) - len(order) % size]
    if whole:
        assert max(lengths[i] for i in whole) == max(lengths[i] for i in order[:size])


def test_batches_are_of_like_length_and_differ_by_epoch() -> None:
    lengths = [(37 * k) % 1000 for k in range(1000)]
    sampler = LengthGroups(lengths, 4, seed=0)
    order = list(sampler)
    batches = [[lengths[i] for i in order[k : k + 4]] for k in range(0, 1000, 4)]
    padding = sum(max(batch) * 4 - sum(batch) for batch in batches) / sum(lengths)
    assert padding < 0.05
    sampler.set_epoch(1)
    assert list(sampler) != order
