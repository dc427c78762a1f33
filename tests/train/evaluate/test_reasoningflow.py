from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from me2sdk import ConfigurationError
from me2sdk.train.evaluate.reasoningflow import read_reasoningflow

SPANS = [
    ("s0", "reasoning", "We look for the cost. "),
    ("s1", "planning", "We could add them up.\n\n"),
    ("s2", "reasoning", "So the sum is 30.\n\n"),
    ("s3", "planning", "Wait, use the average instead. "),
    ("s4", "reasoning", "It is 6.\n\n"),
    ("s5", "reasoning", "So 5 times 6 is 30, as before.\n\n"),
    ("s6", "planning", "Alternatively, use the median."),
]


def write(folder: Path, edges: list[tuple[str, str, str]], prefix: str = "", tail: str = "") -> None:
    text = prefix
    nodes: list[dict[str, Any]] = [
        {"id": "ctx0", "source": "question", "label": "context", "start": 0, "end": 4, "text": "Cost"}
    ]
    for name, label, span in SPANS:
        nodes.append(
            {
                "id": name,
                "source": "response",
                "label": label,
                "start": len(text),
                "end": len(text) + len(span),
            }
        )
        text += span
    start = len(text) + len(tail)
    nodes.append({"id": "out", "source": "response", "label": "planning", "start": start, "end": start + 4})
    document = {
        "doc_id": "one",
        "raw_text": {"question": "Cost?", "response": text + tail + "Done"},
        "metadata": {"generator": "Some-Model", "domain": "math"},
        "nodes": nodes,
        "edges": [
            {"id": str(place), "label": label, "source_node_id": source, "dest_node_id": target}
            for place, (label, source, target) in enumerate(edges)
        ],
    }
    (folder / "one.json").write_text(json.dumps(document), "utf-8")


EDGES = [
    ("reason:infer", "ctx0", "s2"),
    ("plan:backtrack", "s1", "s3"),  # the plan lies in step 0: nothing to return to but step 0 itself
    ("reason:infer", "s2", "s5"),
    ("reason:infer", "s4", "s5"),  # from a branch end and from the main path
    ("plan:backtrack", "s3", "s6"),
    ("plan:backtrack", "s1", "out"),
]


@pytest.mark.parametrize(("prefix", "tail"), [("", "\n\n"), ("<think>\n", "</think>\n\n")])
def test_gold_actions(tmp_path: Path, prefix: str, tail: str) -> None:
    write(tmp_path, EDGES, prefix, tail)
    (gold,) = read_reasoningflow(tmp_path)
    assert [step.text.split(",")[0] for step in gold.steps][:4] == [
        "We look for the cost. We could add them up.",
        "So the sum is 30.",
        "Wait",
        "So 5 times 6 is 30",
    ]
    assert gold.actions[:5] == ("root", "continue", "backtrack", "merge", "backtrack")
    assert gold.parents[:5] == ((), (0,), (0,), (1, 2), (0,))
    assert (gold.name, gold.family, gold.domain, gold.question) == ("one", "Some-Model", "math", "Cost?")


def test_a_backtrack_within_a_step_is_none(tmp_path: Path) -> None:
    write(tmp_path, [("plan:backtrack", "s3", "s4"), ("plan:backtrack", "s4", "s3")])
    (gold,) = read_reasoningflow(tmp_path)
    assert set(gold.actions[1:]) == {"continue"}


def test_a_folder_without_documents(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no ReasoningFlow documents"):
        list(read_reasoningflow(tmp_path))
