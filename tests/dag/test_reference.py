from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from support.sample_dags import DAGS, dag

from me2sdk.dag import ReasoningDAG
from me2sdk.dag.reference import from_reference, to_reference
from me2sdk.errors import InvalidTraceError

SMALL = dag("a", "b", ("c", "backtrack", 0), "d", ("e", "merge", 1, 3))
RAW: dict[str, Any] = {
    "parents": [[], [0], [0], [2], [1, 3]],
    "children": [[1, 2], [4], [3], [4], []],
    "depth": [0, 1, 1, 2, 3],
    "actions": ["root", "continue", "backtrack", "continue", "merge"],
    "node_texts": ["a", "b", "c", "d", "e"],
    "explanations": ["", "", "", "", ""],
    "leaves": [4],
}


def shape(made: ReasoningDAG) -> list[tuple[Any, ...]]:
    return [(node.text, node.action, node.parents, node.explanation, node.steps) for node in made.nodes]


def test_what_is_written() -> None:
    assert to_reference(SMALL) == RAW
    assert to_reference(SMALL.collapse()) == {
        "parents": [[], [0], [0], [1, 2]],
        "children": [[1, 2], [3], [3], []],
        "depth": [0, 1, 1, 2],
        "actions": ["root", "continue", "backtrack", "merge"],
        "node_texts": ["a", "b", "c\n\nd", "e"],
        "explanations": ["", "", "", ""],
        "leaves": [3],
        "merged_nodes": [[0], [1], [2, 3], [4]],
        "raw_to_merged": {"0": 0, "1": 1, "2": 2, "3": 2, "4": 3},
        "names": ["s0", "s1", "s2-s3", "s4"],
    }


@given(DAGS)
def test_round_trip(grown: ReasoningDAG) -> None:
    for made in (grown, grown.collapse()):
        read = from_reference(json.loads(json.dumps(to_reference(made))))
        assert shape(read) == shape(made)
        assert to_reference(read) == to_reference(made)


@pytest.mark.parametrize(
    "change",
    [
        {"parents": {"0": None, "1": 0, "2": [0], "3": 2, "4": [3, 1]}},
        {"parents": {0: [], 1: [0], 2: [0], 3: [2], 4: [1, 3]}, "children": None},
        {"parents": [-1, 0, 0, 2, [1, 3]]},
        {"parents": [None, "s0", "0", ["s2"], ("1", 3.0)]},
        {"parents": None},
        {"node_texts": {"s0": "a", "s1": "b", "s2": "c", "s3": "d", "s4": "e"}},
        {"actions": None},
        {"actions": [None, "Continue", " <|action|>backtrack ", "", "merge"]},
        {"actions": {"2": "backtrack"}},
        {"explanations": None, "depth": None, "leaves": None},
        {"explanations": [None] * 5},
        {"depth": "whatever", "leaves": {}, "another key": 1},
    ],
)
def test_read_tolerantly(change: dict[str, Any]) -> None:
    read = from_reference({key: value for key, value in {**RAW, **change}.items() if value is not None})
    assert shape(read) == shape(SMALL)


@pytest.mark.parametrize(
    "change",
    [
        {"raw_to_merged": None},
        {"merged_nodes": None},
        {"merged_nodes": {"0": [0], "1": [1], "2": [3, 2], "3": 4}},
        {"merged_nodes": None, "raw_to_merged": [0, 1, 2, 2, 3]},
        {"node_texts": ["a", "b", "c", "d", "e"]},  # the steps' own
    ],
)
def test_read_the_merged_form(change: dict[str, Any]) -> None:
    merged = {**to_reference(SMALL.collapse()), **change}
    read = from_reference({key: value for key, value in merged.items() if value is not None})
    assert shape(read) == shape(SMALL.collapse())


def test_lone_surrogates_become_replacement_characters() -> None:
    assert from_reference({"parents": [None], "node_texts": ["a\ud800"]}).nodes[0].text == "a\ufffd"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([], "expected a dictionary, got list"),
        ({}, "no 'node_texts'"),
        ({"node_texts": ["a"]}, "neither 'parents' nor 'children'"),
        ({"node_texts": [], "parents": []}, "at least one node"),
        ({"node_texts": "a", "parents": [[]]}, "'node_texts' should be a list or a dictionary, not str"),
        ({"node_texts": ["a", 3], "parents": [[], 0]}, "'node_texts' of node 1 should be text, not 3"),
        ({"node_texts": ["a", "b"], "parents": [[]]}, "'parents' has 1 entries for 2 nodes"),
        ({"node_texts": ["a", "b"], "parents": {"0": [], "7": [0]}}, "nodes 0 to 7, but there are 2"),
        ({"node_texts": ["a", "b"], "parents": [[], ["x"]]}, "'parents' holds 'x'"),
        ({"node_texts": ["a", "b"], "parents": [[], [True]]}, "'parents' holds True"),
        ({"node_texts": ["a", "b"], "parents": [[], [0.5]]}, "'parents' holds 0.5"),
        ({"node_texts": ["a", "b"], "parents": [[], [float("inf")]]}, "'parents' holds inf"),
        ({"node_texts": ["a", "b"], "parents": [[], [{}]]}, "'parents' holds {}"),
        ({"node_texts": ["a", "b"], "parents": [[], []]}, "node 1: the first node is the root"),
        ({"node_texts": ["a", "b"], "parents": [1, 0]}, "node 0: the first node is the root"),
        ({"node_texts": ["a", "b", "c"], "parents": [[], 2, 1]}, "node 1: parents must be earlier nodes"),
        (
            {"node_texts": ["a", "b"], "parents": [[], 0], "actions": ["", "jump"]},
            "node 1 has the action 'jump'",
        ),
        (
            {"node_texts": ["a", "b"], "parents": [[], 0], "children": [[], []]},
            "disagree about the parents of node 1",
        ),
        ({"node_texts": ["a"], "children": [[4]]}, "node 0 has the child 4, which does not exist"),
        (
            {"node_texts": ["a"], "parents": [[]], "merged_nodes": [[0, 2]]},
            "'node_texts' of node 0|every step",
        ),
        (
            {"node_texts": ["a", "b", "c"], "parents": [[]], "merged_nodes": [[0, 1]]},
            "3 entries for 1 merged nodes",
        ),
        ({"node_texts": ["a", "b"], "parents": [[]], "merged_nodes": [[0, 9]]}, "the step 9"),
        ({"node_texts": ["a", "b"], "parents": [[], 0], "raw_to_merged": [0, 5]}, "'raw_to_merged' names"),
    ],
)
def test_what_is_no_dag_is_refused_with_the_reason(data: Any, problem: str) -> None:
    with pytest.raises(InvalidTraceError, match=problem):
        from_reference(data)
