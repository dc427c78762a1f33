"""The shape of a trace's DAG in numbers."""

from __future__ import annotations

import re
from collections import Counter

from me2sdk.dag.graph import ReasoningDAG
from me2sdk.schema import Value

__all__ = ["DAGMetrics", "metrics"]

_WORD = re.compile(r"\w+|[^\w\s]")
_SHINGLE = 3
_MIN_WORDS = 6
_OWNERS = 4
_SAME = 0.8


class DAGMetrics(Value):
    """Shape of a trace. All but ``restatement_rate`` are the same for a DAG of steps and its collapsed form.

    Attributes:
        steps: steps of the trace.
        branches: steps with several children.
        merges: steps with several parents.
        leaves: ends of branches, the last step's among them.
        depth: edges on the longest path from the root.
        linearity: ``depth / (steps - 1)``: 1 for a single line of thought, and for a single step.
        backtrack_rate: share of the steps after the first that go back to an earlier one.
        off_path_share: share of the text (characters) that is off the dominant path.
        restatement_rate: share of nodes that nearly repeat an earlier one: at least 80% of their three-word sequences
            and all of their numbers occur in one earlier node. Nodes of fewer than six words count as new.
    """

    steps: int
    branches: int
    merges: int
    leaves: int
    depth: int
    linearity: float
    backtrack_rate: float
    off_path_share: float
    restatement_rate: float


def metrics(dag: ReasoningDAG, answer: str | None = None) -> DAGMetrics:
    """Measure a DAG. Time is linear in the text.

    Args:
        dag: a DAG of steps or of super-nodes.
        answer: the final answer, which decides the dominant path; see `ReasoningDAG.dominant_path`.

    Returns:
        The metrics.
    """
    steps = sum(len(node.steps) for node in dag.nodes)
    depths: list[int] = []  # of the last step of each node, in steps
    for node in dag.nodes:
        start = 1 + max(depths[parent] for parent in node.parents) if node.parents else 0
        depths.append(start + len(node.steps) - 1)
    sizes = [len(node.text) + len(node.separator) for node in dag.nodes]
    on_path = sum(sizes[node] for node in dag.dominant_path(answer))
    later = max(1, steps - 1)
    return DAGMetrics(
        steps=steps,
        branches=sum(len(children) > 1 for children in dag.children),
        merges=sum(len(node.parents) > 1 for node in dag.nodes),
        leaves=len(dag.leaves),
        depth=max(depths),
        linearity=max(depths) / later if steps > 1 else 1.0,
        backtrack_rate=sum(node.action == "backtrack" for node in dag.nodes) / later,
        off_path_share=1 - on_path / sum(sizes) if sum(sizes) else 0.0,
        restatement_rate=sum(restatements([node.text for node in dag.nodes])) / len(dag.nodes),
    )


def restatements(texts: list[str]) -> list[bool]:
    """For each text, whether it nearly repeats one before it (see `DAGMetrics`).

    Each three-word sequence remembers the last four texts that held it, so that the cost stays linear.
    """
    owners: dict[int, tuple[int, ...]] = {}
    numbers: list[frozenset[str]] = []
    repeats = []
    for place, text in enumerate(texts):
        words = _WORD.findall(text.lower())
        numbers.append(frozenset(word for word in words if word[0].isdigit()))
        shingles = {hash(tuple(words[i : i + _SHINGLE])) for i in range(len(words) - _SHINGLE + 1)}
        shared = Counter(owner for shingle in shingles for owner in owners.get(shingle, ()))
        known = sum(word[0].isalnum() for word in words) >= _MIN_WORDS and any(
            count >= _SAME * len(shingles) and numbers[place] <= numbers[owner]
            for owner, count in shared.items()
        )
        repeats.append(known)
        for shingle in shingles:
            owners[shingle] = (*owners.get(shingle, ()), place)[-_OWNERS:]
    return repeats
