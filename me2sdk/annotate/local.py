"""An annotator without a model: how a step begins says whether it turns, what steps share where it belongs."""

from __future__ import annotations

from collections.abc import Sequence

from me2sdk.annotate.returns import merged_leaf, return_step
from me2sdk.annotate.turns import find_turn
from me2sdk.annotate.types import Annotation
from me2sdk.dag import AttachmentPool, DAGNode
from me2sdk.schema import Step

__all__ = ["LocalAnnotator"]


class LocalAnnotator:
    """Annotates without a model, a network or randomness: the same trace always gets the same DAG.

    A step is a backtrack if it proposes another way ("Alternatively, we could use …"), gives one up ("this is getting
    messy, maybe there is a better way") or starts over. It returns to where the idea that it replaces began, or, if it
    begins with a computation, to the step at which the numbers of that are known. A step is a merge if it brings
    lines together or takes up what was found before, and holds what only another branch came to. Everything else
    continues, checks of a result among it.

    It reads English. In terse models it finds few turns, since they announce few; of merges that nothing announces it
    finds none.

    Example:
        ```python
        from me2sdk import LocalAnnotator, parse_dag

        steps = ["12 × 13 is 120 + 36.", "So it is 156.", "Alternatively, 13 × 13 - 13 = 156."]
        dag = parse_dag(steps, annotator=LocalAnnotator())
        print(dag.usage.calls, dag.nodes[2].action, dag.nodes[2].parents)  # 0 backtrack (0,)
        ```
    """

    name = "local 2"

    def annotate(self, step: Step, pool: AttachmentPool, nodes: Sequence[DAGNode]) -> Annotation:
        """Say how to attach the next step; see `me2sdk.annotate.Annotator`."""
        turn = find_turn(step.text)
        if turn and len(pool.main_path) > 1:
            parent = return_step(step.text, turn, pool, nodes)
            return Annotation("backtrack", (parent,), f"{turn.reason}; returns to step {parent}")
        leaf = merged_leaf(step.text, pool, nodes)
        if leaf is not None:
            parents = (leaf, pool.main_path[-1])
            return Annotation("merge", parents, f"brings branch {leaf} and the main path together")
        return Annotation("continue")

    def return_to(self, text: str, pool: AttachmentPool, nodes: Sequence[DAGNode]) -> int:
        """The step of the main path, before its last, that a backtracking step with this text returns to."""
        return return_step(text, find_turn(text), pool, nodes)
