"""The paper's figure of best-of-N: accuracy against the number of candidates (§5.3), and how sure choices are."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from me2sdk.errors import ConfigurationError
from me2sdk.train.evaluate.best_of_n import (
    AUTO,
    MAJORITY,
    ORACLE,
    RANDOM,
    SHORTEST,
    BestOfNReport,
    BestOfNRow,
)
from me2sdk.train.evaluate.calibration import Calibration

__all__ = ["plot_best_of_n", "plot_panels"]

_STYLES = {
    ORACLE: {"color": "black", "linestyle": "--"},
    MAJORITY: {"color": "#555555", "linestyle": "-"},
    SHORTEST: {"color": "#999999", "linestyle": "-."},
    RANDOM: {"color": "#999999", "linestyle": ":"},
}
_WAYS: dict[str, dict[str, Any]] = {
    f", {AUTO}": {"linestyle": "-", "linewidth": 2.4, "marker": "s"},
    ", weighted vote": {"linestyle": (0, (4, 1.5)), "linewidth": 1.4},
    ", vote": {"linestyle": (0, (1, 1)), "linewidth": 1.4},
}
_BEST = {"linestyle": "-", "linewidth": 1.4, "marker": "o"}
_ON_DARK = {"black": "#e6eaf0", "#555555": "#b9c0ca"}
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # safe for colour-blind readers


def plot_best_of_n(
    report: BestOfNReport, path: str | Path, *, model: str = "", title: str | None = None
) -> None:
    """Draw the curves of a report, and beside them how far the confidence of "auto" can be trusted, where it is known.

    Args:
        report: what `evaluate_best_of_n` returned.
        path: the file to write: ``.png``, ``.svg`` or ``.pdf``.
        model: whose candidates; "" for all of them.
        title: heading of the figure.

    Raises:
        ConfigurationError: matplotlib is missing, the ending is another, or the report knows no such model.

    Example:
        ```python
        from me2sdk import Trace
        from me2sdk.train import CandidateQuestion, evaluate_best_of_n, plot_best_of_n

        traces = [Trace.from_text("It is 4."), Trace.from_text("Let me see. It is 5.")]
        question = CandidateQuestion(question="What is 2 + 2?", candidates=traces, correct=[True, False])
        plot_best_of_n(evaluate_best_of_n([question], {"mini": "mini"}), "curves.png")
        ```
    """
    path = Path(path)
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise ConfigurationError(f"A figure is written to .png, .svg or .pdf, not to {path.name}.")
    curves = report.curves(model)
    if not curves:
        raise ConfigurationError(
            f"There is no curve for {model!r}. There are: {', '.join(map(repr, report.models))}."
        )
    calibrations = _calibrations(report, model)
    figure = _figure(11.6 if calibrations else 7.2, 5.4)
    widths = [1.4, 1] if calibrations else [1]
    axes = figure.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
    colours = _colours(curves)
    _draw_curves(axes[0], curves, colours)
    if title:
        axes[0].set_title(title, fontsize=11)
    if calibrations:
        _draw_calibrations(axes[1], calibrations, colours)
    # The same report gives the same bytes.
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {"Software": None}}
    figure.savefig(path, dpi=160, metadata=metadata[path.suffix])


def plot_panels(report: BestOfNReport, *, model: str = "", dark: bool = False) -> list[str]:
    """The curves of a report and, where it is known, the confidence, each as an SVG without a ground of its own.

    Args:
        report: what `evaluate_best_of_n` returned.
        model: whose candidates, as `plot_best_of_n` takes it.
        dark: whether what is black and dark grey is to be read on a dark ground.

    Raises:
        ConfigurationError: matplotlib is missing.
    """
    curves, calibrations = report.curves(model), _calibrations(report, model)
    colours = _colours(curves)
    panels = [_panel(lambda axes: _draw_curves(axes, curves, colours), dark)]
    if calibrations:
        panels.append(_panel(lambda axes: _draw_calibrations(axes, calibrations, colours), dark))
    return panels


def _panel(draw: Callable[[Any], None], dark: bool) -> str:
    figure = _figure(5.8, 4.6)
    axes = figure.subplots()
    draw(axes)
    if dark:
        _lighten(axes)
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue()


def _figure(width: float, height: float) -> Any:
    """An empty figure, in inches."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigurationError('A figure needs matplotlib. Run: pip install "me2sdk[train]"') from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _lighten(axes: Any) -> None:
    """Draw what is dark in colours for a dark ground."""
    legend = axes.get_legend()
    axes.tick_params(colors=_ON_DARK["black"])
    for spine in axes.spines.values():
        spine.set_edgecolor(_ON_DARK["black"])
    for text in (axes.xaxis.label, axes.yaxis.label, *legend.get_texts()):
        text.set_color(_ON_DARK["black"])
    for line in (*axes.lines, *legend.get_lines()):
        line.set_color(_ON_DARK.get(line.get_color(), line.get_color()))


def _calibrations(report: BestOfNReport, model: str) -> list[Calibration]:
    return [one for one in report.calibrations if one.model == model and one.questions]


def _scorer(method: str) -> str:
    """The scorer whose rewards a method uses."""
    return next((method.removesuffix(way) for way in _WAYS if method.endswith(way)), method)


def _colours(methods: Mapping[str, object]) -> dict[str, str]:
    scorers = dict.fromkeys(_scorer(name) for name in methods if name not in _STYLES)
    return {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(scorers)}


def _draw_curves(axes: Any, curves: Mapping[str, Sequence[BestOfNRow]], colours: Mapping[str, str]) -> None:
    ks: list[int] = []
    for name, rows in curves.items():
        ks = [row.k for row in rows]
        way = next((way for ending, way in _WAYS.items() if name.endswith(ending)), _BEST)
        style = (
            _STYLES[name] | {"linewidth": 1.4}
            if name in _STYLES
            else {"color": colours[_scorer(name)], **way}
        )
        axes.plot(ks, [row.accuracy.mean for row in rows], label=name, markersize=4, **style)
        if name.endswith(AUTO) or (name in colours and f"{name}, {AUTO}" not in curves):
            low, high = ([getattr(row.accuracy, end) for row in rows] for end in ("low", "high"))
            axes.fill_between(ks, low, high, color=style["color"], alpha=0.1, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.minorticks_off()
    axes.set_xlabel("candidates N")
    axes.set_ylabel("accuracy of the chosen candidate")
    axes.grid(alpha=0.25)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False, fontsize=9)


def _draw_calibrations(axes: Any, calibrations: Sequence[Calibration], colours: Mapping[str, str]) -> None:
    """Accuracy against confidence; the more questions a bin holds, the larger its point."""
    axes.plot([0, 1], [0, 1], color="#999999", linestyle=":", linewidth=1.4)
    for one in calibrations:
        bins = [part for part in one.bins if part.questions]
        xs, ys = [part.confidence for part in bins], [part.accuracy for part in bins]
        sizes = [8 + 160 * part.questions / one.questions for part in bins]
        auroc = "–" if one.auroc is None else f"{one.auroc:.3f}"
        colour = colours[_scorer(one.method)]
        axes.plot(
            xs, ys, color=colour, linewidth=1.4, label=f"{one.method}: ECE {one.ece:.3f}, AUROC {auroc}"
        )
        axes.scatter(xs, ys, s=sizes, color=colour, linewidths=0, alpha=0.7)
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.25)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), frameon=False, fontsize=9)
