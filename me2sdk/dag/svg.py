"""A DAG as SVG: the positions of its nodes, and the cards and lines that show them.

fast-sugiyama computes the positions (a layered layout with few crossings, as Graphviz' ``dot`` makes); the drawing is
done here.
"""

from __future__ import annotations

import html
import itertools
from typing import NamedTuple

from me2sdk.dag.export import excerpt
from me2sdk.dag.graph import DAGNode, ReasoningDAG
from me2sdk.errors import ConfigurationError
from me2sdk.page import printable

__all__ = ["Layout", "layout", "svg"]

CARD_WIDTH, CARD_HEIGHT = 208, 48
_COLUMN, _ROW = CARD_WIDTH + 28, CARD_HEIGHT + 34
_MARGIN = 24
_SPACING = 2.0
_EXCERPT = 27


class Layout(NamedTuple):
    """Positions in a drawing, in pixels, y downwards.

    Attributes:
        width: of the drawing.
        height: of the drawing.
        centres: centre of each node's card.
        bends: for each edge (parent, child), the points that it passes between the layers of its ends.
    """

    width: float
    height: float
    centres: tuple[tuple[float, float], ...]
    bends: dict[tuple[int, int], tuple[tuple[float, float], ...]]


def layout(dag: ReasoningDAG) -> Layout:
    """Place the nodes in layers, each below its parents, with few crossings.

    Raises:
        ConfigurationError: fast-sugiyama is not installed.
    """
    try:
        from fast_sugiyama import from_edges
    except ImportError:
        raise ConfigurationError("Drawing a DAG needs fast-sugiyama: pip install fast-sugiyama") from None
    edges = [(parent, node.id) for node in dag.nodes for parent in node.parents]
    places: dict[int, tuple[float, float]] = {0: (0.0, 0.0)}
    links: list[tuple[int, int]] = []
    if edges:  # a DAG is connected, so there is one layout; a single node has no edges
        (found, _, _, routed), *_ = from_edges(edges, vertex_spacing=_SPACING, dummy_vertices=True)
        places = {int(node): (x, y) for node, (x, y) in found}
        links = [(int(start), int(end)) for start, end in routed or ()]
    if _reads_backwards(dag, places):
        places = {node: (-x, y) for node, (x, y) in places.items()}
    left, top = min(x for x, _ in places.values()), max(y for _, y in places.values())
    points = {
        node: (
            round(_MARGIN + CARD_WIDTH / 2 + (x - left) / _SPACING * _COLUMN, 1),
            round(_MARGIN + CARD_HEIGHT / 2 + (top - y) / _SPACING * _ROW, 1),
        )
        for node, (x, y) in places.items()
    }
    centres = tuple(points[node.id] for node in dag.nodes)
    return Layout(
        width=max(x for x, _ in centres) + CARD_WIDTH / 2 + _MARGIN,
        height=max(y for _, y in centres) + CARD_HEIGHT / 2 + _MARGIN,
        centres=centres,
        bends=_bends(len(dag.nodes), links, points),
    )


def _reads_backwards(dag: ReasoningDAG, places: dict[int, tuple[float, float]]) -> bool:
    """Whether later branches are mostly to the left of earlier ones. A mirrored layout is as good."""
    turns = [
        places[b][0] - places[a][0] for children in dag.children for a, b in itertools.pairwise(children)
    ]
    return sum(turn < 0 for turn in turns) > len(turns) / 2


def _bends(
    count: int, links: list[tuple[int, int]], points: dict[int, tuple[float, float]]
) -> dict[tuple[int, int], tuple[tuple[float, float], ...]]:
    """The points of each edge: its chain of dummy nodes (ids from ``count`` on), each with one successor."""
    onward = {start: end for start, end in links if start >= count}
    bends = {}
    for start, end in links:
        if start < count:
            passed = []
            while end >= count:
                passed.append(points[end])
                end = onward[end]
            bends[start, end] = tuple(passed)
    return bends


def svg(dag: ReasoningDAG, name: str, label: str) -> str:
    """The drawing of a DAG as an ``<svg>`` element, with no script and no style of its own.

    Args:
        dag: the DAG.
        name: prefix of the ids in it, unique on the page.
        label: what it shows, for screen readers.

    Returns:
        The element as text.
    """
    placed = layout(dag)
    path = set(dag.dominant_path())
    half = CARD_HEIGHT / 2
    parts = [
        f'<svg class="canvas" role="listbox" tabindex="-1" aria-label="{html.escape(label)}"'
        f' data-width="{placed.width:g}" data-height="{placed.height:g}">',
        f'<defs><clipPath id="{name}-card"><rect x="{-CARD_WIDTH / 2 + 6:g}" y="{-half:g}"'
        f' width="{CARD_WIDTH - 12}" height="{CARD_HEIGHT}"/></clipPath></defs>',
        '<g class="scene"><g class="edges" aria-hidden="true">',
    ]
    ways = [(parent, node.id) for node in dag.nodes for parent in node.parents]
    # Edges of the dominant path come last, so that they lie on top.
    for parent, child in sorted(ways, key=lambda way: way[0] in path and way[1] in path):
        kind = "edge on" if parent in path and child in path else "edge"
        (x1, y1), (x2, y2) = placed.centres[parent], placed.centres[child]
        curve = _curve([(x1, y1 + half), *placed.bends.get((parent, child), ()), (x2, y2 - half)])
        parts.append(f'<path class="{kind}" d="{curve}"/>')
    parts.append("</g>")
    for node in dag.nodes:
        parts.append(_card(dag, node, placed.centres[node.id], node.id in path, name))
    return "\n".join([*parts, "</g></svg>"])


def _curve(points: list[tuple[float, float]]) -> str:
    """A smooth line through points, vertical at each of them."""
    (x, y), *rest = points
    drawn = [f"M{x:g} {y:g}"]
    for next_x, next_y in rest:
        middle = (y + next_y) / 2
        drawn.append(f"C{x:g} {middle:g} {next_x:g} {middle:g} {next_x:g} {next_y:g}")
        x, y = next_x, next_y
    return "".join(drawn)


def kind_of(node: DAGNode) -> str:
    """A node's action, and how many steps it holds if they are several."""
    return node.action + (f" · {len(node.steps)} steps" if len(node.steps) > 1 else "")


def _card(dag: ReasoningDAG, node: DAGNode, centre: tuple[float, float], on_path: bool, name: str) -> str:
    where = "on the dominant path" if on_path else "off the dominant path"
    spoken = html.escape(f"{node.id}: {kind_of(node)}, {where}. {excerpt(node.text, 80)}")
    classes = " ".join(
        ["node", node.action, *(["on"] if on_path else []), *([] if dag.children[node.id] else ["leaf"])]
    )
    left, top = -CARD_WIDTH / 2, -CARD_HEIGHT / 2
    return (
        f'<g class="{classes}" role="option" aria-selected="false" tabindex="-1" data-node="{node.id}"'
        f' aria-label="{spoken}" transform="translate({centre[0]:g} {centre[1]:g})">'
        f'<rect x="{left:g}" y="{top:g}" width="{CARD_WIDTH}" height="{CARD_HEIGHT}" rx="7"/>'
        f'<g clip-path="url(#{name}-card)"><text class="kind" x="{left + 12:g}" y="-5">'
        f'<tspan class="number">{node.id}</tspan> {kind_of(node)}</text>'
        f'<text class="words" x="{left + 12:g}" y="13">{html.escape(printable(excerpt(node.text, _EXCERPT)))}</text>'
        "</g></g>"
    )
