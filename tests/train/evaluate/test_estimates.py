from __future__ import annotations

import pytest

from me2sdk.train.evaluate import estimates
from me2sdk.train.evaluate.estimates import Estimate, estimate


def test_the_mean_and_its_interval() -> None:
    found = estimate([0.0, 1.0] * 200, [str(number) for number in range(400)])
    assert found.mean == 0.5
    # A proportion of 400: 0.5 ± 1.96 · sqrt(0.25 / 400)
    assert (found.low, found.high) == pytest.approx((0.451, 0.549), abs=0.01)
    assert str(found) == f"0.500 [{found.low:.3f}, {found.high:.3f}]"
    assert Estimate.model_validate_json(found.model_dump_json()) == found


def test_values_of_one_question_stay_together() -> None:
    values = [0.0, 1.0] * 50
    apart = estimate(values, [str(number) for number in range(100)])
    # Ten questions, each all right or all wrong, are as uncertain as ten values.
    clustered = estimate(sorted(values), [str(number // 10) for number in range(100)])
    assert clustered.mean == apart.mean == 0.5
    assert clustered.high - clustered.low > 2.5 * (apart.high - apart.low)
    assert estimate([1.0, 1.0], ["a", "a"]) == Estimate(mean=1.0, low=1.0, high=1.0)


def test_parts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values, questions = [0.0, 0.3, 1.0, 0.7], ["a", "b", "b", "c"]
    whole = estimate(values, questions)
    monkeypatch.setattr(estimates, "_AT_ONCE", 100)
    assert estimate(values, questions) == whole
