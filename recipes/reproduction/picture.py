"""The curves of best of n, a panel for each sampler (the paper's Figure 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recipes.reproduction.best_of_n import OURS

__all__ = ["draw_curves"]

_STYLES = {
    "oracle": {"color": "black", "linestyle": "--"},
    "majority vote": {"color": "#555555", "linestyle": "-"},
    "shortest": {"color": "#999999", "linestyle": "-."},
    "random": {"color": "#999999", "linestyle": ":"},
    f"{OURS}, mean of the seeds": {"color": "#0072B2", "linewidth": 2.4, "marker": "o"},
}
_SEED = {"color": "#0072B2", "linewidth": 0.8, "alpha": 0.5}


def draw_curves(models: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Draw accuracy against N; the band is the 95% interval of the mean over seeds, thin lines are single seeds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6 * len(models), 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(models), squeeze=False, sharey=True)[0]
    for axes, (model, rows) in zip(panels, models.items(), strict=True):
        for row in rows:
            method = row["method"]
            if method.endswith(", auto"):
                continue
            ks = [int(k) for k in row["accuracy"]]
            found = list(row["accuracy"].values())
            style = _STYLES.get(method)
            axes.plot(ks, [one["mean"] for one in found], **(style or _SEED), label=method if style else None)
            if style and method.startswith(OURS):
                bounds = [[one[end] for one in found] for end in ("low", "high")]
                axes.fill_between(ks, *bounds, color=style["color"], alpha=0.12, linewidth=0)
        axes.set_xscale("log", base=2)
        axes.set_xticks(ks, [str(k) for k in ks])
        axes.set_xlabel("candidates (N)")
        axes.set_title(model, fontsize=10)
    panels[0].set_ylabel("questions answered right")
    panels[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
