from __future__ import annotations

import itertools
import math

import pytest

from me2sdk.judge.tournament import bradley_terry, merge_exchange


@pytest.mark.parametrize("count", range(9))
def test_the_network_sorts(count: int) -> None:
    layers = list(merge_exchange(count))
    for layer in layers:
        assert len({place for pair in layer for place in pair}) == 2 * len(layer)  # disjoint
    for bits in itertools.product((0, 1), repeat=count):  # enough, by the 0-1 principle
        values = list(bits)
        for i, j in itertools.chain(*layers):
            values[i], values[j] = sorted((values[i], values[j]))
        assert values == sorted(bits)


def test_strengths_are_those_of_the_model() -> None:
    first, second = bradley_terry(2, {(0, 1): 300.0, (1, 0): 100.0})
    assert first - second == pytest.approx(math.log(3), abs=1e-3)
    assert first + second == pytest.approx(0.0, abs=1e-9)
    never_beaten = bradley_terry(3, {(0, 1): 1.0, (0, 2): 1.0, (1, 2): 1.0})
    assert never_beaten == sorted(never_beaten, reverse=True)
    assert all(map(math.isfinite, never_beaten))
    assert bradley_terry(3, {(0, 1): 0.5, (1, 0): 0.5}) == pytest.approx([0.0, 0.0, 0.0])
