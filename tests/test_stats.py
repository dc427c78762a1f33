from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from me2sdk import ConfigurationError, best_of_n_curve, pass_at_k
from me2sdk.stats import rank_correlation, sigmoid, standardised

SAMPLES = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=7)


def by_enumeration(samples: list[tuple[int, bool]], k: int) -> float:
    """Mean over all subsets of size k of the share of right ones among the best-scored of the subset."""
    values = []
    for subset in itertools.combinations(samples, k):
        top = max(score for score, _ in subset)
        best = [right for score, right in subset if score == top]
        values.append(sum(best) / len(best))
    return sum(values) / len(values)


@settings(max_examples=60)
@given(st.lists(SAMPLES, min_size=1, max_size=4))
def test_curve_equals_enumeration_of_all_subsets(questions: list[list[tuple[int, bool]]]) -> None:
    scores = [[float(score) for score, _ in question] for question in questions]
    correct = [[right for _, right in question] for question in questions]
    curve = best_of_n_curve(scores, correct, resamples=5)
    assert curve.k == tuple(range(1, min(map(len, questions)) + 1))
    for k, accuracy in zip(curve.k, curve.accuracy, strict=True):
        expected = sum(by_enumeration(question, k) for question in questions) / len(questions)
        assert accuracy == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=6), min_size=1, max_size=4))
def test_a_perfect_scorer_reaches_pass_at_k_and_a_constant_one_stays_at_the_mean(
    correct: list[list[bool]],
) -> None:
    perfect = best_of_n_curve(correct, correct, resamples=2)
    constant = best_of_n_curve([[0.0] * len(row) for row in correct], correct, resamples=2)
    mean = sum(sum(row) / len(row) for row in correct) / len(correct)
    for k in (1, 2, 3):
        assert perfect.accuracy[k - 1] == pytest.approx(pass_at_k(correct, k))
        assert constant.accuracy[k - 1] == pytest.approx(mean)


def test_known_values() -> None:
    curve = best_of_n_curve([[3, 2, 1]], [[False, True, True]])
    assert curve.accuracy == pytest.approx((2 / 3, 1 / 3, 0.0))
    assert pass_at_k([[True, False, False, False]], 2) == pytest.approx(0.5)
    assert curve.questions == 1


def test_interval_is_reproducible_and_holds_the_curve() -> None:
    rng = random.Random(1)
    scores = [[rng.random() for _ in range(8)] for _ in range(50)]
    correct = [[rng.random() < 0.4 for _ in range(8)] for _ in range(50)]
    one, again, other = (best_of_n_curve(scores, correct, seed=seed) for seed in (0, 0, 1))
    assert one == again
    assert one != other
    assert one.accuracy == other.accuracy
    assert all(low < value < high for low, value, high in zip(one.low, one.accuracy, one.high, strict=True))
    wide = best_of_n_curve(scores, correct, confidence=0.99)
    assert wide.high[0] - wide.low[0] > one.high[0] - one.low[0]
    assert type(one).model_validate_json(one.model_dump_json()) == one


def test_arrays_and_many_samples() -> None:
    rng = np.random.default_rng(0)
    correct = rng.random((20, 1000)) < 0.3
    curve = best_of_n_curve(rng.random((20, 1000)), correct, resamples=10)
    assert curve.accuracy[0] == pytest.approx(correct.mean())
    assert all(0 <= value <= 1 for value in curve.accuracy)


@pytest.mark.parametrize(
    ("scores", "correct", "word"),
    [
        ([], [], "at least one question"),
        ([[]], [[]], "at least one sample"),
        ([[1.0]], [[True, False]], "same shape"),
        ([[1.0], [2.0]], [[True]], "same shape"),
        ([[float("nan")]], [[True]], "NaN"),
    ],
)
def test_bad_input(scores: list[list[float]], correct: list[list[bool]], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        best_of_n_curve(scores, correct)


@pytest.mark.parametrize("k", [0, 3])
def test_pass_at_k_refuses_k_out_of_range(k: int) -> None:
    with pytest.raises(ConfigurationError, match="between 1 and 2"):
        pass_at_k([[True, False], [True, False, True]], k)


def test_rank_correlation() -> None:
    assert rank_correlation([1, 2, 3, 4], [10, 20, 30, 1000]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(
        0.9487, abs=1e-4
    )  # by hand, ties shared
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None


def test_sigmoid_takes_any_number() -> None:
    assert (sigmoid(-1e6), sigmoid(-math.inf), sigmoid(1e6), sigmoid(math.inf)) == (0.0, 0.0, 1.0, 1.0)
    assert sigmoid(0.5) == pytest.approx(1 / (1 + math.exp(-0.5)))
    assert sigmoid(-0.5) == pytest.approx(1 - sigmoid(0.5))


def test_standardised_values() -> None:
    assert standardised([1.0, None, 3.0]) == [-1.0, 0.0, 1.0]
    assert standardised([2.0, 2.0, None]) == standardised([None, None, 5.0]) == [0.0, 0.0, 0.0]
    assert standardised([]) == []
