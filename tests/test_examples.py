from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_offline_snippets_of_the_readme_run() -> None:
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    offline = [snippet for snippet in snippets if "openai/" not in snippet]
    assert len(offline) >= 2
    for snippet in offline:
        done = subprocess.run(
            [sys.executable, "-P", "-c", snippet], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
