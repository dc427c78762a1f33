"""Reader of ReasoningFlow annotations (``<folder>/<document>.json``): traces with a gold action for each step.

ReasoningFlow cuts a response into spans, finer than our steps, and labels edges between them. The gold action of
a step is derived from them by character offset; a span belongs to the step in which it starts. In emission order:

- A step is a **backtrack** if a ``plan:backtrack`` edge leads from a span of an earlier step to one of its spans:
  the writer gave up a plan and took another. It returns to where the latest plan that was given up had been attached
  (to the nearest step of the main path above that, where the plan itself lies on a branch left before).
- A step is a **merge** if one of its spans is inferred or computed (``reason:infer``, ``reason:execute``) from a span
  of the main path *and* from the end of a branch that was left.
- Every other step is a **continue**, as is one for which the rules of the attachment pool (paper App. E) allow nothing
  else.

The labels come from a strong LLM, so they are a reference and no truth: they mark a change of plan, where the
paper's annotator would also see some checks and restarts as backtracks.
"""

from __future__ import annotations

import bisect
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from me2sdk.dag import Action, AttachmentPool, DAGBuilder
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Step, Trace, Value
from me2sdk.steps import split_steps

__all__ = ["GoldTrace", "read_reasoningflow"]

_REASONS = frozenset(("reason:infer", "reason:execute", "reasoning:infer", "reasoning:execute"))


class GoldTrace(Value):
    """A trace with the action and parents that each of its steps should get.

    Attributes:
        name: name of the document.
        family: name of the model that wrote it.
        domain: what it is about.
        question: what was asked.
        steps: the steps of its reasoning, as `split_steps` cuts them.
        actions: the gold action of each step; the first is "root".
        parents: the gold parents of each step.
    """

    name: str
    family: str
    domain: str
    question: str
    steps: tuple[Step, ...]
    actions: tuple[Action, ...]
    parents: tuple[tuple[int, ...], ...]


def read_reasoningflow(folder: Path, prefixes: str = "auto") -> Iterator[GoldTrace]:
    """Read every document of a folder, by name.

    Args:
        folder: holds one JSON file per document.
        prefixes: how the traces are cut into steps; see `split_steps`.

    Raises:
        ConfigurationError: the folder holds no such file.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise ConfigurationError(f"{folder} holds no ReasoningFlow documents (*.json).")
    for file in files:
        yield _read(json.loads(file.read_text("utf-8-sig")), prefixes)


def _read(document: dict[str, Any], prefixes: str) -> GoldTrace:
    response = document["raw_text"]["response"]
    reasoning = Trace.from_text(response).reasoning
    steps = split_steps(reasoning, prefixes)
    first = max(0, response.find(reasoning))
    lengths = (len(step.text) + len(step.separator) for step in steps)
    starts = list(itertools.accumulate(lengths, initial=first))  # and where the last one ends

    place: dict[str, int] = {}  # the step of each span
    plans: set[str] = set()
    for span in document["nodes"]:
        if span["source"] == "response" and starts[0] <= span["start"] < starts[-1]:
            place[span["id"]] = bisect.bisect_right(starts, span["start"]) - 1
            if span["label"] == "planning":
                plans.add(span["id"])
    given_up: dict[int, list[tuple[bool, int]]] = {}  # for a step, what it backtracks from, plans last
    premises: dict[str, set[int]] = {}  # for a span, the steps that it is inferred from
    for edge in document["edges"]:
        source, target = edge["source_node_id"], edge["dest_node_id"]
        if source not in place or target not in place or place[source] >= place[target]:
            continue
        if edge["label"] == "plan:backtrack":
            given_up.setdefault(place[target], []).append((source in plans, place[source]))
        elif edge["label"] in _REASONS:
            premises.setdefault(target, set()).add(place[source])
    reasons: dict[int, list[set[int]]] = {}
    for name, sources in premises.items():
        reasons.setdefault(place[name], []).append(sources)

    builder = DAGBuilder()
    for number, step in enumerate(steps):
        action, parents = "continue", list[int]()
        if number in given_up:
            _, plan = max(given_up[number])
            target_step = _return(builder, plan)
            if target_step is not None:
                action, parents = "backtrack", [target_step]
        elif number:
            action, parents = _merged(builder, reasons.get(number, ()))
        builder.add(step, action, parents)
    return GoldTrace(
        name=document["doc_id"],
        family=document["metadata"]["generator"],
        domain=document["metadata"]["domain"],
        question=document["raw_text"]["question"],
        steps=tuple(steps),
        actions=tuple(node.action for node in builder.nodes),
        parents=tuple(node.parents for node in builder.nodes),
    )


def _return(builder: DAGBuilder, plan: int) -> int | None:
    """The step of the main path to which the one that gives up ``plan`` returns, or None if there is none."""
    before_last = builder.main_path[:-1]
    at = builder.nodes[plan].parents[-1] if builder.nodes[plan].parents else plan
    while at not in before_last and builder.nodes[at].parents:
        at = builder.nodes[at].parents[-1]
    return at if at in before_last else None


def _merged(builder: DAGBuilder, reasons: Any) -> tuple[str, list[int]]:
    pool = AttachmentPool(tuple(builder.main_path), tuple(builder.leaves))
    for sources in reasons:
        leaves = sorted(sources.intersection(pool.leaves))
        on_path = sources.intersection(pool.main_path)
        if leaves and on_path:
            return "merge", [*leaves, max(on_path)]
    return "continue", []
