"""What it saves, and costs, to stop sampling before all candidates are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from me2sdk.sampling import Tally, next_wave
from me2sdk.schema import Value
from me2sdk.train.evaluate.choices import AutoChooser
from me2sdk.train.evaluate.estimates import Estimate, estimate

__all__ = ["FEWEST", "STOPS", "StoppingRow", "StoppingRun", "samples_asked", "simulate", "stopping_rows"]

STOPS: tuple[float | Literal["sure"], ...] = (0.8, 0.9, 0.95, 0.99, "sure")
ORDERS = 4
"""Random orders in which the candidates of a question come."""
FEWEST = 4
"""Questions with fewer candidates are left out: there is nothing to save."""


class StoppingRow(Value):
    """What a value of ``stop`` saves and costs, where candidates come in a random order.

    Attributes:
        method: the method that chooses, as in `BestOfNRow`.
        model: as in `BestOfNRow`.
        stop: the value, as `best_of_n` takes it.
        questions: groups of at least four candidates that the rest is the mean over, each in four orders.
        used: share of the candidates that is asked for.
        accuracy: accuracy of the choice among those.
        lost: accuracy of the choice among all candidates less that.
        changed: how often the choice among all has another answer.
    """

    method: str
    model: str = ""
    stop: float | Literal["sure"]
    questions: int
    used: float
    accuracy: Estimate
    lost: Estimate
    changed: float


class StoppingRun(NamedTuple):
    """What a value of ``stop`` does to one question: means over orders, with the fields of `StoppingRow`."""

    used: float
    accuracy: float
    lost: float
    changed: float


def samples_asked(stop: float | Literal["sure"], count: int, tally_after: Callable[[int], Tally]) -> int:
    """How many of ``count`` candidates `best_of_n` asks for.

    Args:
        stop: the value of ``stop``.
        count: number of candidates, at most.
        tally_after: the votes of the first so many candidates.
    """
    asked = 0
    while asked < count:
        wave = next_wave(stop, tally_after(asked), count - asked)
        if not wave:
            break
        asked += wave
    return asked


def simulate(chooser: AutoChooser) -> list[StoppingRun]:
    """For each of `STOPS` what it does to one question."""
    runs: list[list[StoppingRun]] = [[] for _ in STOPS]
    for order in chooser.orders[:ORDERS]:
        whole = chooser.choose(order)
        for stop, found in zip(STOPS, runs, strict=True):
            asked = samples_asked(stop, len(order), lambda asked, order=order: chooser.tally(order[:asked]))  # type: ignore[misc]
            early = chooser.choose(order[:asked])
            right = chooser.is_right(early)
            found.append(
                StoppingRun(
                    used=asked / len(order),
                    accuracy=right,
                    lost=chooser.is_right(whole) - right,
                    changed=not _same_answer(chooser, early, whole),
                )
            )
    return [
        StoppingRun(*(sum(values) / len(values) for values in zip(*found, strict=True))) for found in runs
    ]


def stopping_rows(
    method: str, model: str, runs: Sequence[Sequence[StoppingRun]], questions: Sequence[str]
) -> list[StoppingRow]:
    """The means over questions.

    Args:
        method: the method that chooses.
        model: whose candidates.
        runs: what `simulate` found for each group of candidates, of which there is at least one.
        questions: for each group the question that it belongs to.
    """
    return [
        StoppingRow(
            method=method,
            model=model,
            stop=stop,
            questions=len(found),
            used=sum(run.used for run in found) / len(found),
            accuracy=estimate([run.accuracy for run in found], questions),
            lost=estimate([run.lost for run in found], questions),
            changed=sum(run.changed for run in found) / len(found),
        )
        for stop, found in zip(STOPS, zip(*runs, strict=True), strict=True)
    ]


def _same_answer(chooser: AutoChooser, one: int | None, other: int | None) -> bool:
    if one is None or other is None or chooser.groups[one] is None:
        return one == other
    return chooser.groups[one] == chooser.groups[other]
