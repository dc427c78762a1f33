from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import me2sdk

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path: Path) -> None:
    done = subprocess.run([sys.executable, "-P", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert not done.stderr


def test_the_reranking_example_prefers_the_right_solution() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "rerank_outputs.py")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.startswith("1. reward")
    assert "answer 31" in done.stdout.splitlines()[0]


def test_offline_snippets_of_the_readme_run(tmp_path: Path) -> None:
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    code = ["\n".join(line.partition("#")[0] for line in snippet.splitlines()) for snippet in snippets]
    offline = [snippet for snippet in code if "model=" not in snippet]
    assert len(offline) == 3
    for snippet in offline:
        command = [sys.executable, "-P", "-c", snippet]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "<svg" in (tmp_path / "dag.html").read_text("utf-8")


def test_snippets_of_the_readme_name_what_exists() -> None:
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    for snippet in snippets:
        compile(snippet, "README.md", "exec")
        for names in re.findall(r"from me2sdk import (.*)", snippet):
            assert all(hasattr(me2sdk, name.strip()) for name in names.split(","))
