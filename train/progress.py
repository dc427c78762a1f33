"""How far a long job is: the one thing that every ``on_progress`` is called with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["OnProgress", "Progress"]


class Progress(NamedTuple):
    """How far a long job is.

    Attributes:
        name: what is at work: a stage, a scorer, a judge, an annotator, or "training".
        done: how many of its items are done; of training, how many optimizer steps.
        total: how many there are.
        record: of training, the new line of ``log.jsonl`` (step, seconds, loss, …); else empty.
    """

    name: str
    done: int
    total: int
    record: Mapping[str, Any] = {}


OnProgress = Callable[[Progress], object]
"""Takes a `Progress` each time that an item, a batch of items or a logged step is done."""
