from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Callable

import networkx as nx
import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError
from support.sample_dags import ANSWERS, DAGS, dag, grow, long_dag

from me2sdk.dag import AttachmentPool, DAGBuilder, DAGNode, ReasoningDAG, views
from me2sdk.errors import InvalidTraceError
from me2sdk.schema import Step, Usage


def edges(graph: ReasoningDAG) -> set[tuple[int, int]]:
    return {(parent, node.id) for node in graph.nodes for parent in node.parents}


@given(DAGS)
def test_any_annotator_makes_a_connected_dag_with_one_root(grown: ReasoningDAG) -> None:
    for graph in (grown.graph, grown.collapse().graph):
        assert nx.is_directed_acyclic_graph(graph)
        assert nx.descendants(graph, 0) | {0} == set(graph)
        assert [node for node, degree in graph.in_degree() if degree == 0] == [0]


@given(ANSWERS)
def test_the_state_is_what_the_method_says(answers: list[tuple[str, list[int], str]]) -> None:
    builder = grow(answers)
    grown = builder.build()
    path = builder.main_path
    assert path[0] == 0
    assert path[-1] == len(grown.nodes) - 1
    assert all(parent in grown.nodes[child].parents for parent, child in itertools.pairwise(path))
    # Open leaves are the ends of all branches but the main one.
    assert builder.leaves == [leaf for leaf in grown.leaves if leaf != path[-1]]


@given(ANSWERS)
def test_what_is_not_valid_is_refused_and_leaves_no_trace(answers: list[tuple[str, list[int], str]]) -> None:
    builder = grow(answers)
    before = (list(builder.nodes), list(builder.main_path), list(builder.leaves))
    everything = AttachmentPool(tuple(builder.main_path), tuple(builder.leaves))
    for action, parents, _ in answers:
        if builder.valid(action, parents, everything) is None:
            with pytest.raises(InvalidTraceError, match="cannot"):
                builder.add(Step("x"), action, parents)
            assert (builder.nodes, builder.main_path, builder.leaves) == before


@given(DAGS)
def test_collapsing_keeps_every_step_and_collapses_once(grown: ReasoningDAG) -> None:
    chains = grown.collapse()
    assert chains.collapse() == chains
    assert sorted(step for node in chains.nodes for step in node.steps) == list(range(len(grown.nodes)))
    assert [node.steps[-1] for node in chains.nodes] == sorted(node.steps[-1] for node in chains.nodes)
    for node in chains.nodes:
        held = [grown.nodes[step] for step in node.steps]
        assert node.text + node.separator == "".join(step.text + step.separator for step in held)
    # Edges between chains stay, and no others.
    home = {step: node.id for node in chains.nodes for step in node.steps}
    assert {(home[a], home[b]) for a, b in edges(grown) if home[a] != home[b]} == edges(chains)


@given(DAGS)
def test_collapsed_chains_are_maximal(grown: ReasoningDAG) -> None:
    chains = grown.collapse()
    for node in chains.nodes:
        joins = (
            node.action == "continue"
            and len(node.parents) == 1
            and len(chains.children[node.parents[0]]) == 1
        )
        assert not joins


@given(DAGS)
def test_json_round_trip(grown: ReasoningDAG) -> None:
    assert ReasoningDAG.from_json(grown.to_json()) == grown
    assert ReasoningDAG.from_json(grown.collapse().to_json(indent=1)) == grown.collapse()


def test_backtrack_opens_the_old_tail_as_a_leaf() -> None:
    builder = DAGBuilder()
    for text in "abc":
        builder.add(Step(text), "continue")
    builder.add(Step("d"), "backtrack", [0])
    assert (builder.main_path, builder.leaves) == ([0, 3], [2])
    builder.add(Step("e"), "merge", [2, 3])
    assert (builder.main_path, builder.leaves) == ([0, 3, 4], [])
    assert builder.build().depths == (0, 1, 2, 1, 3)


@pytest.mark.parametrize(
    ("action", "parents", "valid"),
    [
        ("continue", [], (5,)),
        ("continue", [99], (5,)),
        ("backtrack", [0], (0,)),
        ("backtrack", [5], None),  # the last step is where "continue" goes
        ("backtrack", [2], None),  # a leaf
        ("backtrack", [0, 3], None),
        ("backtrack", [], None),
        ("merge", [2, 5], (2, 5)),
        ("merge", [4, 2], (2, 4)),
        ("merge", [2, 4, 5], (2, 4, 5)),
        ("merge", [2, 2], None),
        ("merge", [0, 3], None),  # two on the main path, no leaf
        ("merge", [0, 2, 3], None),
        ("merge", [1, 2], None),  # 1 is neither on the path nor a leaf
        ("root", [], None),
    ],
)
def test_valid_attachments(action: str, parents: list[int], valid: tuple[int, ...] | None) -> None:
    builder = DAGBuilder()
    for text, made, at in (
        ("0", "continue", []),
        ("1", "continue", []),
        ("2", "continue", []),
        ("3", "backtrack", [0]),
        ("4", "continue", []),
        ("5", "backtrack", [3]),
    ):
        builder.add(Step(text), made, at)
    assert (builder.main_path, builder.leaves) == ([0, 3, 5], [2, 4])
    assert builder.valid(action, parents, builder.pool()) == valid


@given(ANSWERS, st.integers(1, 6), st.integers(0, 3))
def test_the_pool_is_capped(
    answers: list[tuple[str, list[int], str]], max_main: int, max_leaves: int
) -> None:
    builder = grow(answers)
    pool = builder.pool(max_main, max_leaves)
    assert len(pool.main_path) <= max_main
    assert len(pool.leaves) <= max_leaves
    assert pool.main_path[-1] == builder.main_path[-1]
    assert set(pool.main_path) <= set(builder.main_path)
    assert set(pool.leaves) <= set(builder.leaves)
    if max_main > 1:
        assert pool.main_path[0] == 0


@pytest.mark.parametrize(
    ("nodes", "problem"),
    [
        ([], "at least one node"),
        ([(1, ())], "count from 0"),
        ([(0, (0,))], "the root and alone has no parents"),
        ([(0, ()), (1, ())], "the root and alone has no parents"),
        ([(0, ()), (1, (1,))], "earlier nodes"),
        ([(0, ()), (1, (2,)), (2, (1,))], "earlier nodes"),
        ([(0, ()), (1, (-1,))], "earlier nodes"),
        ([(0, ()), (1, (0, 0))], "earlier nodes"),
        ([(0, ()), (1, (0,)), (2, (1, 0))], "earlier nodes"),
    ],
)
def test_no_other_kind_of_graph_can_be_made(nodes: list[tuple[int, tuple[int, ...]]], problem: str) -> None:
    made = tuple(
        DAGNode(id=number, text="x", action="continue" if place else "root", parents=parents, steps=(number,))
        for place, (number, parents) in enumerate(nodes)
    )
    with pytest.raises(ValidationError, match=problem):
        ReasoningDAG(nodes=made)


@pytest.mark.parametrize("steps", [(), (0,), (2,), (2, 1)])
def test_each_step_is_in_one_node(steps: tuple[int, ...]) -> None:
    root = DAGNode(id=0, text="x", action="root", parents=(), steps=(0,))
    with pytest.raises(ValidationError, match="step"):
        ReasoningDAG(nodes=(root, DAGNode(id=1, text="y", action="continue", parents=(0,), steps=steps)))


def test_the_graph_carries_what_the_nodes_do() -> None:
    graph = dag("a", "b", ("c", "backtrack", 0)).graph
    assert set(graph.edges) == {(0, 1), (0, 2)}
    assert graph.nodes[2]["text"] == "c"
    assert graph.nodes[2]["action"] == "backtrack"


def test_collapsing_keeps_question_annotator_and_cost() -> None:
    builder = grow([("", [], "a"), ("", [], "b")])
    built = builder.build(question="why?", annotator="me", usage=Usage(calls=3))
    collapsed = built.collapse()
    assert (collapsed.question, collapsed.annotator, collapsed.usage.calls) == ("why?", "me", 3)
    assert len(collapsed.nodes) == 1


def test_methods_are_the_functions() -> None:
    made = long_dag(40)
    assert made.macro_view().startswith("<Root")
    assert made.macro_view({0: "It begins."}).splitlines()[1] == "It begins."
    assert made.dominant_path()[-1] == 39
    assert made.micro_view().startswith(made.nodes[0].text)
    assert made.metrics().steps == 40
    assert made.to_mermaid().startswith("flowchart")
    assert made.to_dot().startswith("digraph")
    assert made.to_graphml().startswith("<?xml")
    assert made.to_html("A title").count("<title>A title</title>") == 1
    assert ReasoningDAG.from_reference(made.to_reference()).metrics() == made.metrics()


@given(DAGS)
def test_what_is_cached_changes_neither_equality_nor_json_nor_pickles(grown: ReasoningDAG) -> None:
    fresh = ReasoningDAG.from_json(grown.to_json())
    written, pickled = fresh.to_json(), pickle.dumps(fresh)
    assert fresh.collapse() is fresh.collapse()
    assert fresh.collapse().collapse() is fresh.collapse()
    assert (fresh.dominant_path(), fresh.depths, len(fresh.graph)) == (
        grown.dominant_path(),
        grown.depths,
        len(grown.nodes),
    )
    assert fresh == ReasoningDAG.from_json(written)
    assert (fresh.to_json(), pickle.dumps(fresh)) == (written, pickled)
    assert pickle.loads(pickled) == fresh


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        lambda made: made.model_copy(),
        lambda made: made.model_copy(deep=True),
        lambda made: pickle.loads(pickle.dumps(made)),
    ],
)
def test_a_copy_is_equal(copied: Callable[[ReasoningDAG], ReasoningDAG]) -> None:
    made = long_dag(20)
    made.collapse(), made.dominant_path(), made.graph
    assert copied(made) == made
    assert copied(made).model_fields_set == made.model_fields_set
    assert copied(made).collapse() == made.collapse()


@pytest.mark.parametrize("deep", [False, True])
def test_a_copy_with_other_fields_forgets_what_was_cached(deep: bool) -> None:
    made = dag("Start.", r"\boxed{1}", (r"\boxed{2}", "backtrack", 0))
    assert (made.collapse().question, made.dominant_path()) == (None, (0, 2))
    other = made.model_copy(update={"question": "Why?", "nodes": made.nodes[:2]}, deep=deep)
    assert (other.collapse().question, other.dominant_path(), other.leaves) == ("Why?", (0, 1), (1,))
    assert (made.collapse().question, made.dominant_path()) == (None, (0, 2))


def test_collapsing_and_the_dominant_path_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[str | None] = []
    search = views.dominant_path

    def counted(made: ReasoningDAG, answer: str | None = None) -> tuple[int, ...]:
        answers.append(answer)
        return search(made, answer)

    monkeypatch.setattr(views, "dominant_path", counted)
    made = long_dag(40)
    for _ in range(2):
        made.to_html()
        made.to_mermaid()
        made.metrics()
        made.micro_view()
        made.micro_view("7")
    assert answers == [None, "7"]
    chains = made.collapse()
    made.macro_view()
    assert made.collapse() is chains
