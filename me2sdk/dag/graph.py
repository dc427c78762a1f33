"""A reasoning trace as a directed acyclic graph of its steps (paper §4.2, App. E)."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, model_validator

from me2sdk.schema import CleanText, Question, Usage, Value

if TYPE_CHECKING:
    import networkx as nx

    from me2sdk.dag.metrics import DAGMetrics

__all__ = ["Action", "AnnotationError", "DAGNode", "ReasoningDAG"]

Action = Literal["root", "continue", "backtrack", "merge"]
"""How a step is attached: "root" for the first one alone."""


class DAGNode(Value):
    """A step of the trace, or in a collapsed DAG a super-node of several.

    Attributes:
        id: its place in emission order, from 0.
        text: the step's text; of a super-node, its steps with the blank lines between them.
        separator: the blank lines that follow it in the trace.
        action: how it was attached: "root" for the first, else "continue", "backtrack" or "merge".
        parents: ids of the nodes it was attached to, ascending; empty for the root alone.
        explanation: the annotator's reason, or None.
        steps: ids of the raw steps that it holds, ascending.
    """

    id: int
    text: CleanText
    separator: CleanText = ""
    action: Action
    parents: tuple[int, ...]
    explanation: CleanText | None = None
    steps: tuple[int, ...]


class AnnotationError(Value):
    """A step for which no valid annotation came back, so that it fell back to ``continue``.

    Attributes:
        step: id of the raw step.
        message: what went wrong.
        attempts: how often the annotator was asked.
    """

    step: int
    message: CleanText
    attempts: int = 1


class ReasoningDAG(Value):
    """A trace's steps as a graph: acyclic, rooted at 0 and connected by construction.

    Attributes:
        version: version of the JSON schema.
        question: what was asked, or None.
        nodes: nodes in emission order, which is a topological order.
        annotator: name of what annotated it.
        errors: steps whose annotation failed and fell back to ``continue``.
        usage: what the annotation cost.

    Example:
        ```python
        from me2sdk import ReasoningDAG, parse_dag

        dag = parse_dag(["2 + 2 = 4.", "So the answer is 4."])
        print(dag.metrics().depth)  # 1
        print(ReasoningDAG.model_validate_json(dag.model_dump_json()) == dag)  # True
        ```
    """

    model_config = ConfigDict(ignored_types=(functools.cached_property,))

    version: Literal[1] = 1
    question: Question | None = None
    nodes: tuple[DAGNode, ...]
    annotator: str = ""
    errors: tuple[AnnotationError, ...] = ()
    usage: Usage = Usage()

    @model_validator(mode="after")
    def _check(self) -> ReasoningDAG:
        if not self.nodes:
            raise ValueError("a DAG needs at least one node; an empty trace has none")
        seen: set[int] = set()
        for place, node in enumerate(self.nodes):
            if node.id != place:
                raise ValueError(f"node {node.id} stands at place {place}; ids must count from 0 in order")
            if (node.action == "root") != (place == 0) or bool(node.parents) == (place == 0):
                raise ValueError(f"node {place}: the first node is the root and alone has no parents")
            if tuple(sorted(set(node.parents))) != node.parents or any(
                not 0 <= p < place for p in node.parents
            ):
                raise ValueError(
                    f"node {place}: parents must be earlier nodes, ascending, each once; got {node.parents}"
                )
            if not node.steps or seen & set(node.steps) or tuple(sorted(set(node.steps))) != node.steps:
                raise ValueError(f"node {place}: its steps must be ascending and in no other node")
            seen.update(node.steps)
        if seen != set(range(len(seen))):
            raise ValueError("the nodes must hold every step from 0 on exactly once")
        return self

    @functools.cached_property
    def graph(self) -> nx.DiGraph[int]:
        """The same as a ``networkx.DiGraph``, edges from parent to child; nodes carry the fields of `DAGNode`."""
        import networkx as nx

        graph: nx.DiGraph[int] = nx.DiGraph()
        for node in self.nodes:
            graph.add_node(node.id, **node.model_dump(exclude={"id"}))
            graph.add_edges_from((parent, node.id) for parent in node.parents)
        return graph

    @functools.cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """For each node, the nodes attached to it, ascending."""
        children: list[list[int]] = [[] for _ in self.nodes]
        for node in self.nodes:
            for parent in node.parents:
                children[parent].append(node.id)
        return tuple(map(tuple, children))

    @functools.cached_property
    def depths(self) -> tuple[int, ...]:
        """For each node, the length of the longest path from the root."""
        depths: list[int] = []
        for node in self.nodes:
            depths.append(1 + max(depths[parent] for parent in node.parents) if node.parents else 0)
        return tuple(depths)

    @property
    def leaves(self) -> tuple[int, ...]:
        """Nodes that nothing is attached to, ascending."""
        return tuple(node for node, children in enumerate(self.children) if not children)

    def collapse(self) -> ReasoningDAG:
        """The DAG of super-nodes (§4.2): each maximal chain becomes one node, the edges between chains stay.

        An edge is inside a chain if it goes from a node with one child to a ``continue`` node with one
        parent. Super-nodes are numbered by the last step they hold. Collapsing twice changes nothing.

        Returns:
            The collapsed DAG, always the same object; this DAG itself if there is nothing to collapse.
        """
        return self._collapsed or self

    @functools.cached_property
    def _collapsed(self) -> ReasoningDAG | None:
        """None where it equals this DAG: one that held itself could only be freed by the garbage collector."""
        chains: list[list[DAGNode]] = []
        chain_of: dict[int, int] = {}
        for node in self.nodes:
            parent = node.parents[0] if node.action == "continue" and len(node.parents) == 1 else None
            if parent is not None and len(self.children[parent]) == 1:
                chain_of[node.id] = chain_of[parent]
                chains[chain_of[parent]].append(node)
            else:
                chain_of[node.id] = len(chains)
                chains.append([node])
        order = sorted(range(len(chains)), key=lambda chain: chains[chain][-1].steps[-1])
        place = {chain: number for number, chain in enumerate(order)}
        nodes = []
        for number, chain in enumerate(order):
            held = chains[chain]
            text = "".join(node.text + node.separator for node in held)
            separator = held[-1].separator
            nodes.append(
                DAGNode(
                    id=number,
                    text=text[: len(text) - len(separator)],
                    separator=separator,
                    action=held[0].action,
                    parents=tuple(sorted(place[chain_of[parent]] for parent in held[0].parents)),
                    explanation=held[0].explanation,
                    steps=tuple(step for node in held for step in node.steps),
                )
            )
        if tuple(nodes) == self.nodes:
            return None
        return ReasoningDAG(**{**self._fields(), "nodes": tuple(nodes)})

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields}

    # Copies and pickles hold the fields alone: what is cached may be wrong for a copy with other fields.
    def __copy__(self) -> ReasoningDAG:
        return type(self).model_construct(set(self.model_fields_set), **self._fields())

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> ReasoningDAG:
        return type(self).model_construct(set(self.model_fields_set), **copy.deepcopy(self._fields(), memo))

    def __getstate__(self) -> dict[Any, Any]:
        return {**super().__getstate__(), "__dict__": self._fields()}

    def macro_view(self, summaries: Mapping[int, str] | None = None) -> str:
        """The structure: super-nodes under headers such as ``<Leaf id=3 depth=2 parents=[2] children=[]>``.

        Args:
            summaries: one sentence per node of ``collapse()``, by its id. A missing one is replaced by a sentence
                of the node's own text, marked ``[extract]``.
        """
        from me2sdk.dag import views

        return views.macro_view(self, summaries)

    def dominant_path(self, answer: str | None = None) -> tuple[int, ...]:
        """The nodes that the final answer rests on: the leaves that state it, and all their ancestors (App. J.3).

        Args:
            answer: the final answer; by default the last one that the trace marks. If no leaf states it, the last
                step counts.

        Returns:
            Ids, ascending.
        """
        from me2sdk.dag import views

        if answer not in self._paths:
            self._paths[answer] = views.dominant_path(self, answer)
        return self._paths[answer]

    @functools.cached_property
    def _paths(self) -> dict[str | None, tuple[int, ...]]:
        return {}

    def micro_view(self, answer: str | None = None) -> str:
        """The text of the dominant path's steps in emission order (App. J.3).

        Args:
            answer: as for `dominant_path`.
        """
        from me2sdk.dag import views

        return views.micro_view(self, answer)

    def metrics(self, answer: str | None = None) -> DAGMetrics:
        """The shape in numbers: steps, branches, merges, depth, linearity, backtrack and restatement rates.

        Args:
            answer: as for `dominant_path`.
        """
        from me2sdk.dag import metrics

        return metrics.metrics(self, answer)

    def to_json(self, indent: int | None = None) -> str:
        """The DAG in the versioned schema of docs/dag_schema.md, on one line unless ``indent`` is given."""
        from me2sdk.dag import export

        return export.to_json(self, indent)

    @classmethod
    def from_json(cls, text: str | bytes) -> ReasoningDAG:
        """Read what `to_json` wrote.

        Raises:
            InvalidTraceError: the text is not such JSON; the message says where.
        """
        from me2sdk.dag import export

        return export.from_json(text)

    def to_reference(self) -> dict[str, Any]:
        """The dictionary that the paper's reference implementation saves; for super-nodes, its merged form."""
        from me2sdk.dag import reference

        return reference.to_reference(self)

    @classmethod
    def from_reference(cls, data: Mapping[str, Any]) -> ReasoningDAG:
        """Read a dictionary that the reference implementation, or `to_reference`, wrote (docs/dag_schema.md).

        Raises:
            InvalidTraceError: it does not hold a DAG; the message says where.
        """
        from me2sdk.dag import reference

        return reference.from_reference(data)

    def to_mermaid(self) -> str:
        """The DAG as a Mermaid flowchart."""
        from me2sdk.dag import export

        return export.mermaid(self)

    def to_dot(self) -> str:
        """The DAG in Graphviz' DOT language."""
        from me2sdk.dag import export

        return export.dot(self)

    def to_graphml(self) -> str:
        """The DAG as GraphML, with each node's text, action and explanation."""
        from me2sdk.dag import export

        return export.graphml(self)

    def to_html(self, title: str | None = None) -> str:
        """One self-contained page that draws the DAG: pan, zoom, click a node to read its step.

        Args:
            title: heading of the page; by default the beginning of the question.
        """
        from me2sdk.dag import html

        return html.to_html(self, title)
