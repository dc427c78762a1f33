"""DAGs as self-contained web pages: no network, no framework, nothing from a trace that could run."""

from __future__ import annotations

from me2sdk.dag.export import excerpt
from me2sdk.dag.graph import ReasoningDAG
from me2sdk.dag.metrics import metrics
from me2sdk.dag.svg import kind_of, svg
from me2sdk.page import data_block, escaped, fill, page, question_block, read_file, typeset
from me2sdk.schema import question_text

__all__ = ["figure", "figure_script", "to_html"]


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
        read_file("me2sdk.dag", "dag.html"),
        heading=typeset(title),
        question=question_block(question),
        figure=figure(dag, "dag", ""),
    )
    return page(title, "single", body, [figure_script()])


def figure_script() -> str:
    """The script that lets readers walk through the figures of a page."""
    return read_file("me2sdk.dag", "dag.js")


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
        read_file("me2sdk.dag", "figure.html"),
        name=name,
        heading=f"<h2>{escaped(heading)}</h2>" if heading else "",
        facts=" · ".join(facts),
        last=str(len(dag.nodes) - 1),
        drawing=svg(dag, name, heading or "Steps of the trace"),
        nodes=data_block(_nodes(dag)),
    )


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _nodes(dag: ReasoningDAG) -> list[dict[str, object]]:
    """What the panel shows of each node."""
    failed = {error.step: error.message for error in dag.errors}
    path = set(dag.dominant_path())
    return [
        {
            "kind": kind_of(node),
            "on": node.id in path,
            "parents": node.parents,
            "children": dag.children[node.id],
            "why": node.explanation or "",
            "error": "; ".join(failed[step] for step in node.steps if step in failed),
            "html": typeset(node.text),
        }
        for node in dag.nodes
    ]
