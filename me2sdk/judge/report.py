"""A verdict as a self-contained web page: what the judge said, above the two DAGs side by side."""

from __future__ import annotations

from importlib import resources

from me2sdk.dag import excerpt, figure, figure_script
from me2sdk.judge.verdicts import PairVerdict
from me2sdk.page import escaped, fill, page, question_block, typeset
from me2sdk.schema import question_text

__all__ = ["compare_html"]

_NO_DAG = "There is no DAG of this trace: it was judged without structure."


def compare_html(verdict: PairVerdict, title: str | None = None) -> str:
    """One self-contained page that shows what a judge said about two traces, and their DAGs side by side.

    Args:
        verdict: what `judge_pair` returned.
        title: heading of the page; by default the beginning of the question.

    Returns:
        The page as HTML, which needs no network.

    Raises:
        ConfigurationError: fast-sugiyama is not installed.

    Example:
        ```python
        from pathlib import Path
        from me2sdk import compare_html, judge_pair

        judge = lambda messages, **params: "Both are right. <|decision|>Tie"  # or "openai/gpt-4o-mini"
        verdict = judge_pair("What is 2 + 2?", "2 + 2 = 4.", "Four.", model=judge, annotator="local")
        Path("verdict.html").write_text(compare_html(verdict), "utf-8")
        ```
    """
    dags = (verdict.dag_a, verdict.dag_b)
    question = next((text for dag in dags if dag and (text := question_text(dag.question))), "")
    title = title or excerpt(question, 80) or "Two traces compared"
    rows = [
        _row(str(name).replace("_", " ").capitalize(), found.preference, found.agreement, found.rationale)
        for name, found in verdict.dimensions.items()
    ]
    overall = _row("Overall", verdict.preference, verdict.agreement, verdict.rationale)
    figures = [
        figure(dag, f"dag-{name}", f"Trace {name.upper()}")
        if dag
        else f'<section class="dag none"><h2>Trace {name.upper()}</h2><p>{_NO_DAG}</p></section>'
        for name, dag in zip("ab", dags, strict=True)
    ]
    body = fill(
        (resources.files("me2sdk.judge") / "compare.html").read_text("utf-8"),
        heading=typeset(title),
        question=question_block(question),
        overall=overall,
        dimensions="\n".join(rows),
        figures="\n".join(figures),
    )
    return page(title, "compare", body, [figure_script()])


def _row(name: str, preference: str, agreement: float, rationale: str) -> str:
    label = {"a": "Trace A", "b": "Trace B", "tie": "Tie"}.get(preference, "No verdict")
    return (
        f'<tr><th scope="row">{escaped(name)}</th><td><span class="badge {escaped(preference)}">{label}</span></td>'
        f'<td>{agreement:.0%}</td><td class="prose" dir="auto">{typeset(rationale)}</td></tr>'
    )
