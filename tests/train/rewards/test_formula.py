from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, strategies as st

from me2sdk.errors import ConfigurationError
from me2sdk.train import gated_reward
from me2sdk.train.rewards.formula import group_spread

logits = st.floats(-1e4, 1e4)
alphas = st.floats(0, 1)


@given(logits, st.floats(-30, 30), alphas)
def test_it_is_the_formula_of_the_paper(extreme: float, r_t: float, alpha: float) -> None:
    sigmoid = 1 / (1 + math.exp(-r_t))
    assert gated_reward(1, r_t, alpha) == pytest.approx(1 - alpha + alpha * sigmoid, abs=1e-12)
    assert gated_reward(0, extreme, alpha) == 0.0


@given(logits, logits, alphas)
def test_a_wrong_answer_never_beats_a_right_one(good: float, bad: float, alpha: float) -> None:
    right, wrong = gated_reward(1, bad, alpha), gated_reward(0, good, alpha)
    assert right >= wrong
    assert right > wrong or alpha > 0.999


@given(logits, logits, alphas)
def test_it_grows_with_the_thinking_reward(one: float, other: float, alpha: float) -> None:
    low, high = sorted((one, other))
    assert gated_reward(1, low, alpha) <= gated_reward(1, high, alpha) + 1e-15


@given(st.lists(st.tuples(st.sampled_from([0, 1]), logits), max_size=20), alphas)
def test_it_stays_in_range_and_takes_arrays(items: list[tuple[int, float]], alpha: float) -> None:
    r_v = np.array([right for right, _ in items])
    r_t = np.array([logit for _, logit in items])
    rewards = gated_reward(r_v, r_t, alpha)
    assert rewards.shape == (len(items),)
    assert rewards.dtype == np.float64
    for right, logit, reward in zip(r_v, r_t, rewards, strict=True):
        assert reward == gated_reward(int(right), float(logit), alpha)
        assert (reward == 0) if right == 0 else (1 - alpha <= reward <= 1)


def test_scalars_arrays_and_broadcasting() -> None:
    assert gated_reward(1, 0.0) == 0.9
    assert isinstance(gated_reward(True, 0.0), float)
    assert gated_reward(1, [0.0, 1e4]).tolist() == [0.9, 1.0]
    assert gated_reward([[0, 1], [1, 0]], 0.0).tolist() == [[0.0, 0.9], [0.9, 0.0]]
    assert (gated_reward(1, -1e4), gated_reward(1, 1e4), gated_reward(1, math.inf)) == (0.8, 1.0, 1.0)
    assert gated_reward(1, 3.0, alpha=0) == 1.0


def test_what_is_missing_does_not_poison_what_is_there() -> None:
    rewards = gated_reward([0, 0, 1, None, 1], [math.nan, None, 0.0, 5.0, None])
    assert rewards[:3].tolist() == [0.0, 0.0, 0.9]
    assert np.isnan(rewards[3:]).all()
    assert gated_reward(1, None, alpha=0) == 1.0
    assert math.isnan(gated_reward(None, 1.0, alpha=0))


@pytest.mark.parametrize("alpha", [-0.1, 1.1, math.nan])
def test_alpha_is_a_share(alpha: float) -> None:
    with pytest.raises(ConfigurationError, match="alpha"):
        gated_reward(1, 0.0, alpha)


@pytest.mark.parametrize("r_v", [0.5, 2, [0, -1]])
def test_the_verifiable_reward_is_0_or_1(r_v: object) -> None:
    with pytest.raises(ConfigurationError, match="r_v"):
        gated_reward(r_v, 0.0)  # type: ignore[call-overload]


def test_spread_within_groups() -> None:
    assert group_spread([1, 0, 0.5, 0.5], ["a", "a", "b", "b"]) == 0.25
    assert group_spread([1, None, 1, float("nan")], ["a", "a", "b", "b"]) == 0.0
    assert group_spread([], []) == 0.0


def test_it_loads_numpy_alone() -> None:
    code = "import sys; from me2sdk.train import gated_reward; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"torch", "transformers", "litellm", "trl", "pydantic"} & set(done.stdout.split())
