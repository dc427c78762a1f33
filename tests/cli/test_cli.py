from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply, error

from me2sdk import BestOfNResult, RerankResult

Me2 = Callable[..., Any]


GOOD = "She has 3 + 4 = 7 apples.\n#### 7"
BAD = "She has 3 + 4 = 8 apples.\n#### 8"
QUESTION = "Ana has 3 apples and gets 4. How many has she?"


def write(path: Path, *records: Any) -> str:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in records) + "\n")
    return str(path)


def ask(server: OpenAIServer, *more: str) -> list[str]:
    return ["ask", QUESTION, "--model", "openai/test", "--api-base", server.url, "-n", "2", *more]


def test_ask_says_beforehand_what_it_would_take(me2: Me2) -> None:
    with OpenAIServer("It is 4.") as server:
        where = ["--model", "openai/test", "--api-base", server.url, "--max-tokens", "100"]
        done = me2("ask", "2 + 2?", *where, "-n", "60", "--dry-run")
        assert server.requests == []
        big = me2("ask", "2 + 2?", *where, "-n", "60", "--budget-tokens", "100000")
    assert done.code == 0
    assert done.out.startswith("about 1 call, ")
    assert "6.0k out" in done.out
    assert "This will take" not in big.err  # one call brings them all


def test_ask_prints_the_best_answer_alone_on_stdout(me2: Me2) -> None:
    with OpenAIServer([Reply(BAD, honours_n=False), Reply(GOOD, honours_n=False)]) as server:
        done = me2(*ask(server, "--max-concurrency", "1", "--temperature", "0.5"))
        assert server.requests[0].body["temperature"] == 0.5
    assert (done.code, done.out) == (0, GOOD + "\n")
    assert "reward" in done.err
    assert "2 calls" in done.err
    assert "cost unknown" in done.err


def test_ask_json_from_stdin(me2: Me2) -> None:
    with OpenAIServer(GOOD) as server:
        arguments = ["-" if word == QUESTION else word for word in ask(server, "--json", "--select", "vote")]
        done = me2(*arguments, stdin=QUESTION + "\n")
    result = BestOfNResult.model_validate_json(done.out)
    assert (done.code, result.best.answer, result.select) == (0, "7", "vote")
    assert result.best.trace.question == QUESTION


def test_ask_reports_failed_candidates_with_exit_code_3(me2: Me2) -> None:
    with OpenAIServer(
        [error(400, "no {key}"), Reply(GOOD, honours_n=False), error(400, "no {key}")]
    ) as server:
        done = me2(*ask(server, "--max-concurrency", "1"))
    assert (done.code, done.out) == (3, GOOD + "\n")
    assert "candidate" in done.err
    assert "sk-secret" not in done.err + done.out


def test_ask_fails_with_one_line_and_clean_stdout(me2: Me2) -> None:
    with OpenAIServer(error(401, "bad key {key}")) as server:
        done = me2(*ask(server))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: Only 0 of 2 candidates")
    assert "Traceback" not in done.err
    assert "sk-secret" not in done.err


def test_ask_cache_costs_nothing_the_second_time(me2: Me2) -> None:
    with OpenAIServer(GOOD) as server:
        first = me2(*ask(server, "--cache", "--json"))
        asked = len(server.requests)
        second = me2(*ask(server, "--cache", "--json"))
        assert len(server.requests) == asked
    one, two = (BestOfNResult.model_validate_json(done.out) for done in (first, second))
    assert (one.usage.cached_calls, two.usage.cached_calls, two.usage.calls) == (0, 2, 0)


def test_rerank_prints_a_table_or_json(me2: Me2, tmp_path: Path) -> None:
    file = write(
        tmp_path / "in.jsonl",
        {"question": QUESTION, "candidates": [BAD, GOOD], "correct": [False, True], "id": 9},
    )
    table = me2("rerank", file)
    assert table.code == 0
    assert table.out.index("7") < table.out.index("wrong")
    done = me2("rerank", file, "--json")
    record = json.loads(done.out)
    assert (record["id"], record["line"]) == (9, 1)
    assert RerankResult.model_validate(record["result"]).best.index == 1


def test_rerank_writes_a_page_per_line(me2: Me2, tmp_path: Path) -> None:
    record = {"question": QUESTION, "candidates": [BAD, GOOD, GOOD + " Yes."]}
    file, out = write(tmp_path / "in.jsonl", record, "{", record), str(tmp_path / "out.jsonl")
    page = tmp_path / "page.html"
    done = me2("rerank", file, "--html", str(page), "--output", out)
    assert done.code == 3  # line 2 is no record
    names = ["page-3.html", "page.html"]
    assert sorted(one.name for one in tmp_path.glob("*.html")) == names
    made = page.read_text("utf-8")
    assert "<title>" + QUESTION in made
    assert "shared results" in made
    page.unlink()
    assert me2("rerank", file, "--html", str(page), "--output", out, "--json").code == 3
    assert page.read_text("utf-8") == made  # a line that is there already has its page, too


def test_ask_writes_a_page(me2: Me2, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    good = Reply(GOOD, honours_n=False)
    with OpenAIServer([good, error(400, "no {key}"), good, good]) as server:
        done = me2(*ask(server, "--max-concurrency", "1", "--html", str(page)))
        assert (done.code, done.out) == (3, GOOD + "\n")
        made = page.read_text("utf-8")
        assert f"wrote {page}" in done.err
        assert "1 candidate<" in made
        assert "BadRequestError" in made
        assert "sk-secret" not in made
        lost = me2(*ask(server, "--html", str(tmp_path / "none" / "page.html")))
        assert (lost.code, lost.out) == (2, GOOD + "\n")  # what was paid for is printed
        assert "Cannot write" in lost.err
    many = me2("ask", "--input", "questions.jsonl", "--model", "x", "--html", str(page))
    assert (many.code, "goes with one question" in many.err) == (2, True)


def test_rerank_goes_on_after_a_bad_line(me2: Me2, tmp_path: Path) -> None:
    lines = ["{", {"question": "q"}, {"question": "q", "candidates": ["", "x"]}, [1]]
    done = me2("rerank", write(tmp_path / "in.jsonl", *lines), "--json")
    records = [json.loads(line) for line in done.out.splitlines()]
    assert done.code == 3
    assert ["error" in record for record in records] == [True, True, False, True]
    assert [failure["stage"] for failure in records[2]["result"]["failures"]] == ["read"]
    assert "line 1: not JSON" in done.err


def test_score_resumes_and_refuses_other_settings(me2: Me2, tmp_path: Path) -> None:
    records = [{"question": QUESTION, "text": GOOD}, {"message": {"content": BAD}}, {"reasoning": BAD}]
    file, out = write(tmp_path / "in.jsonl", *records), str(tmp_path / "out.jsonl")
    whole = me2("score", file, "--output", out, "--json")
    assert whole.code == 0
    assert len(whole.out.splitlines()) == 3
    finished = Path(out).read_bytes()
    Path(out).write_bytes(finished[: finished.index(b"\n") + 20])  # killed while the second line was written
    resumed = me2("score", file, "--output", out, "--json")
    assert (resumed.code, resumed.out) == (0, whole.out)
    assert Path(out).read_bytes() == finished
    refused = me2("rerank", file, "--output", out)
    assert refused.code == 2
    assert "other settings" in refused.err


def test_score_from_stdin_prints_a_line_a_trace(me2: Me2) -> None:
    lines = (
        json.dumps({"question": QUESTION, "text": GOOD})
        + "\n"
        + json.dumps({"question": QUESTION, "text": BAD})
        + "\n"
    )
    done = me2("score", "-", stdin=lines)
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert [row[0] for row in rows] == ["1", "2"]
    assert float(rows[0][1]) > float(rows[1][1])


def test_steps(me2: Me2, tmp_path: Path) -> None:
    text = "<think>Okay, so 2+2.\n\nWait, really?\n\nIt is.</think>4"
    done = me2("steps", "-", "--json", stdin=text)
    steps = json.loads(done.out)
    assert (
        "".join(step["text"] + step["separator"] for step in steps)
        == "Okay, so 2+2.\n\nWait, really?\n\nIt is."
    )
    assert len(steps) == 2
    file = tmp_path / "trace.txt"
    file.write_text(text)
    assert me2("steps", str(file)).out.startswith("── step 0\nOkay, so")
    assert me2("steps", str(file), "--prefixes", "none").code == 2
    corpus = write(tmp_path / "corpus.jsonl", {"text": "Thus a.\n\nThus b."}, {"text": "So c."})
    chosen = tmp_path / "set.json"
    counted = me2("steps", corpus, "--count", "--write", str(chosen), "--json")
    assert json.loads(counted.out)["prefixes"] == ["so", "thus"]
    assert (
        len(json.loads(me2("steps", "-", "--prefixes", str(chosen), "--json", stdin="x\n\nThus y").out)) == 2
    )


def test_doctor(me2: Me2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = me2("doctor", "--json")
    report = json.loads(done.out)
    assert done.code == 0
    assert report["mini"] == "ok"
    assert report["cache"] == {"path": str(tmp_path / "cache" / "me2sdk"), "writable": True, "error": ""}
    assert "pip install" in me2("doctor").out or not any(e["missing"] for e in report["extras"].values())
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    broken = me2("doctor")
    assert broken.code == 1
    assert "NOT writable" in broken.out


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["rerank", "none.jsonl"], 2, "Cannot read none.jsonl"),
        (["score", "-"], 1, "holds no lines"),
        (["score", "-", "--scorer", "no/such/folder/anywhere"], 2, ""),
        (["ask", "-", "--model", "x"], 2, "question is empty"),
        (["ask"], 2, "Missing"),
        (["nothing"], 2, "No such command"),
    ],
)
def test_wrong_usage(me2: Me2, arguments: list[str], code: int, word: str) -> None:
    stdin = '{"text": "x"}' if "--scorer" in arguments else ""
    done = me2(*arguments, stdin=stdin)
    assert done.code == code
    assert word in done.err
    assert done.out == ""


def test_console_script_and_closed_pipe() -> None:
    me2 = Path(sys.executable).parent / "me2"
    done = subprocess.run([me2, "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip().count(".") == 2
    reader = subprocess.Popen(
        [me2, "demo", "--show", "-1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ}
    )
    assert reader.stdout is not None
    assert reader.stdout.readline()
    reader.stdout.close()
    assert reader.wait(60) in (0, 1)
    assert reader.stderr is not None
    assert b"Traceback" not in reader.stderr.read()
    reader.stderr.close()
