"""``me2 ask --input``: what goes in and comes out, and what is left after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply, Request, error

from me2sdk import BestOfNResult, ConfigurationError
from me2sdk.cli.ask_file import AnswerFile

Me2 = Callable[..., Any]


def echo(request: Request) -> Any:
    """Answers with the number in the question, and fails where there is none."""
    word = request.text.split()[-1]
    return Reply(f"The answer is {word}.", honours_n=False) if word.isdecimal() else error(400, "no {key}")


def ask(server: OpenAIServer, source: Path | str, *more: str) -> list[str]:
    where = ["--model", "openai/test", "--api-base", server.url, "--scorer", "shortest", "-n", "1"]
    return ["ask", "--input", str(source), *where, *more]


def write(path: Path, *records: Any) -> Path:
    lines = (one if isinstance(one, str) else json.dumps(one) for one in records)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def questions(path: Path, count: int) -> Path:
    return write(path, *({"question": f"Say {number}"} for number in range(count)))


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_answers_go_to_a_file_in_the_order_of_the_questions(me2: Me2, tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "Say 2"}]
    rows = [{"question": "Say 1", "id": "a", "answer": "gold"}, "", {"question": chat, "input": "x"}]
    output = tmp_path / "out.jsonl"
    with OpenAIServer(echo) as server:
        done = me2(*ask(server, write(tmp_path / "in.jsonl", *rows), "--output", str(output)))
    assert (done.code, done.out) == (0, "")
    assert "2 questions: 2 answered, 0 abstained, 0 failed\n" in done.err
    assert "2 candidates asked for; 2 calls, 0 from the cache, 24 tokens" in done.err
    first, second = read(output)
    assert (first["line"], first["id"], first["answer"]) == (1, "a", "gold")
    assert first["best"] == {
        "response": "The answer is 1.",
        "answer": "1",
        "confidence": first["result"]["confidence"],
        "abstained": False,
    }
    assert (second["line"], second["question"], second["best"]["answer"]) == (3, chat, "2")
    assert second["input"] != "x"  # by which a later run tells whether the row is still the same
    assert BestOfNResult.model_validate(second["result"]).usage.calls == 1


def test_without_an_output_records_go_to_standard_output(me2: Me2) -> None:
    rows = "".join(json.dumps({"question": f"Say {word}"}) + "\n" for word in ("1", "no", "3"))
    with OpenAIServer(echo) as server:
        done = me2(*ask(server, "-"), stdin=rows)
        as_json = me2(*ask(server, "-", "--json"), stdin=rows)
    assert (done.code, as_json.code) == (3, 3)
    assert {(one["line"], one["best"]["answer"]) for one in map(json.loads, done.out.splitlines())} == {
        (1, "1"),
        (3, "3"),
    }
    assert "line 2: Only 0 of 1 candidates" in done.err
    assert "sk-secret" not in done.err + done.out
    assert [one["line"] for one in map(json.loads, as_json.out.splitlines()) if "error" in one] == [2]


def test_a_row_that_is_no_question_costs_no_other(me2: Me2, tmp_path: Path) -> None:
    rows = [{"question": "Say 1"}, "{", {"question": " "}, {"other": 1}, [1], {"question": 5}]
    output = tmp_path / "out.jsonl"
    with OpenAIServer(echo) as server:
        arguments = ask(server, write(tmp_path / "in.jsonl", *rows), "--output", str(output), "--json")
        done = me2(*arguments)
        assert len(server.requests) == 1
    assert done.code == 3
    assert [line.split(":")[0] for line in done.err.splitlines()] == [f"line {n}" for n in (2, 3, 4, 5, 6)]
    summary = json.loads(done.out)
    assert (summary["questions"], summary["answered"], summary["failed"]) == (6, 1, 5)
    assert len(read(output)) == 1


def test_what_failed_is_tried_again_and_what_is_done_is_not(me2: Me2, tmp_path: Path) -> None:
    heals = False

    def reply(request: Request) -> Any:
        return Reply("The answer is 9.", honours_n=False) if heals else echo(request)

    file = write(tmp_path / "in.jsonl", {"question": "Say no"}, {"question": "Say 2"})
    output = tmp_path / "out.jsonl"
    with OpenAIServer(reply) as server:
        arguments = ask(server, file, "--output", str(output))
        first = me2(*arguments)
        finished = output.read_bytes()
        heals = True
        second = me2(*arguments, "--json")
        asked = [request.text for request in server.requests]
        assert sorted(asked[:2]) == ["Say 2", "Say no"]  # side by side
        assert asked[2:] == ["Say no"]
        third = me2(*arguments)
    assert first.code == 3
    assert "1 failed; run again to try those that failed" in first.err
    summary = json.loads(second.out)
    assert (second.code, summary["answered"], summary["done_before"]) == (0, 2, 1)
    assert summary["usage"]["calls"] == 2  # of both runs
    assert [one["line"] for one in read(output)] == [1, 2]
    assert finished in output.read_bytes()  # byte for byte
    assert "2 answered (2 of them before)" in third.err


def test_other_settings_and_another_input_are_refused(me2: Me2, tmp_path: Path) -> None:
    file, output = questions(tmp_path / "in.jsonl", 2), tmp_path / "out.jsonl"
    with OpenAIServer(echo) as server:
        arguments = ask(server, file, "--output", str(output))
        assert me2(*arguments).code == 0
        before = output.read_bytes()
        changed = [
            ["-n", "2"],
            ["--temperature", "0.5"],
            ["--stop", "sure"],
            ["--answer", "text"],
            ["--model", "x"],
        ]
        for more in changed:
            refused = me2(*arguments, *more)
            assert refused.code == 2
            assert f"written with other settings ({more[0].strip('-')}" in refused.err
        assert me2(*arguments, "--max-concurrency", "2").code == 0
        write(file, {"question": "Say 7"}, {"question": "Say 1"})
        other = me2(*arguments)
        assert len(server.requests) == 2
    assert (other.code, output.read_bytes()) == (2, before)
    assert "Line 1 of the input is not the one" in other.err


def test_a_spent_budget_is_said_once_and_more_of_it_goes_on(me2: Me2, tmp_path: Path) -> None:
    file, output = questions(tmp_path / "in.jsonl", 30), tmp_path / "out.jsonl"
    with OpenAIServer(echo) as server:
        arguments = ask(server, file, "--output", str(output), "--max-tokens", "20")
        done = me2(*arguments, "--budget-tokens", "100")
        asked = len(server.requests)
        assert 0 < asked < 10
        more = me2(*arguments, "--budget-tokens", "100000")
        assert len(server.requests) == 30
    assert (done.code, more.code) == (3, 0)
    assert f"{30 - asked} questions were not asked: the budget is spent\n" in done.err
    assert "line" not in done.err
    assert [one["best"]["answer"] for one in read(output)] == [str(number) for number in range(30)]


def test_it_abstains_and_says_what_stopping_saved(me2: Me2, tmp_path: Path) -> None:
    def reply(request: Request) -> Any:
        sure = request.text == "Say 1"
        return Reply(f"The answer is {1 if sure else request.number}.", honours_n=False)

    file = write(tmp_path / "in.jsonl", {"question": "Say 1"}, {"question": "anything"})
    more = ["-n", "4", "--stop", "sure", "--min-confidence", "0.7", "--max-concurrency", "1"]
    with OpenAIServer(reply) as server:
        arguments = ask(server, file, *more, "--output", str(tmp_path / "out.jsonl"))
        done = me2(*arguments)
        again = me2(*arguments)
        asked = len(server.requests)
    assert done.code == again.code == 4
    assert "2 questions: 1 answered, 1 abstained, 0 failed" in done.err
    assert f"{asked} candidates asked for, {8 - asked} saved; {asked} calls" in done.err
    assert [one["best"]["abstained"] for one in read(tmp_path / "out.jsonl")] == [False, True]


def test_a_failed_candidate_shows_in_the_exit_code(me2: Me2, tmp_path: Path) -> None:
    file = questions(tmp_path / "in.jsonl", 1)
    with OpenAIServer([Reply("The answer is 0.", honours_n=False), error(400)]) as server:
        done = me2(*ask(server, file, "-n", "2", "--max-concurrency", "1"))
    assert done.code == 3
    assert "1 answered, 0 abstained, 0 failed" in done.err


def test_a_dry_run_counts_what_is_left_and_writes_nothing(me2: Me2, tmp_path: Path) -> None:
    file, output = questions(tmp_path / "in.jsonl", 3), tmp_path / "out.jsonl"
    with OpenAIServer(echo) as server:
        arguments = ask(server, file, "--output", str(output), "--max-tokens", "100")
        dry = me2(*arguments, "--dry-run")
        assert server.requests == []
        assert not output.exists()
        assert me2(*arguments).code == 0
        rest = me2(*arguments, "--dry-run")
    assert (dry.code, rest.code) == (0, 0)
    assert dry.out.startswith("about 3 calls")
    assert rest.out.startswith("no calls")


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["--input", "none.jsonl"], 2, "Cannot read none.jsonl"),
        (["--input", "-"], 1, "- holds no questions"),
        (["Q?", "--input", "-"], 2, "not both"),
        (["Q?", "--output", "x.jsonl"], 2, "--output goes with --input"),
        ([], 2, "Give a question"),
    ],
)
def test_wrong_usage(me2: Me2, arguments: list[str], code: int, word: str) -> None:
    done = me2("ask", "--model", "openai/test", "--scorer", "shortest", *arguments)
    assert (done.code, done.out) == (code, "")
    assert word in done.err


def test_killed_half_way_it_goes_on_where_it_was(me2: Me2, tmp_path: Path) -> None:
    file, output = questions(tmp_path / "in.jsonl", 6), tmp_path / "out.jsonl"
    running: list[subprocess.Popen[bytes]] = []

    def reply(request: Request) -> Any:
        if request.number == 3:
            os.kill(running[0].pid, signal.SIGKILL)
        return echo(request)

    with OpenAIServer(reply) as server:
        arguments = ask(server, file, "--output", str(output), "--max-concurrency", "1")
        command = [str(Path(sys.executable).parent / "me2"), *arguments]
        # The list is filled before the command, which takes a second to start, can ask anything.
        running.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        assert running[0].wait(120) == -signal.SIGKILL
        before = output.read_bytes()
        assert [one["best"]["answer"] for one in read(output)] == ["0", "1", "2"]
        output.write_bytes(before + b'{"line": 4, "inp')  # as a kill in the middle of writing leaves it
        done = me2(*arguments)
        counted = Counter(request.text for request in server.requests)
    assert done.code == 0
    assert output.read_bytes().startswith(before)
    assert [one["best"]["answer"] for one in read(output)] == ["0", "1", "2", "3", "4", "5"]
    assert counted == {f"Say {number}": 2 if number == 3 else 1 for number in range(6)}
    assert "6 questions: 6 answered (3 of them before)" in done.err


def answered(number: int) -> dict[str, Any]:
    result = BestOfNResult(candidates=(), asked=2).model_dump(mode="json")
    return {"best": {"answer": str(number)}, "result": result}


def test_lines_stand_in_order_when_the_file_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with AnswerFile(path, {"n": 4}, 4) as file:
        for number in (3, 1):
            file.write(number, f"row {number}", answered(number))
        file.close()  # as a kill leaves it
    assert [one["line"] for one in read(path)] == [3, 1]
    with AnswerFile(path, {"n": 4}, 4) as file:
        found = file.find(3, "row 3")
        file.write(2, "row 2", answered(2))
        file.finish()
    assert [one["line"] for one in read(path)] == [1, 2, 3]
    assert found is not None
    assert set(found) == {"input", "summary", "incomplete"}  # no results in memory
    assert (found["summary"].samples_asked, found["summary"].samples_saved) == (2, 2)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "out.jsonl", {"line": 1, "input": "x", "settings": {}, "result": {"score": 1}})
    with pytest.raises(ConfigurationError, match="did not write"):
        AnswerFile(path, {}, 1)
