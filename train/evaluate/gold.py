"""Traces with the action and parents that each step should get, from the formats in which people keep them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from me2sdk._jsonl import read_jsonl
from me2sdk.dag import ReasoningDAG
from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.schema import Step
from me2sdk.train.evaluate.reasoningflow import GoldTrace, read_reasoningflow

__all__ = ["read_gold"]


def read_gold(source: str | Path) -> Iterator[GoldTrace]:
    """Read gold annotations.

    Args:
        source: a folder of ReasoningFlow documents, or a ``.jsonl`` file, a ``.json`` file or a folder of these with
            DAGs in the reference implementation's JSON or in that of `ReasoningDAG.to_json`. Of their other keys
            ``question`` and ``model`` (who wrote the trace) are read.

    Raises:
        ConfigurationError: there is nothing to read.
        InvalidTraceError: a file holds something else; the message says which.

    Example:
        ```python
        from pathlib import Path
        from me2sdk import parse_dag
        from me2sdk.train import read_gold

        Path("gold.json").write_text(parse_dag(["2 + 2 = 4.", "So it is 4."]).to_json(), "utf-8")
        print([trace.actions for trace in read_gold("gold.json")])  # [('root', 'continue')]
        ```
    """
    path = Path(source)
    files = sorted([*path.glob("*.json"), *path.glob("*.jsonl")]) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ConfigurationError(
            f"{source} holds no annotations. Give a .json or .jsonl file, or a folder of them."
        )
    if path.is_dir() and files[0].suffix == ".json" and "raw_text" in _documents(files[0])[0][1]:
        yield from read_reasoningflow(path)
        return
    for file in files:
        for name, document in _documents(file):
            yield _trace(name, document)


def _documents(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """The documents of a file, each with a name for messages."""
    try:
        if file.suffix == ".jsonl":
            found = [(f"{file.stem}:{number}", json.loads(line)) for number, line in read_jsonl(str(file))]
        else:
            content = json.loads(file.read_text("utf-8-sig"))
            many = isinstance(content, list)
            found = (
                [(f"{file.stem}:{place}", one) for place, one in enumerate(content)]
                if many
                else [(file.stem, content)]
            )
    except ValueError as error:
        raise InvalidTraceError(f"{file} is not JSON: {error}") from None
    if not found or not all(isinstance(document, dict) for _, document in found):
        raise InvalidTraceError(f"{file} holds no annotated traces: each is a JSON object.")
    return found


def _trace(name: str, document: dict[str, Any]) -> GoldTrace:
    if "raw_text" in document:
        raise InvalidTraceError(f"{name} is a ReasoningFlow document. Give the folder that holds it.")
    try:
        own = "nodes" in document and "version" in document
        dag = ReasoningDAG.from_json(json.dumps(document)) if own else ReasoningDAG.from_reference(document)
    except InvalidTraceError as error:
        raise InvalidTraceError(f"{name}: {error}") from None
    if any(len(node.steps) > 1 for node in dag.nodes):
        raise InvalidTraceError(f"{name} holds super-nodes. Give the DAG of single steps.")
    question = document.get("question")
    return GoldTrace(
        name=name,
        family=str(document.get("model") or ""),
        domain="",
        question=question if isinstance(question, str) else "",
        steps=tuple(Step(node.text, node.separator) for node in dag.nodes),
        actions=tuple(node.action for node in dag.nodes),
        parents=tuple(node.parents for node in dag.nodes),
    )
