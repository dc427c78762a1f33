"""DAGs as self-contained web pages: no network, no framework, nothing from a trace that could run.

Text of a trace enters a page escaped, or as JSON in which no tag can end. The page's content security policy allows our
one script and our one style, by their hashes, and no requests.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
import re
from importlib import resources

from me2sdk.dag.export import excerpt, printable
from me2sdk.dag.graph import ReasoningDAG
from me2sdk.dag.metrics import metrics
from me2sdk.dag.svg import kind_of, svg
from me2sdk.schema import question_text

__all__ = ["escaped", "figure", "fill", "page", "question_block", "to_html"]

_PLACE = re.compile(r"\{\{(\w+)\}\}")


def to_html(dag: ReasoningDAG, title: str | None = None) -> str:
    """One self-contained page that draws a DAG: pan, zoom, click a node to read its step and why it is there.

    The dominant path is highlighted and branches that lead nowhere are dimmed.

    Args:
        dag: a DAG of steps, or of super-nodes, which give the better overview of a long trace.
        title: heading of the page; by default the beginning of the question.

    Returns:
        The page as HTML, which needs no network.

    Raises:
        ConfigurationError: fast-sugiyama is not installed.
    """
    question = question_text(dag.question)
    title = title or excerpt(question, 80) or "Reasoning DAG"
    body = fill(
        _page_file("dag.html"),
        heading=escaped(title),
        question=question_block(question),
        figure=figure(dag, "dag", ""),
    )
    return page(title, "single", body)


@functools.cache
def _page_file(name: str) -> str:
    return (resources.files("me2sdk.dag") / "page" / name).read_text("utf-8")


def fill(template: str, **values: str) -> str:
    """Replace every ``{{name}}`` in one pass, so that a value that looks like one stays as it is."""
    return _PLACE.sub(lambda place: values[place[1]], template)


def escaped(text: str) -> str:
    """``text`` for use in HTML, without characters that cannot be printed."""
    return html.escape(printable(text))


def page(title: str, kind: str, body: str) -> str:
    """A whole page around ``body``, with the style and the script that its policy allows."""
    style, script = _page_file("dag.css"), _page_file("dag.js")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return fill(
        _page_file("page.html"),
        title=escaped(title),
        kind=kind,
        policy=policy,
        style=style,
        script=script,
        body=body,
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def question_block(question: str) -> str:
    """The question, folded; empty if there is none."""
    return (
        f"<details><summary>Question</summary><p>{escaped(question)}</p></details>"
        if question.strip()
        else ""
    )


def figure(dag: ReasoningDAG, name: str, heading: str) -> str:
    """The drawing of a DAG with its facts and its panel; ``name`` must be unique within the page."""
    figures = metrics(dag)
    facts = [
        _count(figures.steps, "step"),
        _count(figures.branches, "branch", "branches"),
        _count(figures.merges, "merge"),
        f"depth {figures.depth}",
        f"{figures.off_path_share:.0%} of the text off the dominant path",
        *([f"{_count(len(dag.errors), 'step')} not annotated"] if dag.errors else []),
    ]
    return fill(
        _page_file("figure.html"),
        name=name,
        heading=f"<h2>{escaped(heading)}</h2>" if heading else "",
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
    path = set(dag.dominant_path())
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
