from __future__ import annotations

import json
import re
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply, Request

from me2sdk import CostEstimate, PairVerdict, Ranking, ReasoningDAG

Me2 = Callable[..., Any]

TRACE = (
    "Okay, so 2 + 2.\n\nSo it is 4.\n\nWait, let me check again.\n\nAlternatively, count.\n\nSo \\boxed{4}."
)
LONG = TRACE + "\n\nHmm, again.\n\nWait, again.\n\nSo \\boxed{4}."


def judge_by_length(request: Request) -> Reply:
    """Prefers the trace whose end comes first in a prompt on two traces; continues on any other prompt."""
    text = json.dumps(request.body["messages"])
    if "<|decision|>" not in text:
        return Reply("It goes on.\n<|action|>continue")
    short_first = text.find("Hmm, again") > text.rfind("Alternatively, count")
    return Reply(f"It wastes nothing.\n<|decision|>Trace {1 if short_first else 2}", honours_n=False)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    short, long = tmp_path / "short.txt", tmp_path / "long.txt"
    short.write_text(TRACE)
    long.write_text(LONG)
    return str(short), str(long)


@pytest.mark.parametrize(
    ("format", "word"),
    [
        ("tree", "\n3 back to 1: Alternatively"),
        ("json", '"version":1'),
        ("mermaid", "flowchart"),
        ("dot", "digraph"),
        ("graphml", "<graphml"),
        ("html", "<svg"),
    ],
)
def test_dag_formats(me2: Me2, files: tuple[str, str], format: str, word: str) -> None:
    done = me2("dag", files[0], "--format", format)
    assert done.code == 0
    assert word in done.out


def test_dag_draws_a_tree_on_a_terminal_and_prints_json_elsewhere(
    me2: Me2, files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ReasoningDAG.from_json(me2("dag", files[0]).out)
    monkeypatch.setattr("me2sdk.cli.structure._on_terminal", lambda: True)
    assert me2("dag", files[0]).out.startswith("0 Okay, so 2 + 2.")
    assert ReasoningDAG.from_json(me2("dag", files[0], "--json").out)
    assert me2("dag", files[0], "--format", "mermaid").out.startswith("flowchart")
    target = tmp_path / "tree.txt"
    assert me2("dag", files[0], "--format", "tree", "--output", str(target)).code == 0
    assert target.read_text().startswith("0 Okay, so 2 + 2.")
    assert me2("dag", files[0], "--output", str(target)).code == 0
    assert ReasoningDAG.from_json(target.read_text())


def test_dag_from_stdin_collapsed_to_a_file(me2: Me2, tmp_path: Path) -> None:
    target = tmp_path / "dag.json"
    done = me2("dag", "-", "--collapse", "--output", str(target), stdin=TRACE)
    assert (done.code, done.out) == (0, "")
    dag = ReasoningDAG.from_json(target.read_text())
    assert sorted(step for node in dag.nodes for step in node.steps) == [0, 1, 2, 3, 4]
    assert dag == dag.collapse()


def test_dag_opens_a_page(
    me2: Me2, files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    page = tmp_path / "page.html"
    assert me2("dag", files[0], "--open", "--output", str(page)).code == 0
    assert opened == [page.as_uri()]
    assert "<html" in page.read_text()


def test_dag_by_a_model_tells_what_it_cost(me2: Me2, files: tuple[str, str]) -> None:
    with OpenAIServer("It goes on.\n<|action|>continue") as server:
        done = me2("dag", files[0], "--model", "openai/test", "--api-base", server.url)
    dag = ReasoningDAG.from_json(done.out)
    assert done.code == 0
    assert dag.usage.calls == len(dag.nodes) - 2
    assert f"{dag.usage.calls} calls" in done.err
    with OpenAIServer("no idea") as server:
        failed = me2("dag", files[0], "--model", "openai/test", "--api-base", server.url)
    assert failed.code == 3  # a graph came, and every annotation failed
    chain = ReasoningDAG.from_json(failed.out)
    assert len(chain.errors) == len(chain.nodes) - 1 or len(chain.errors) == len(chain.nodes) - 2
    assert "step 2" in failed.err


def judged(server: OpenAIServer, *more: str) -> list[str]:
    return ["--model", "openai/test", "--api-base", server.url, "--question", "2 + 2?", *more]


def test_judge_prints_a_table_or_json(me2: Me2, files: tuple[str, str]) -> None:
    with OpenAIServer(judge_by_length) as server:
        table = me2("judge", *files, *judged(server, "--no-structure", "--repeats", "1"))
        done = me2("judge", *files, *judged(server, "--no-structure", "--repeats", "1", "--json"))
    assert (table.code, done.code) == (0, 0)
    assert "macro efficiency" in table.out
    verdict = PairVerdict.model_validate_json(done.out)
    assert (verdict.preference, verdict.agreement, len(verdict.votes)) == ("a", 1.0, 10)


def test_judge_writes_a_page_with_both_dags(me2: Me2, files: tuple[str, str], tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    with OpenAIServer(judge_by_length) as server:
        done = me2("judge", *files, *judged(server, "--repeats", "1", "--html", str(page)))
    assert done.code == 0
    assert page.read_text().count("<svg") >= 2


def test_rank_puts_the_shorter_first(me2: Me2, files: tuple[str, str]) -> None:
    arguments: Any
    with OpenAIServer(judge_by_length) as server:
        arguments = judged(server, "--no-structure", "--repeats", "1")
        done = me2("rank", files[1], files[0], *arguments)
        as_json = me2("rank", files[1], files[0], *arguments, "--json")
    assert done.code == 0
    assert [line.split("\t")[::2] for line in done.out.splitlines()] == [["1", files[0]], ["2", files[1]]]
    assert Ranking.model_validate_json(as_json.out).order == (1, 0)


@pytest.mark.parametrize("command", ["dag", "judge", "rank"])
def test_a_dry_run_says_what_it_would_take_and_asks_nobody(
    me2: Me2, files: tuple[str, str], command: str
) -> None:
    with OpenAIServer(judge_by_length) as server:
        arguments = [command, *(files[:1] if command == "dag" else files), *judged(server), "--dry-run"]
        done = me2(*arguments)
        assert server.requests == []
    assert done.code == 0
    assert re.fullmatch(
        r"about \d+ calls, .* tokens in and .* out, at a price that is not known with openai/test\n", done.out
    )
    assert done.err == ""
    if command != "dag":
        estimate = CostEstimate.model_validate_json(me2(*arguments, "--json").out)
        assert f"about {estimate.calls} calls" in done.out


def test_a_dry_run_without_a_model(me2: Me2, files: tuple[str, str]) -> None:
    done = me2("dag", files[0], "--dry-run")
    assert (done.code, done.out) == (0, "no calls: without a model the local rules annotate\n")


def test_a_big_job_is_foretold_and_a_small_one_is_not(me2: Me2, files: tuple[str, str]) -> None:
    with OpenAIServer(judge_by_length) as server:
        big = me2("judge", *files, *judged(server, "--no-structure", "--repeats", "6"))
        small = me2("judge", *files, *judged(server, "--no-structure", "--repeats", "1"))
    assert big.err.startswith("This will take about 60 calls, ")
    assert "60 calls, 0 from the cache" in big.err
    assert "This will take" not in small.err


def test_missing_file(me2: Me2) -> None:
    done = me2("dag", "none.txt")
    assert (done.code, done.out) == (2, "")
    assert "Cannot read none.txt" in done.err
