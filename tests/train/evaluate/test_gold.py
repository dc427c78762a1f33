from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.judge_doubles import GOOD

from me2sdk import ConfigurationError, InvalidTraceError
from me2sdk.train import read_gold

REFERENCE = {**GOOD.to_reference(), "question": "3 + 4?", "model": "M"}


def test_reference_and_own_dags_from_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(REFERENCE))
    (tmp_path / "b.json").write_text(json.dumps([json.loads(GOOD.to_json()), REFERENCE]))
    (tmp_path / "c.jsonl").write_text(f"{json.dumps(REFERENCE)}\n{GOOD.to_json()}\n")
    (one,) = read_gold(tmp_path / "a.json")
    assert (one.name, one.family, one.question) == ("a", "M", "3 + 4?")
    assert one.actions == ("root", "continue", "backtrack", "continue")
    assert one.parents == ((), (0,), (0,), (2,))
    assert [step.text for step in one.steps] == [node.text for node in GOOD.nodes]
    found = list(read_gold(tmp_path))
    assert [trace.name for trace in found] == ["a", "b:0", "b:1", "c:1", "c:2"]
    assert {trace.actions for trace in found} == {one.actions}
    assert [trace.family for trace in found] == ["M", "", "M", "M", ""]


def document(text: str) -> dict[str, Any]:
    return {
        "doc_id": "x",
        "raw_text": {"question": "q", "response": text},
        "metadata": {"generator": "M", "domain": "math"},
        "nodes": [],
        "edges": [],
    }


def test_a_folder_of_reasoningflow(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(document("One.\n\nSo two.")))
    (one,) = read_gold(str(tmp_path))
    assert (one.name, one.family) == ("x", "M")
    assert "".join(step.text + step.separator for step in one.steps) == "One.\n\nSo two."
    with pytest.raises(InvalidTraceError, match="Give the folder that holds it"):
        list(read_gold(tmp_path / "x.json"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "x.json is not JSON"),
        ("[]", "holds no annotated traces"),
        ("[3]", "holds no annotated traces"),
        ("{}", "x: This is not a reference DAG"),
        (json.dumps(GOOD.collapse().to_reference()), "x holds super-nodes"),
    ],
)
def test_files_that_hold_something_else(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InvalidTraceError, match=said):
        list(read_gold(tmp_path / "x.json"))


def test_nothing_there(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "x.json"):
        with pytest.raises(ConfigurationError, match="holds no annotations"):
            list(read_gold(source))
