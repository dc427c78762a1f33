"""The paper's figure of best-of-N: accuracy against the number of candidates (§5.3)."""

from __future__ import annotations

from pathlib import Path

from me2sdk.errors import ConfigurationError
from me2sdk.train.evaluate.best_of_n import MAJORITY, ORACLE, RANDOM, SHORTEST, BestOfNReport

__all__ = ["plot_best_of_n"]

_STYLES = {
    ORACLE: {"color": "black", "linestyle": "--"},
    MAJORITY: {"color": "#555555", "linestyle": "-"},
    SHORTEST: {"color": "#999999", "linestyle": "-."},
    RANDOM: {"color": "#999999", "linestyle": ":"},
}
_VOTE = ", weighted vote"
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # safe for colour-blind readers


def plot_best_of_n(
    report: BestOfNReport, path: str | Path, *, model: str = "", title: str | None = None
) -> None:
    """Draw the curves of a report.

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
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigurationError('A figure needs matplotlib. Run: pip install "me2sdk[train]"') from None
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    scorers = [name for name in curves if name not in _STYLES]
    alone = [name for name in scorers if not name.endswith(_VOTE)]
    colours = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(alone)}
    for name, rows in curves.items():
        vote = name.endswith(_VOTE)
        own = {"color": colours.get(name.removesuffix(_VOTE)), "linestyle": (0, (4, 1.5)) if vote else "-"}
        style = _STYLES.get(name, own)
        ks = [row.k for row in rows]
        axes.plot(
            ks,
            [row.accuracy.mean for row in rows],
            label=name,
            linewidth=2.2 if name in scorers and not vote else 1.4,
            marker="o" if name in scorers and not vote else None,
            markersize=4,
            **style,
        )
        if name in scorers and not vote:
            low, high = ([getattr(row.accuracy, end) for row in rows] for end in ("low", "high"))
            axes.fill_between(ks, low, high, color=style["color"], alpha=0.13, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.minorticks_off()
    axes.set_xlabel("candidates N")
    axes.set_ylabel("accuracy of the chosen candidate")
    axes.grid(alpha=0.25)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    if title:
        axes.set_title(title, fontsize=11)
    # The same report gives the same bytes.
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {"Software": None}}
    figure.savefig(path, dpi=160, metadata=metadata[path.suffix])
