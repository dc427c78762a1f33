"""A DAG as text for other tools: JSON, Mermaid, DOT, GraphML.

Step text is hostile input: each writer escapes whatever its format could read as syntax.
"""

from __future__ import annotations

import io
import re
import unicodedata

from pydantic import ValidationError

from me2sdk.dag.graph import DAGNode, ReasoningDAG
from me2sdk.errors import InvalidTraceError
from me2sdk.page import printable

__all__ = ["dot", "excerpt", "from_json", "graphml", "mermaid", "to_json"]

_LABEL = 48
_MERMAID_SAFE = re.compile(r"[^\w ,.()=+/'-]")


def to_json(dag: ReasoningDAG, indent: int | None = None) -> str:
    """The DAG in the versioned schema of docs/dag_schema.md.

    Args:
        dag: the DAG.
        indent: spaces per level; None writes one line.
    """
    return dag.model_dump_json(indent=indent)


def from_json(text: str | bytes) -> ReasoningDAG:
    """Read what `to_json` wrote.

    Raises:
        InvalidTraceError: the text is not JSON, or not that of a DAG; the message says where.
    """
    try:
        return ReasoningDAG.model_validate_json(text)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}"
            for problem in error.errors()[:3]
        ]
        raise InvalidTraceError(
            f"This is not the JSON of a DAG ({'; '.join(problems)}). Write it with dag.to_json(), or read "
            "the reference implementation's with ReasoningDAG.from_reference."
        ) from None


def excerpt(text: str, width: int = _LABEL) -> str:
    """The beginning of ``text`` on one line, at most ``width`` columns wide (wide characters count as two)."""
    line = " ".join(printable(text[: 8 * width]).split())
    used = 0
    for place, character in enumerate(line):
        used += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used > width:
            return line[: place - 1].rstrip() + "…"
    return line if len(text) <= 8 * width else line + "…"


def _title(node: DAGNode) -> str:
    held = f" ({len(node.steps)} steps)" if len(node.steps) > 1 else ""
    return f"{node.id} {node.action}{held}"


def mermaid(dag: ReasoningDAG) -> str:
    """The DAG as a Mermaid flowchart. Nodes off the dominant path are dashed.

    By default Mermaid draws at most 500 edges: collapse a longer trace, or raise ``maxEdges`` and ``maxTextSize``.
    """

    def escape(text: str) -> str:
        return _MERMAID_SAFE.sub(lambda found: f"#{ord(found[0])};", text)

    lines = ["flowchart TD"]
    for node in dag.nodes:
        lines.append(f'  s{node.id}["{escape(_title(node))}<br/>{escape(excerpt(node.text))}"]')
    lines += [f"  s{parent} --> s{node.id}" for node in dag.nodes for parent in node.parents]
    off = _off_path(dag)
    if off:
        lines.append("  classDef off stroke-dasharray: 4 3")
        lines.append(f"  class {','.join(f's{node}' for node in off)} off")
    return "\n".join(lines) + "\n"


def dot(dag: ReasoningDAG) -> str:
    """The DAG in Graphviz' DOT language. Nodes off the dominant path are dashed."""

    def escape(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"')

    off = set(_off_path(dag))
    lines = ["digraph reasoning {", '  node [shape=box, style=rounded, fontname="sans-serif"];']
    for node in dag.nodes:
        style = ', style="rounded,dashed"' if node.id in off else ""
        lines.append(f'  s{node.id} [label="{_title(node)}\\n{escape(excerpt(node.text))}"{style}];')
    lines += [f"  s{parent} -> s{node.id};" for node in dag.nodes for parent in node.parents]
    return "\n".join([*lines, "}"]) + "\n"


def graphml(dag: ReasoningDAG) -> str:
    """The DAG as GraphML, written by networkx. Nodes carry text, action, explanation, depth, steps and on_path.

    Characters that XML cannot carry become U+FFFD.
    """
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph(annotator=printable(dag.annotator), version=dag.version)
    off = set(_off_path(dag))
    for node in dag.nodes:
        graph.add_node(
            f"s{node.id}",
            text=printable(node.text),
            action=node.action,
            explanation=printable(node.explanation or ""),
            depth=dag.depths[node.id],
            steps=",".join(map(str, node.steps)),
            on_path=node.id not in off,
        )
        graph.add_edges_from((f"s{parent}", f"s{node.id}") for parent in node.parents)
    file = io.BytesIO()
    nx.write_graphml_xml(graph, file, encoding="utf-8", prettyprint=True)
    return file.getvalue().decode("utf-8")


def _off_path(dag: ReasoningDAG) -> list[int]:
    path = set(dag.dominant_path())
    return [node.id for node in dag.nodes if node.id not in path]
