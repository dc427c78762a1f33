"""DAGs as self-contained web pages: no network, no framework, nothing from a trace that could run.

Text of a trace enters a page escaped, or as JSON in which no tag can end; the page's content security policy allows the
one script and the one style of ours, by their hashes, and no request at all.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
import re
from importlib import resources
from typing import TYPE_CHECKING

from me2sdk._drawing import kind_of, svg
from me2sdk._export import excerpt, printable
from me2sdk._metrics import metrics
from me2sdk._prompts import question_text
from me2sdk._views import dominant_path
from me2sdk.dag import ReasoningDAG

if TYPE_CHECKING:
    from me2sdk.verdicts import PairVerdict

__all__ = ["compare_html", "to_html"]

_PLACE = re.compile(r"\{\{(\w+)\}\}")
_NO_DAG = "There is no DAG of this trace: it was judged without structure."


def to_html(dag: ReasoningDAG, title: str | None = None) -> str:
    """One self-contained page that draws a DAG: pan, zoom, click a node to read its step and why it stands there.

    The dominant path is highlighted and branches that lead nowhere are dimmed.

    Args:
        dag: a DAG of steps, or of super-nodes, which is the better overview of a long trace.
        title: heading of the page; by default the beginning of the question.

    Raises:
        ConfigurationError: fast-sugiyama is not installed.
    """
    question = question_text(dag.question)
    title = title or excerpt(question, 80) or "Reasoning DAG"
    body = _fill(
        _data("dag.html"), heading=_text(title), question=_question(question), figure=_figure(dag, "dag", "")
    )
    return _page(title, "single", body)


def compare_html(verdict: PairVerdict, title: str | None = None) -> str:
    """One self-contained page that shows what a judge said about two traces, above their two DAGs side by side.

    Args:
        verdict: what `judge_pair` returned.
        title: heading of the page; by default the beginning of the question.

    Raises:
        ConfigurationError: fast-sugiyama is not installed.
    """
    dags = (verdict.dag_a, verdict.dag_b)
    question = next((text for dag in dags if dag and (text := question_text(dag.question))), "")
    title = title or excerpt(question, 80) or "Two traces compared"
    rows = [
        _row(str(name).replace("_", " ").capitalize(), said.preference, said.agreement, said.rationale)
        for name, said in verdict.dimensions.items()
    ]
    overall = _row("Overall", verdict.preference, verdict.agreement, verdict.rationale)
    figures = [
        _figure(dag, f"dag-{name}", f"Trace {name.upper()}")
        if dag
        else f'<section class="dag none"><h2>Trace {name.upper()}</h2><p>{_NO_DAG}</p></section>'
        for name, dag in zip("ab", dags, strict=True)
    ]
    body = _fill(
        _data("compare.html"),
        heading=_text(title),
        question=_question(question),
        overall=overall,
        dimensions="\n".join(rows),
        figures="\n".join(figures),
    )
    return _page(title, "compare", body)


@functools.cache
def _data(name: str) -> str:
    return (resources.files("me2sdk") / "data" / name).read_text("utf-8")


def _fill(template: str, **values: str) -> str:
    """Replace ``{{name}}``, in one pass, so that a value that looks like a place stays as it is."""
    return _PLACE.sub(lambda place: values[place[1]], template)


def _text(text: str) -> str:
    return html.escape(printable(text))


def _page(title: str, kind: str, body: str) -> str:
    style, script = _data("dag.css"), _data("dag.js")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return _fill(
        _data("page.html"),
        title=_text(title),
        kind=kind,
        policy=policy,
        style=style,
        script=script,
        body=body,
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _question(question: str) -> str:
    return (
        f"<details><summary>Question</summary><p>{_text(question)}</p></details>" if question.strip() else ""
    )


def _row(name: str, preference: str, agreement: float, rationale: str) -> str:
    label = {"a": "Trace A", "b": "Trace B", "tie": "Tie"}.get(preference, "No verdict")
    return (
        f'<tr><th scope="row">{_text(name)}</th><td><span class="badge {_text(preference)}">{label}</span></td>'
        f"<td>{agreement:.0%}</td><td>{_text(rationale)}</td></tr>"
    )


def _figure(dag: ReasoningDAG, name: str, heading: str) -> str:
    figures = metrics(dag)
    facts = [
        _count(figures.steps, "step"),
        _count(figures.branches, "branch", "branches"),
        _count(figures.merges, "merge"),
        f"depth {figures.depth}",
        f"{figures.off_path_share:.0%} of the text off the dominant path",
        *([f"{_count(len(dag.errors), 'step')} not annotated"] if dag.errors else []),
    ]
    return _fill(
        _data("figure.html"),
        name=name,
        heading=f"<h2>{_text(heading)}</h2>" if heading else "",
        facts=" · ".join(facts),
        last=str(len(dag.nodes) - 1),
        drawing=svg(dag, name, heading or "Steps of the trace"),
        nodes=_nodes(dag),
    )


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _nodes(dag: ReasoningDAG) -> str:
    """What the panel shows of each node, as JSON that can stand inside a script element."""
    failed = {error.step: error.message for error in dag.errors}
    path = set(dominant_path(dag))
    nodes = [
        {
            "kind": kind_of(node),
            "on": node.id in path,
            "parents": node.parents,
            "children": dag.children[node.id],
            "why": node.explanation or "",
            "error": "; ".join(failed[step] for step in node.steps if step in failed),
            "text": node.text,
        }
        for node in dag.nodes
    ]
    written = printable(json.dumps(nodes, ensure_ascii=False, separators=(",", ":")))
    return written.translate({ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})
