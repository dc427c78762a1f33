"""Every example runs offline as its reader would start it, and the notebook from top to bottom."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.needs import needs

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
# Seconds that an example may take here, where other work runs beside it; 60 for the others.
SLOW = {"train_a_small_trm": 240, "stop_early": 120, "wrap_an_app": 120}
NEEDS = {
    "chat_reward_model": "torch transformers",
    "dspy_best_of_n": "dspy",
    "grpo_gated_reward": "math_verify",
    "inspect_best_of_n": "inspect_ai",
    "its_hub_best_of_n": "its_hub",
    "langchain_rerank": "langchain_core",
    "llama_index_rerank": "llama_index",
    "mcp_tools": "mcp",
    "mlflow_traces": "mlflow",
    "openai_agents_best_of_n": "agents",
    "opentelemetry_spans": "opentelemetry",
    "pydantic_ai_agent": "pydantic_ai",
    "serve": "starlette",
    "train_a_small_trm": "trl",
}
# What Pydantic says of the types of other frameworks, some versions of which it warns of.
OF_PYDANTIC = "ignore::UserWarning:pydantic._internal._generate_schema"
RUN_NOTEBOOK = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, kernel_name="tour", timeout=120).execute()
nbformat.write(notebook, sys.argv[2])
"""


def run(path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", OF_PYDANTIC, "-P", str(path)],
        capture_output=True,
        text=True,
        timeout=SLOW.get(path.stem, 60),
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=needs(*NEEDS.get(path.stem, "").split())) for path in SCRIPTS],
)
def test_example_runs(path: Path) -> None:
    shown = run(path)
    assert shown.strip()
    check = globals().get(f"check_{path.stem}")
    if check is not None:
        check(shown)


def check_rerank_outputs(shown: str) -> None:
    assert shown.startswith("1. reward")
    assert "answer 31" in shown.splitlines()[0]


def check_look_at_candidates(shown: str) -> None:
    page = Path(re.search(r"Open (\S+) to", shown)[1])  # type: ignore[index]
    assert page.read_text("utf-8").count('data-rank="') == 8


def check_how_sure(shown: str) -> None:
    numbers = [int(number) for number in re.findall(r"\d+", shown)]
    questions, asked, most, escalated, told, silent, right = numbers
    assert (questions, most) == (60, 480)
    assert asked < 0.75 * most  # it stops early
    assert 0 < escalated < questions / 3
    assert told + silent == questions
    assert right / told > 0.75  # of a vote over all eight, 70% are right


def check_wrap_an_app(shown: str) -> None:
    first, best = map(int, re.findall(r": (\d+) of", shown))
    assert best > first


def check_stop_early(shown: str) -> None:
    asked = [int(number) for number in re.findall(r"(\d+) of 480 samples", shown)]
    right = [int(number) for number in re.findall(r"(\d+) of 60 right", shown)]
    assert asked[0] == 480
    assert asked == sorted(asked, reverse=True)
    assert asked[3] < 0.7 * 480  # stop=0.95
    assert max(right) - min(right) <= 3


def check_own_answer_key(shown: str) -> None:
    assert "[('05-03', 3), ('03-05', 1)]" in shown
    assert "rome 05-03 (confidence" in shown


def check_judge_two_traces(shown: str) -> None:
    assert shown.startswith("better reasoned: a, 100%")
    assert shown.endswith("always says Trace 1: tie\n")


def check_train_a_small_trm(shown: str) -> None:
    untrained, trained = map(float, re.findall(r"accuracy ([\d.]+)", shown)[:2])
    assert trained > untrained


def check_inspect_a_dag(shown: str) -> None:
    page = Path(re.search(r"Open (\S+) to", shown)[1])  # type: ignore[index]
    assert "<svg" in page.read_text("utf-8")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_examples_are_short_and_in_the_table(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 60
    assert f"({path.name})" in (EXAMPLES / "README.md").read_text("utf-8")


def test_the_notebook_runs(tmp_path: Path) -> None:
    pytest.importorskip("nbclient", reason="the notebook runs by nbclient and ipykernel")
    pytest.importorskip("ipykernel", reason="the notebook runs by nbclient and ipykernel")
    kernel = tmp_path / "jupyter" / "kernels" / "tour"
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(
        json.dumps({"argv": command, "display_name": "tour", "language": "python"})
    )
    environment = {
        **os.environ,
        "JUPYTER_PATH": str(tmp_path / "jupyter"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN_NOTEBOOK, str(EXAMPLES / "tour.ipynb"), str(tmp_path / "done.ipynb")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    cells = json.loads((tmp_path / "done.ipynb").read_text("utf-8"))["cells"]
    shown = "".join(
        text
        for cell in cells
        for output in cell.get("outputs", [])
        for text in output.get("text", output.get("data", {}).get("text/html", []))
    )
    assert "answer 31" in shown
    assert "17 steps" in shown  # in the page that draws the graph
    assert re.search(r"of 480 samples; answered \d+ of 60, \d+ of them right", shown)
    best, voted = (
        float(re.search(rf"{of} 8: ([\d.]+)%", shown)[1]) for of in ("best of", "default choice of")
    )  # type: ignore[index]
    assert 50 < best < voted < 80


def test_the_notebook_is_kept_without_outputs_and_paths() -> None:
    text = (EXAMPLES / "tour.ipynb").read_text("utf-8")
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
    assert not re.search(r"/(?:home|work|root|tmp|Users)/", text)
