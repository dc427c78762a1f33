"""A DAG as a tree for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from me2sdk.page import percent

if TYPE_CHECKING:
    from me2sdk.dag import ReasoningDAG

__all__ = ["dag_tree"]

_WIDTH = 160  # columns of a step that are shown at most; a narrower terminal shows less
_COLOURS = {"backtrack": "yellow", "merge": "magenta"}


def dag_tree(dag: ReasoningDAG) -> RenderableType:
    """Draw a DAG: where the trace went on straight down, what it left as branches, and its measures below.

    A line goes on from the one above it at the same depth, unless it says where it goes back to. A merge names its
    other parents. Steps of the dominant path are bright, others dim.

    Args:
        dag: a DAG of steps or of super-nodes.
    """
    path = set(dag.dominant_path())
    under = [node.parents[-1] if node.parents else -1 for node in dag.nodes]
    latest = {
        parent: node for node, parent in enumerate(under)
    }  # the child of each with which the trace went on
    tree = Tree("", hide_root=True, guide_style="dim")
    lines: list[Tree] = []
    holders = [tree]  # for each step, what holds its line and that of the step with which the trace went on
    for node, parent in enumerate(under):
        if node:
            holders.append(holders[parent] if latest[parent] == node else lines[parent])
        lines.append(holders[node].add(_label(dag, node, node in path)))
    shape = dag.metrics()
    counts = (
        f"{_count(shape.steps, 'step')}, {_count(shape.leaves - 1, 'branch')} left, {_count(shape.merges, 'merge')}, "
        f"{percent(shape.off_path_share)} of the text off the dominant path"
    )
    return Group(tree, Text(counts, style="dim"))


def _label(dag: ReasoningDAG, number: int, on_path: bool) -> Text:
    from me2sdk.dag import excerpt

    node = dag.nodes[number]
    kind = ""
    if node.action == "backtrack":
        kind = f"back to {node.parents[0]}: "
    elif node.action == "merge":
        kind = f"merges {', '.join(map(str, node.parents[:-1]))}: "
    if len(node.steps) > 1:
        kind = f"({len(node.steps)} steps) {kind}"
    text = Text(no_wrap=True, overflow="ellipsis", style="" if on_path else "dim")
    text.append(f"{number} ", style="bold" if on_path else "")
    text.append(kind, style=_COLOURS.get(node.action, ""))
    return text.append(excerpt(node.text, _WIDTH))


def _count(number: int, what: str) -> str:
    plural = what if number == 1 else what + ("es" if what.endswith("ch") else "s")
    return f"{number} {plural}"
