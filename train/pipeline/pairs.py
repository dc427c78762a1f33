"""Which traces of a prompt are compared with each other (paper App. F: at most four pairs per prompt)."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

__all__ = ["Usable", "choose_pairs"]

_BANDS = 3  # of pairs by how much longer one side is: close, apart, far apart


class Usable(NamedTuple):
    """A finished, right trace.

    Attributes:
        key: names it.
        model: who wrote it.
        length: characters of its reasoning.
        digest: a hash of its text.
    """

    key: str
    model: str
    length: int
    digest: str


def choose_pairs(prompt: str, traces: Sequence[Usable], count: int, seed: int) -> list[tuple[str, str]]:
    """Choose pairs of traces of one prompt.

    The pairs are taken one after another, each time one whose traces, whose models and whose difference in length
    have been used least, so that no model and no kind of pair prevails; chance decides among equals. The same traces
    and the same seed give the same pairs, in whatever order the traces come.

    Args:
        prompt: key of the prompt.
        traces: its finished, right traces.
        count: how many pairs at most.
        seed: of the chance.

    Returns:
        Keys of the two traces of each pair, in alphabetical order.
    """
    known = sorted(traces)
    possible = [pair for pair in combinations(known, 2) if pair[0].digest != pair[1].digest]
    # By ratio: 200 characters more are much for a short trace and nothing for a long one.
    possible.sort(key=lambda pair: max(t.length for t in pair) / max(1, min(t.length for t in pair)))
    band = {pair: place * _BANDS // len(possible) for place, pair in enumerate(possible)}
    chance = random.Random(hashlib.sha256(f"{seed}\n{prompt}".encode()).digest())
    chance.shuffle(possible)
    chosen: list[tuple[str, str]] = []
    used: Counter[str | int] = Counter()
    while possible and len(chosen) < count:
        pair = min(possible, key=lambda pair: _use_count(pair, band[pair], used))
        possible.remove(pair)
        used[band[pair]] += 1
        used.update(name for trace in pair for name in (trace.key, f"model {trace.model}"))
        chosen.append((pair[0].key, pair[1].key))
    return chosen


def _use_count(pair: tuple[Usable, Usable], band: int, used: Counter[str | int]) -> tuple[int, int, int]:
    models = sum(used[f"model {trace.model}"] for trace in pair)
    return sum(used[trace.key] for trace in pair), models, used[band]
