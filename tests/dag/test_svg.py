from __future__ import annotations

import itertools
import sys
import time
import xml.etree.ElementTree as ET
from collections import defaultdict

import pytest
from hypothesis import given, settings
from support.sample_dags import DAGS, HOSTILE, dag, long_dag

from me2sdk.dag import DAGBuilder, ReasoningDAG
from me2sdk.dag.svg import CARD_HEIGHT, CARD_WIDTH, layout, svg
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Step


@given(DAGS)
@settings(deadline=None)
def test_cards_do_not_overlap_and_children_stand_below_parents(grown: ReasoningDAG) -> None:
    placed = layout(grown)
    assert placed == layout(grown)
    rows: dict[float, list[float]] = defaultdict(list)
    for x, y in placed.centres:
        rows[y].append(x)
        assert CARD_WIDTH / 2 <= x <= placed.width - CARD_WIDTH / 2
        assert CARD_HEIGHT / 2 <= y <= placed.height - CARD_HEIGHT / 2
    assert all(b - a > CARD_WIDTH for row in rows.values() for a, b in itertools.pairwise(sorted(row)))
    assert all(b - a > CARD_HEIGHT for a, b in itertools.pairwise(sorted(rows)))
    for node in grown.nodes:
        for parent in node.parents:
            heights = [y for _, y in placed.bends[parent, node.id]]
            way = [placed.centres[parent][1], *heights, placed.centres[node.id][1]]
            assert way == sorted(set(way))


def test_later_branches_stand_to_the_right() -> None:
    placed = layout(dag("a", "b", ("c", "backtrack", 0), ("d", "backtrack", 0)))
    assert placed.centres[1][0] < placed.centres[2][0] < placed.centres[3][0]


@given(DAGS)
@settings(deadline=None)
def test_the_drawing_is_xml_with_a_card_a_node_and_a_line_an_edge(grown: ReasoningDAG) -> None:
    drawn = ET.fromstring(svg(grown, "x", HOSTILE[1]).encode())
    assert drawn.get("aria-label") == HOSTILE[1]
    cards = drawn.findall(".//g[@role='option']")
    assert [card.get("data-node") for card in cards] == [str(node.id) for node in grown.nodes]
    assert len(drawn.findall(".//path")) == sum(len(node.parents) for node in grown.nodes)
    assert {element.tag for element in drawn.iter()} <= {
        *("svg", "defs", "clipPath", "rect", "g", "path", "text", "tspan")
    }


def test_what_leads_nowhere_is_marked() -> None:
    drawn = ET.fromstring(svg(dag("a", "b", ("c", "backtrack", 0)), "x", "x"))
    classes = [(card.get("class") or "").split() for card in drawn.findall(".//g[@role='option']")]
    assert classes == [
        ["node", "root", "on"],
        ["node", "continue", "leaf"],
        ["node", "backtrack", "on", "leaf"],
    ]
    # Lines of the dominant path lie on top.
    assert [line.get("class") for line in drawn.findall(".//path")] == ["edge", "edge on"]


def test_a_thousand_steps_are_placed_within_seconds() -> None:
    began = time.perf_counter()
    svg(long_dag(1000), "x", "x")
    assert time.perf_counter() - began < 5


def test_long_edges_cost_no_more_than_seconds() -> None:
    """Half the steps are branches from the root, the other half merges one of them each."""
    builder = DAGBuilder()
    for number in range(150):
        builder.add(Step(f"{number}"), "backtrack" if number > 1 else "continue", (0,))
    while builder.leaves:
        builder.add(Step("m"), "merge", (builder.main_path[-1], builder.leaves[-1]))
    began = time.perf_counter()
    layout(builder.build())
    assert time.perf_counter() - began < 10


def test_a_missing_dependency_says_what_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fast_sugiyama", None)
    with pytest.raises(ConfigurationError, match="pip install fast-sugiyama"):
        layout(dag("a", "b"))
