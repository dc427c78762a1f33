"""The JSON in which the paper's reference implementation saves annotated DAGs, read and written.

Keys: ``parents``, ``children``, ``depth``, ``actions``, ``node_texts``, ``explanations``, ``leaves``; a collapsed
DAG also has ``merged_nodes``, ``raw_to_merged`` and ``names``. Several forms are read, lists are written: see
docs/dag_schema.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic import ValidationError

from me2sdk.dag.graph import DAGNode, ReasoningDAG
from me2sdk.errors import InvalidTraceError
from me2sdk.traces import clean

__all__ = ["from_reference", "to_reference"]

_ID = re.compile(r"\s*[sS]?(-?\d{1,9})\s*")
_SEPARATOR = "\n\n"


def to_reference(dag: ReasoningDAG) -> dict[str, Any]:
    """Write a DAG as the reference implementation's dictionary, ready for ``json.dump``.

    Args:
        dag: a DAG of steps, or of super-nodes, which gives the merged form.

    Returns:
        A dictionary with ``parents``, ``children``, ``depth``, ``actions``, ``node_texts``, ``explanations`` (empty
        where there is none): lists with one entry per node; ``leaves``: the ids of the nodes without children. The
        merged form adds ``merged_nodes`` (the steps of each super-node), ``raw_to_merged`` (the super-node of each
        step, by the step's id as a string) and ``names`` ("s3" or "s4-s7"). The format has no room for question,
        separators, errors and usage.
    """
    written: dict[str, Any] = {
        "parents": [list(node.parents) for node in dag.nodes],
        "children": [list(children) for children in dag.children],
        "depth": list(dag.depths),
        "actions": [node.action for node in dag.nodes],
        "node_texts": [node.text for node in dag.nodes],
        "explanations": [node.explanation or "" for node in dag.nodes],
        "leaves": list(dag.leaves),
    }
    if any(node.steps != (node.id,) for node in dag.nodes):
        written["merged_nodes"] = [list(node.steps) for node in dag.nodes]
        homes = sorted((step, node.id) for node in dag.nodes for step in node.steps)
        written["raw_to_merged"] = {str(step): node for step, node in homes}
        written["names"] = [_name(node.steps) for node in dag.nodes]
    return written


def _name(steps: tuple[int, ...]) -> str:
    if steps == tuple(range(steps[0], steps[-1] + 1)):
        return f"s{steps[0]}" if len(steps) == 1 else f"s{steps[0]}-s{steps[-1]}"
    return ",".join(f"s{step}" for step in steps)


def from_reference(data: Mapping[str, Any]) -> ReasoningDAG:
    """Read a dictionary that the reference implementation, or `to_reference`, wrote.

    Args:
        data: per-node values may be lists, or dictionaries by id (``3``, ``"3"`` or ``"s3"``). ``node_texts`` and
            one of ``parents`` and ``children`` are needed. A node's parents may be a list, one id, or None. An
            action that is missing follows from the parents: several make a merge, the node just before makes a
            continue, any other a backtrack. With ``merged_nodes`` or ``raw_to_merged`` the nodes are super-nodes,
            and ``node_texts`` may hold either their texts or those of the steps.

    Returns:
        The DAG. Steps are assumed to be separated by one blank line, since the format does not record separators.

    Raises:
        InvalidTraceError: the dictionary does not hold such a DAG; the message says where.
    """
    if not isinstance(data, Mapping):
        _fail(f"expected a dictionary, got {type(data).__name__}")
    texts = _per_node(data, "node_texts", None)
    if texts is None:
        _fail("it has no 'node_texts'")
    steps = _steps(data)
    count = len(steps) if steps else len(texts)
    if steps and len(texts) != count:
        # The texts are those of steps; the text of a super-node is theirs, joined.
        if len(texts) != sum(map(len, steps)):
            _fail(
                f"'node_texts' has {len(texts)} entries for {count} merged nodes of {sum(map(len, steps))} steps"
            )
        strange = next((step for held in steps for step in held if not 0 <= step < len(texts)), None)
        if strange is not None:
            _fail(f"a merged node holds the step {strange}, but there are {len(texts)} steps")
        texts = [_SEPARATOR.join(_text(texts[step], "node_texts", step) for step in held) for held in steps]
    parents = _parents(data, count)
    actions = _per_node(data, "actions", count) or [None] * count
    explanations = _per_node(data, "explanations", count) or [None] * count
    try:
        nodes = tuple(
            DAGNode(
                id=node,
                text=_text(texts[node], "node_texts", node),
                separator=_SEPARATOR if node < count - 1 else "",
                action=_action(actions[node], node, parents[node]),
                parents=parents[node],
                explanation=_text(explanations[node] or "", "explanations", node) or None,
                steps=steps[node] if steps else (node,),
            )
            for node in range(count)
        )
        return ReasoningDAG(nodes=nodes)
    except ValidationError as error:
        _fail("; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors()))


def _fail(problem: str) -> NoReturn:
    raise InvalidTraceError(
        f"This is not a reference DAG: {problem}. See docs/dag_schema.md for the keys that are read."
    ) from None


def _id(value: Any, key: str) -> int:
    found = _ID.fullmatch(value) if isinstance(value, str) else None
    if found:
        return int(found[1])
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        _fail(f"'{key}' holds {value!r:.60} where a node's id is expected")
    return int(value)


def _per_node(data: Mapping[str, Any], key: str, count: int | None) -> list[Any] | None:
    """The values of ``key`` in order of ids; None if the key is missing. An id without an entry gets None."""
    values = data.get(key)
    if isinstance(values, Mapping):
        by_id = {_id(name, key): value for name, value in values.items()}
        size = len(by_id) if count is None else count
        if by_id and not 0 <= min(by_id) <= max(by_id) < size:
            _fail(f"'{key}' has entries for nodes {min(by_id)} to {max(by_id)}, but there are {size} nodes")
        return [by_id.get(node) for node in range(size)]
    if values is None:
        return None
    if not isinstance(values, (list, tuple)):
        _fail(f"'{key}' should be a list or a dictionary, not {type(values).__name__}")
    if count is not None and len(values) != count:
        _fail(f"'{key}' has {len(values)} entries for {count} nodes")
    return list(values)


def _ids(value: Any, key: str) -> tuple[int, ...]:
    """Ids in ascending order, from a list, one id or None. -1, which stands for "no parent", is left out."""
    values = [] if value is None else value if isinstance(value, (list, tuple)) else [value]
    return tuple(sorted({number for entry in values if (number := _id(entry, key)) != -1}))


def _parents(data: Mapping[str, Any], count: int) -> list[tuple[int, ...]]:
    """Each node's parents, from ``parents``, else from ``children``; where both are there they must agree."""
    listed, offspring = _per_node(data, "parents", count), _per_node(data, "children", count)
    from_children: list[list[int]] = [[] for _ in range(count)]
    for node, value in enumerate(offspring or ()):
        for child in _ids(value, "children"):
            if not 0 <= child < count:
                _fail(f"node {node} has the child {child}, which does not exist")
            from_children[child].append(node)
    turned = [tuple(parents) for parents in from_children]
    if listed is None:
        return turned if offspring is not None else _fail("it has neither 'parents' nor 'children'")
    parents = [_ids(value, "parents") for value in listed]
    differing = next((node for node in range(count) if parents[node] != turned[node]), None)
    if offspring is not None and differing is not None:
        _fail(f"'parents' and 'children' disagree about the parents of node {differing}")
    return parents


def _steps(data: Mapping[str, Any]) -> list[tuple[int, ...]] | None:
    """The steps that each super-node holds; None where the nodes are the steps."""
    merged = _per_node(data, "merged_nodes", None)
    if merged is not None:
        return [_ids(value, "merged_nodes") for value in merged]
    homes = _per_node(data, "raw_to_merged", None)
    if not homes:
        return None
    numbers = [_id(home, "raw_to_merged") for home in homes]
    if not 0 <= min(numbers) <= max(numbers) < len(numbers):
        _fail(f"'raw_to_merged' names the node {min(numbers)} or {max(numbers)}, which cannot exist")
    steps: list[list[int]] = [[] for _ in range(max(numbers) + 1)]
    for step, home in enumerate(numbers):
        steps[home].append(step)
    return [tuple(held) for held in steps]


def _action(value: Any, node: int, parents: tuple[int, ...]) -> Any:
    if node == 0:
        return "root"
    if value is None or value == "":
        return "merge" if len(parents) > 1 else "continue" if parents == (node - 1,) else "backtrack"
    word = value.strip().lower().removeprefix("<|action|>").strip() if isinstance(value, str) else value
    if word not in ("continue", "backtrack", "merge"):
        _fail(f"node {node} has the action {value!r:.60}; it should be continue, backtrack or merge")
    return word


def _text(value: Any, key: str, node: int) -> str:
    return (
        clean(value)
        if isinstance(value, str)
        else _fail(f"'{key}' of node {node} should be text, not {value!r:.60}")
    )
