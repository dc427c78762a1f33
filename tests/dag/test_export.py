from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given
from support.sample_dags import DAGS, HOSTILE, dag, long_dag

from me2sdk.dag import ReasoningDAG
from me2sdk.dag.export import dot, excerpt, from_json, graphml, mermaid, printable, to_json
from me2sdk.errors import InvalidTraceError

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "dag.schema.json"
HOSTILE_DAG = dag("0", *HOSTILE)


def edges(made: ReasoningDAG) -> set[tuple[str, str]]:
    return {(f"s{parent}", f"s{node.id}") for node in made.nodes for parent in node.parents}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "file: Invalid JSON"),
        ("{", "file: Invalid JSON"),
        ("[]", "file: Input should be an object"),
        ('{"nodes": []}', "at least one node"),
        ('{"version": 2, "nodes": []}', "version: Input should be 1"),
        ('{"nodes": [{"id": 0, "text": 3}]}', "nodes.0.text: Input should be a valid string"),
    ],
)
def test_json_that_is_no_dag_is_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(InvalidTraceError, match=re.escape(problem)):
        from_json(text)


def test_json_names_its_version() -> None:
    written = json.loads(to_json(dag("a", "b")))
    assert written["version"] == 1
    assert written["nodes"][1]["parents"] == [0]
    assert from_json(to_json(dag("a", "b")).encode()) == dag("a", "b")


def test_the_documented_schema_is_current() -> None:
    assert json.loads(SCHEMA.read_text("utf-8")) == ReasoningDAG.model_json_schema()


LABEL = r"(?:[\w ,.()=+/'-]|#\d+;)*"
LINE = re.compile(
    rf'flowchart TD|  s\d+\["{LABEL}<br/>{LABEL}"\]|  s\d+ --> s\d+'
    r"|  classDef off stroke-dasharray: 4 3|  class s\d+(,s\d+)* off"
)


@given(DAGS)
def test_mermaid_holds_nothing_but_our_syntax(grown: ReasoningDAG) -> None:
    text = mermaid(grown)
    assert all(LINE.fullmatch(line) for line in text.removesuffix("\n").split("\n"))
    assert set(re.findall(r"(s\d+) --> (s\d+)", text)) == edges(grown)


def test_mermaid_keeps_the_text() -> None:
    label = re.findall(r"<br/>(.*)\"\]", mermaid(HOSTILE_DAG))[4]
    assert re.sub(r"#(\d+);", lambda code: chr(int(code[1])), label) == excerpt(HOSTILE[3])


def test_mermaid_dashes_what_leads_nowhere() -> None:
    assert "class s1 off" in mermaid(dag("a", "b", ("c", "backtrack", 0)))
    assert "off" not in mermaid(dag("a", "b"))


@pytest.mark.skipif(not shutil.which("dot"), reason="Graphviz is not installed: apt-get install graphviz")
def test_graphviz_reads_the_same_graph_and_labels() -> None:
    for made in (HOSTILE_DAG, long_dag(60), dag("only one")):
        done = subprocess.run(
            ["dot", "-Tdot_json"], input=dot(made).encode(), capture_output=True, check=True, timeout=60
        )
        assert done.stderr == b""
        read = json.loads(done.stdout)
        assert {(edge["tail"], edge["head"]) for edge in read.get("edges", [])} == {
            (parent, node.id) for node in made.nodes for parent in node.parents
        }
        assert [node["name"] for node in read["objects"]] == [f"s{node.id}" for node in made.nodes]
        for node, drawn in zip(made.nodes, read["objects"], strict=True):
            shown = drawn["label"].split("\\n", 1)[1]
            assert re.sub(r"\\(.)", r"\1", shown) == excerpt(node.text)


@given(DAGS)
def test_dot_strings_never_end_early(grown: ReasoningDAG) -> None:
    for line in dot(grown).split("\n")[2 : 2 + len(grown.nodes)]:
        assert re.fullmatch(r'  s\d+ \[label="(?:[^"\\]|\\.)*"(?:, style="rounded,dashed")?\];', line)


def test_dot_dashes_what_leads_nowhere() -> None:
    dashed = [line for line in dot(dag("a", "b", ("c", "backtrack", 0))).splitlines() if "dashed" in line]
    assert len(dashed) == 1
    assert dashed[0].startswith("  s1 ")


@given(DAGS)
def test_graphml_is_xml_and_loads_back(grown: ReasoningDAG) -> None:
    text = graphml(grown)
    ET.fromstring(text.encode())
    read = nx.read_graphml(io.BytesIO(text.encode()))
    assert set(read.edges) == edges(grown)
    for node in grown.nodes:
        data = read.nodes[f"s{node.id}"]
        # XML readers turn every line end into one kind.
        ends = re.compile("\r\n?")
        assert (data.get("text") or "") == ends.sub("\n", printable(node.text))
        assert data["action"] == node.action
        assert data["depth"] == grown.depths[node.id]


def test_graphml_replaces_what_xml_cannot_carry() -> None:
    assert printable("a\x00\x0b\x1b\ud800\ufffe\ufdd0b\t\n\r\x85") == "a" + "\ufffd" * 6 + "b\t\n\r\x85"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("short", "short"),
        ("  two\n\nlines ", "two lines"),
        ("0123456789", "0123456789"),
        ("01234567890", "012345678…"),
        ("漢字漢字漢字", "漢字漢字…"),
        ("", ""),
        (" " * 1000 + "late", "…"),
    ],
)
def test_excerpt(text: str, shown: str) -> None:
    assert excerpt(text, 10) == shown
