"""What a run of GRPO measured at each step, as CSV and as a plot."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from me2sdk.train.grpo.config import GRPOReport

__all__ = ["curve_point", "write_curves"]

# Our names for what TRL logs.
_CURVE = {
    "r": "reward",
    "r_v": "r_v",
    "r_t": "r_t",
    "r_std": "r_std",
    "length": "completions/mean_length",
    "clipped": "completions/clipped_ratio",
    "kl": "kl",
    "entropy": "entropy",
    "loss": "loss",
    "unjudged": "unjudged",
    "score_failures": "score_failures",
}


def curve_point(line: dict[str, Any]) -> dict[str, int | float | None]:
    """A line of the log as a record of `GRPOReport.curve`."""
    return {"step": line["step"], **{name: line.get(key) for name, key in _CURVE.items()}}


def write_curves(report: GRPOReport, folder: Path) -> None:
    """Write ``curve.csv`` and ``curve.png``."""
    with (folder / "curve.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["step", *_CURVE])
        writer.writeheader()
        writer.writerows(report.curve)
    from matplotlib.figure import Figure

    panels = [("r", "reward"), ("r_v", "answers right"), ("r_t", "thinking reward of right answers")]
    panels += [
        ("r_std", "spread of the reward in a group"),
        ("length", "tokens per completion"),
        ("clipped", "cut"),
    ]
    figure = Figure(figsize=(11, 6), layout="constrained")
    for place, (name, title) in enumerate(panels):
        axes = figure.add_subplot(2, 3, place + 1)
        points = [(point["step"], y) for point in report.curve if (y := point[name]) is not None]
        axes.plot([x or 0 for x, _ in points], [y for _, y in points], linewidth=1)
        axes.set(title=title, xlabel="step")
        axes.title.set_fontsize(10)
        if name == "r_v" and report.held_out:
            axes.plot(
                [one.step for one in report.held_out],
                [one.accuracy for one in report.held_out],
                "o-",
                label="held out",
            )
            axes.legend(fontsize=8)
    figure.savefig(folder / "curve.png", dpi=110)
