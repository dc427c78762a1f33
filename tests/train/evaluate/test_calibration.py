from __future__ import annotations

import random

import pytest

from me2sdk.train import Calibration
from me2sdk.train.evaluate.calibration import auroc, calibrate, expected_calibration_error


def test_bins_and_figures_by_hand() -> None:
    found = calibrate(
        "auto", "A", [0.95, 0.85, 0.85, 0.32, None, 1.0], [True, True, False, False, True, True]
    )
    assert (found.method, found.model, found.questions, found.unknown) == ("auto", "A", 5, 1)
    assert found.confidence == pytest.approx((0.95 + 0.85 + 0.85 + 0.32 + 1.0) / 5)
    assert found.accuracy == 0.6
    assert [one.questions for one in found.bins] == [0, 0, 0, 1, 0, 0, 0, 0, 2, 2]
    high = found.bins[9]
    assert (high.low, high.high, high.confidence, high.accuracy) == (0.9, 1.0, pytest.approx(0.975), 1.0)
    assert (found.bins[8].confidence, found.bins[8].accuracy) == (pytest.approx(0.85), 0.5)
    assert (found.bins[0].confidence, found.bins[0].accuracy) == (None, None)
    # 1 · |0.32 - 0| + 2 · |0.85 - 0.5| + 2 · |0.975 - 1|, over 5
    assert found.ece == pytest.approx((0.32 + 0.7 + 0.05) / 5)
    # Of 3 · 2 pairs of a right and a wrong one five are in order, and one is tied.
    assert found.auroc == pytest.approx(5.5 / 6)
    assert Calibration.model_validate_json(found.model_dump_json()) == found


def test_a_bin_holds_its_lower_end() -> None:
    found = calibrate("auto", "", [number / 10 for number in range(11)], [True] * 11)
    assert [one.questions for one in found.bins] == [1] * 9 + [2]


def test_tables_leave_out_empty_bins_and_say_what_is_not_known() -> None:
    found = calibrate("auto", "", [0.25, 0.29, 0.7], [True, True, True])
    assert found.table() == [
        {"confidence": "0.2 to 0.3", "questions": "2", "mean confidence": "0.270", "accuracy": "1.000"},
        {"confidence": "0.7 to 0.8", "questions": "1", "mean confidence": "0.700", "accuracy": "1.000"},
    ]
    assert str(found) == "mean confidence 0.413, accuracy 1.000, ECE 0.587, AUROC –"


def test_nothing_is_known() -> None:
    found = calibrate("auto", "", [None, None], [True, False])
    assert (found.questions, found.unknown) == (0, 2)
    assert (found.confidence, found.accuracy, found.ece, found.auroc) == (None, None, None, None)
    assert found.table() == []


def test_auroc_of_order_and_of_chance() -> None:
    assert auroc([0.9, 0.8, 0.2], [True, True, False]) == 1.0
    assert auroc([0.1, 0.2, 0.9], [True, True, False]) == 0.0
    assert auroc([0.5] * 4, [True, False, True, False]) == 0.5
    assert auroc([0.5, 0.6], [False, False]) is None
    assert auroc([], []) is None


def test_auroc_counts_pairs() -> None:
    draw = random.Random(0)
    said = [draw.randint(0, 9) / 10 for _ in range(60)]
    was = [draw.random() < one for one in said]
    pairs = [
        (a, b)
        for a, right in zip(said, was, strict=True)
        if right
        for b, other in zip(said, was, strict=True)
        if not other
    ]
    expected = sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)
    assert auroc(said, was) == pytest.approx(expected)


def test_a_confidence_that_is_right_has_no_error() -> None:
    assert expected_calibration_error([0.75] * 4, [True, True, True, False]) == 0.0
    assert expected_calibration_error([1.0] * 4, [True, True, True, False]) == 0.25
