"""How far a confidence can be trusted: whether of choices that are 80% sure 80% are right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from me2sdk.schema import Value

__all__ = ["Calibration", "ConfidenceBin", "auroc", "calibrate", "expected_calibration_error"]

BINS = 10


class ConfidenceBin(Value):
    """Choices with about the same confidence.

    Attributes:
        low: lower end of the bin, which belongs to it.
        high: upper end, which does not, but for 1.
        questions: how many choices have such a confidence.
        confidence: their mean confidence, or None where there are none.
        accuracy: share of them that is right, or None where there are none.
    """

    low: float
    high: float
    questions: int
    confidence: float | None
    accuracy: float | None


class Calibration(Value):
    """How the confidence of a method agrees with how often its choice among all candidates is right.

    Attributes:
        method: a method that says how sure it is, as in `BestOfNRow`.
        model: as in `BestOfNRow`.
        questions: choices with a confidence, which the rest is about.
        unknown: choices without one, since answers could not be compared.
        confidence: mean confidence, or None where there is none.
        accuracy: share of the choices that is right, or None.
        ece: expected calibration error: the distance of confidence and accuracy, mean over the bins by their number of
            choices; or None.
        auroc: how likely the confidence in a right choice is above that in a wrong one, ties counting half; None where
            all choices are right, or none.
        bins: ten bins of equal width.
    """

    method: str
    model: str = ""
    questions: int
    unknown: int
    confidence: float | None
    accuracy: float | None
    ece: float | None
    auroc: float | None
    bins: tuple[ConfidenceBin, ...]

    def table(self) -> list[dict[str, str]]:
        """The bins that hold something as text, for printing."""
        return [
            {
                "confidence": f"{one.low:.1f} to {one.high:.1f}",
                "questions": str(one.questions),
                "mean confidence": f"{one.confidence:.3f}",
                "accuracy": f"{one.accuracy:.3f}",
            }
            for one in self.bins
            if one.questions
        ]

    def __str__(self) -> str:
        figures = (
            ("mean confidence", self.confidence),
            ("accuracy", self.accuracy),
            ("ECE", self.ece),
            ("AUROC", self.auroc),
        )
        return ", ".join(f"{name} {'–' if value is None else f'{value:.3f}'}" for name, value in figures)


def calibrate(
    method: str, model: str, confidences: Sequence[float | None], right: Sequence[bool]
) -> Calibration:
    """Compare confidences with what was right.

    Args:
        method: whose confidences.
        model: whose candidates.
        confidences: for each question the confidence in its choice, or None, which is left out.
        right: whether that choice is right.
    """
    known = [(said, was) for said, was in zip(confidences, right, strict=True) if said is not None]
    said, was = [one for one, _ in known], [one for _, one in known]
    return Calibration(
        method=method,
        model=model,
        questions=len(known),
        unknown=len(confidences) - len(known),
        confidence=float(np.mean(said)) if known else None,
        accuracy=float(np.mean(was)) if known else None,
        ece=expected_calibration_error(said, was) if known else None,
        auroc=auroc(said, was),
        bins=_bins(said, was),
    )


def expected_calibration_error(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """The distance of mean confidence and accuracy in ten bins of equal width, weighted by how much each bin holds.

    Args:
        confidences: at least one number in [0, 1].
        right: whether each one's choice is right.
    """
    bins = _bins(confidences, right)
    distances = [one.questions * abs((one.confidence or 0.0) - (one.accuracy or 0.0)) for one in bins]
    return sum(distances) / len(confidences)


def auroc(confidences: Sequence[float], right: Sequence[bool]) -> float | None:
    """How likely a right choice has more confidence than a wrong one; ties count half.

    Args:
        confidences: the confidence of each choice.
        right: whether it is right.

    Returns:
        A number in [0, 1], 0.5 for chance; None where there is no right one, or no wrong one.
    """
    said, was = np.array(confidences, float), np.array(right, bool)
    good, bad = said[was], np.sort(said[~was])
    if not good.size or not bad.size:
        return None
    beaten = np.searchsorted(bad, good, "left") + np.searchsorted(bad, good, "right")
    return float(beaten.sum() / (2 * good.size * bad.size))


def _bins(confidences: Sequence[float], right: Sequence[bool]) -> tuple[ConfidenceBin, ...]:
    edges = [number / BINS for number in range(BINS + 1)]
    said, was = np.array(confidences, float), np.array(right, float)
    places = np.digitize(said, edges[1:-1])
    found = []
    for place in range(BINS):
        inside = places == place
        some = bool(inside.any())
        found.append(
            ConfidenceBin(
                low=edges[place],
                high=edges[place + 1],
                questions=int(inside.sum()),
                confidence=float(said[inside].mean()) if some else None,
                accuracy=float(was[inside].mean()) if some else None,
            )
        )
    return tuple(found)
