"""Growing a DAG step by step: its state, and the one place that knows which actions are valid (App. E)."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any, NamedTuple

from me2sdk.dag.graph import AnnotationError, DAGNode, ReasoningDAG
from me2sdk.errors import InvalidTraceError
from me2sdk.schema import Question, Step, Usage

__all__ = ["AttachmentPool", "DAGBuilder"]


class AttachmentPool(NamedTuple):
    """The nodes that the next step may be attached to (App. E): O(d + b) instead of all.

    Attributes:
        main_path: the main path from the root to its last step; of a path that is too long, the root and the
            latest nodes.
        leaves: ends of other branches, ascending.
    """

    main_path: tuple[int, ...]
    leaves: tuple[int, ...]


class DAGBuilder:
    """Grows a DAG in emission order and keeps its invariants, whatever an annotator says.

    State: the *main path* from the root to the latest node, and the *leaves*, the ends of other branches.
    """

    def __init__(self) -> None:
        self.nodes: list[DAGNode] = []
        self.main_path: list[int] = []
        self.leaves: list[int] = []
        self._on_path: set[int] = set()

    def pool(self, max_main: int = 24, max_leaves: int = 8) -> AttachmentPool:
        """What the next step may be attached to.

        Args:
            max_main: how many nodes of the main path to offer. Of a longer path these are the root and the
                latest nodes.
            max_leaves: how many leaves to offer: the latest.

        Returns:
            The pool, both parts ascending.
        """
        path = self.main_path
        if len(path) > max_main:
            path = [path[0], *path[len(path) - (max_main - 1) :]] if max_main > 1 else path[-1:]
        leaves = self.leaves[max(0, len(self.leaves) - max_leaves) :]
        return AttachmentPool(tuple(path), tuple(leaves))

    def valid(self, action: str, parents: Sequence[int], pool: AttachmentPool) -> tuple[int, ...] | None:
        """The parents that the next step gets by ``action``, or None if the rules of App. E forbid it.

        ``continue`` has no choice: its parent is the last step of the main path. ``backtrack`` needs exactly one
        parent, on the main path and strictly before its last step. ``merge`` needs two or more, at least one
        of them the leaf of another branch and at most one on the main path. All must be in ``pool``.
        """
        return self._attach(action, parents, pool.main_path, pool.leaves)

    def _attach(
        self, action: str, parents: Sequence[int], path: Container[int], leaves: Container[int]
    ) -> tuple[int, ...] | None:
        if action == "continue":
            return (self.main_path[-1],)
        chosen = tuple(sorted(set(parents)))
        on_path = sum(parent in path for parent in chosen)
        if action == "backtrack":
            return chosen if len(chosen) == on_path == 1 and chosen[0] != self.main_path[-1] else None
        if action == "merge":
            ends = sum(parent in leaves for parent in chosen)
            fits = len(chosen) >= 2 and on_path <= 1 <= ends and on_path + ends == len(chosen)
            return chosen if fits else None
        return None

    def add(
        self, step: Step, action: str, parents: Sequence[int] = (), explanation: str | None = None
    ) -> DAGNode:
        """Attach the next step. The first one becomes the root, whatever the action.

        Args:
            step: the step.
            action: "continue", "backtrack" or "merge".
            parents: ids of the nodes to attach it to; see `valid`.
            explanation: the reason, or None.

        Returns:
            The new node.

        Raises:
            InvalidTraceError: the attachment breaks the rules; nothing was added.
        """
        number = len(self.nodes)
        attached: tuple[int, ...] = ()
        kind: Any = "root"
        if number:
            valid = self._attach(action, parents, self._on_path, self.leaves)
            if valid is None:
                raise InvalidTraceError(
                    f"Step {number} cannot {action} to {list(parents)}; the pool is {self.pool()}."
                )
            kind, attached = action, valid
        node = DAGNode(
            id=number,
            text=step.text,
            separator=step.separator,
            action=kind,
            parents=attached,
            explanation=explanation,
            steps=(number,),
        )
        self.nodes.append(node)
        self._move(number, attached)
        return node

    def _move(self, number: int, parents: tuple[int, ...]) -> None:
        """Cut the main path back to the parent, keep the abandoned tail as a leaf, and append ``number``."""
        if not parents:
            self._append(number)
            return
        tail = self.main_path[-1]
        on_path = [parent for parent in parents if parent in self._on_path]
        if on_path:
            while self.main_path[-1] != on_path[0]:
                self._on_path.discard(self.main_path.pop())
        else:
            # A merge of other branches only: the main path now leads through the latest of them.
            way = [parents[-1]]
            while self.nodes[way[-1]].parents:
                way.append(self.nodes[way[-1]].parents[-1])
            self.main_path = way[::-1]
            self._on_path = set(way)
        if tail not in parents:
            self.leaves.append(tail)
        self.leaves = sorted(
            leaf for leaf in self.leaves if leaf not in parents and leaf not in self._on_path
        )
        self._append(number)

    def _append(self, number: int) -> None:
        self.main_path.append(number)
        self._on_path.add(number)

    def build(
        self,
        *,
        question: Question | None = None,
        annotator: str = "",
        errors: Iterable[AnnotationError] = (),
        usage: Usage | None = None,
    ) -> ReasoningDAG:
        """The finished DAG.

        Args:
            question: what was asked.
            annotator: name of what annotated it.
            errors: steps without a valid annotation.
            usage: what the annotation cost.

        Returns:
            The DAG of all steps so far.
        """
        return ReasoningDAG(
            question=question,
            nodes=tuple(self.nodes),
            annotator=annotator,
            errors=tuple(errors),
            usage=usage or Usage(),
        )
