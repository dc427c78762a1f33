"""What `evaluate_best_of_n` found as a self-contained web page: curves, confidence, and the figures behind them."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence

from me2sdk.page import escaped, page
from me2sdk.train.evaluate.best_of_n import WITHIN, BestOfNReport
from me2sdk.train.evaluate.plot import plot_panels

__all__ = ["best_of_n_page"]

_ALT = ("Accuracy of the chosen candidate by the number of candidates", "Accuracy by confidence")


def best_of_n_page(report: BestOfNReport, title: str | None = None) -> str:
    """What `BestOfNReport.to_html` returns; its arguments are explained there."""
    title = title or "Best of N"
    fewest, most = report.candidates
    each = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    groups = {"": "All candidates", **{name: _heading(name) for name in report.models if name}}
    body = [
        f"<header><h1>{escaped(title)}</h1>",
        f'<p class="facts">{report.questions:,} questions with {each} candidates each</p></header><main>',
        *(_group(report, name, heading) for name, heading in groups.items()),
        _notes(report),
        "</main>",
    ]
    return page(title, "figures", "\n".join(body), images=True)


def _heading(model: str) -> str:
    return "Within each model, mean over the models" if model == WITHIN else f"Candidates of {model}"


def _group(report: BestOfNReport, model: str, heading: str) -> str:
    """Figures and tables of the candidates of one model, folded unless it is all of them."""
    pictures = zip(
        plot_panels(report, model=model, dark=False),
        plot_panels(report, model=model, dark=True),
        _ALT,
        strict=False,
    )
    parts = [
        f'<div class="pictures">{"".join(_picture(*one) for one in pictures)}</div>',
        _table(report.table(model), "Accuracy by the number of candidates N"),
        *(
            _table(one.table(), f"Confidence of {one.method}: {one}")
            for one in report.calibrations
            if one.model == model and one.questions
        ),
        _table(report.stopping_table(model), "Stopping before all candidates"),
    ]
    state = "" if model else " open"
    return f'<details class="group"{state}><summary><h2>{escaped(heading)}</h2></summary>{"".join(parts)}</details>'


def _picture(light: str, dark: str, what: str) -> str:
    """A drawing in the colours that the reader's system is set to."""
    return (
        f'<picture><source srcset="{_address(dark)}" media="(prefers-color-scheme: dark)">'
        f'<img src="{_address(light)}" alt="{what}; the table below holds its numbers"></picture>'
    )


def _address(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _table(rows: Sequence[dict[str, str]], caption: str) -> str:
    if not rows:
        return ""
    heads = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in heads)
    lines = []
    for row in rows:
        first, *rest = (escaped(row.get(name, "")) for name in heads)
        lines.append(f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>')
    return (
        f'<div class="scroll" tabindex="0"><table><caption>{escaped(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _notes(report: BestOfNReport) -> str:
    """What could not be measured."""
    failed = Counter((one.by, one.error) for one in report.failures)
    notes = [
        *(
            [f"{report.undecided:,} answers could not be compared with the reference."]
            if report.undecided
            else []
        ),
        *(
            f"{name} had to leave out a part of {count:,} candidates."
            for name, count in report.truncated.items()
            if count
        ),
        *(f"{by}: {count:,} failed with {error}." for (by, error), count in failed.items()),
        *(
            f"{one.method}: no confidence in {one.unknown:,} choices, whose answers could not be compared."
            for one in report.calibrations
            if not one.model and one.unknown
        ),
        *(
            [
                "Where there are too many subsets to count, votes are the mean over 2,000 random ones, and auto over "
                f"{report.draws:,}."
            ]
            if any(not row.exact for row in report.rows)
            else []
        ),
    ]
    return "".join(f'<p class="facts">{escaped(note)}</p>' for note in notes)
