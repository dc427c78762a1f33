"""What an annotator is, and what it returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from me2sdk.dag import AttachmentPool, DAGNode
from me2sdk.llm import Structured
from me2sdk.schema import Step

__all__ = ["Annotation", "Annotator", "Limits", "OnNode"]

OnNode = Callable[[DAGNode], Awaitable[None]]
"""Called with each node as it is attached."""


class Annotation(NamedTuple):
    """How to attach a step.

    Attributes:
        action: "continue", "backtrack" or "merge".
        parents: ids of the nodes to attach it to; none are needed for "continue".
        explanation: the reason, or None.

    Example:
        ```python
        from me2sdk import Annotation

        annotation = Annotation("backtrack", parents=[0], explanation="It starts over.")
        print(annotation.action, annotation.parents)  # backtrack [0]
        ```
    """

    action: str
    parents: Sequence[int] = ()
    explanation: str | None = None


@runtime_checkable
class Annotator(Protocol):
    """Anything that decides, step by step, how a trace branches.

    It may have a ``name``, which is kept with the DAG; without one the name of its class is kept. ``annotate`` may be
    async; a plain function is called in a thread.

    Example:
        ```python
        from me2sdk import Annotation, parse_dag

        class Restarts:
            def annotate(self, step, pool, nodes):
                starts_over = "instead" in step.text and len(nodes) > 1
                return Annotation("backtrack", [0]) if starts_over else Annotation("continue")

        dag = parse_dag(["2 + 2?", "It is 5.", "Count instead: 4."], annotator=Restarts())
        print(dag.nodes[2].parents)  # (0,)
        ```
    """

    def annotate(
        self, step: Step, pool: AttachmentPool, nodes: Sequence[DAGNode]
    ) -> Annotation | Awaitable[Annotation]:
        """Say how to attach the next step.

        Args:
            step: the step.
            pool: ids of the nodes that it may be attached to.
            nodes: all nodes so far, by id. The next step's id is ``len(nodes)``.

        Returns:
            An `Annotation`. One that breaks the rules of the method is recorded as an error, and the step falls
            back to "continue".
        """
        ...


class Limits(NamedTuple):
    """Settings of `parse_dag` that hold for every step; see there."""

    max_main: int
    max_leaves: int
    samples: int = 1
    window: int = 1
    max_retries: int = 2
    structured: Structured = "auto"
    strict: bool = False
