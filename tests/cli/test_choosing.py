"""What ``me2 ask`` and ``me2 rerank`` say of votes and confidence, and how they are told to choose."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply, Request, error

from me2sdk import BestOfNResult, RerankResult
from me2sdk.cli import io

Me2 = Callable[..., Any]

SEVEN = "She has 3 + 4 = 7 apples.\n#### 7"
EIGHT = "She has 3 + 4 = 8 apples.\n#### 8"
QUESTION = "Ana has 3 apples and gets 4. How many has she?"


def each(*texts: str) -> list[Reply]:
    return [Reply(text, honours_n=False) for text in texts]


def ask(server: OpenAIServer, *more: str) -> list[str]:
    where = ["--model", "openai/test", "--api-base", server.url, "--max-concurrency", "1"]
    return ["ask", QUESTION, *where, *more]


def lines(path: Path, *candidates: list[Any]) -> str:
    records = [{"question": QUESTION, "candidates": texts} for texts in candidates]
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    return str(path)


def cells(table: str) -> list[list[str]]:
    """The rows of a table, heads first."""
    rows = [line.replace("┃", "│").split("│")[1:-1] for line in table.splitlines() if line[:1] in "│┃"]
    return [[cell.strip() for cell in row] for row in rows if row]


def test_ask_goes_by_agreement_and_says_votes_and_confidence(me2: Me2) -> None:
    with OpenAIServer(each(SEVEN, EIGHT, EIGHT, EIGHT)) as server:
        done = me2(*ask(server, "-n", "4"))
    assert (done.code, done.out) == (0, EIGHT + "\n")
    assert "answer 8: 3 of 4 votes, confidence " in done.err
    assert "%, chosen by agreement and reward\n" in done.err
    heads, first, second, *_, last = cells(done.err)
    assert heads == ["rank", "reward", "length", "answer", "votes", "confidence"]
    assert (first[3:5], second[3:]) == (["8", "3"], ["8", "", ""])
    assert last[3:5] == ["7", "1"]
    assert float(first[5].rstrip("%")) > float(last[5].rstrip("%")) > 0


def test_ask_without_a_scorer_has_no_rewards(me2: Me2) -> None:
    with OpenAIServer(each(SEVEN, EIGHT, EIGHT)) as server:
        done = me2(*ask(server, "-n", "3", "--scorer", "none", "--json"))
    result = BestOfNResult.model_validate_json(done.out)
    assert (result.scorer, result.best.answer, result.chosen_by) == ("", "8", "agreement")
    assert [candidate.score for candidate in result.candidates] == [None] * 3


def test_ask_stops_early(me2: Me2) -> None:
    with OpenAIServer(SEVEN) as server:
        done = me2(*ask(server, "-n", "8", "--stop", "sure"))
        sure = me2(*ask(server, "-n", "8", "--stop", "0.9", "--json"))
    assert done.code == 0
    assert "votes, confidence" in done.err
    assert ", stopped early after 5 of 8\n" in done.err
    result = BestOfNResult.model_validate_json(sure.out)
    assert result.stopped_early
    assert result.asked < 8


def by_model(answers: dict[str, Any]) -> Callable[[Request], Reply]:
    def reply(request: Request) -> Reply:
        given = answers[request.body["model"]]
        return Reply(given if isinstance(given, str) else next(given), honours_n=False)

    return reply


def test_ask_asks_the_stronger_model_where_it_is_not_sure(me2: Me2) -> None:
    weak = iter([SEVEN, EIGHT, "The answer is 9."])
    with OpenAIServer(by_model({"test": weak, "strong": EIGHT})) as server:
        done = me2(*ask(server, "-n", "3", "--escalate", "openai/strong"))
        assert [request.body["model"] for request in server.requests] == ["test"] * 3 + ["strong"]
    assert (done.code, done.out) == (0, EIGHT + "\n")
    assert ", asked the stronger model\n" in done.err
    assert "answer 8: 2 of 4 votes (weight 2.5 of 4.5), confidence" in done.err


def test_ask_leaves_the_stronger_model_alone_where_it_is_sure(me2: Me2) -> None:
    with OpenAIServer(by_model({"test": SEVEN})) as server:
        done = me2(*ask(server, "-n", "8", "--escalate", "openai/strong"))
        assert {request.body["model"] for request in server.requests} == {"test"}
    assert done.code == 0
    assert "stronger" not in done.err


def test_a_dry_run_counts_what_stopping_and_the_stronger_model_leave_open(me2: Me2) -> None:
    with OpenAIServer(SEVEN) as server:
        stops = me2(*ask(server, "--stop", "sure", "--max-tokens", "100", "--dry-run"))
        asks_stronger = me2(*ask(server, "--escalate", "openai/strong", "--dry-run"))
        assert server.requests == []
    assert (stops.code, asks_stronger.code) == (0, 0)
    assert " 500 to 800 out" in stops.out
    assert asks_stronger.out.startswith("about 1 to 2 calls")
    assert "openai/strong" in asks_stronger.out


def test_ask_chooses_among_what_came_within_the_deadline(me2: Me2) -> None:
    with OpenAIServer(lambda request: Reply(SEVEN, honours_n=False)) as server:
        server.gate.clear()
        done = me2(*ask(server, "-n", "2", "--deadline", "0.2"))
    assert (done.code, done.out) == (1, "")
    assert "Only 0 of 2 candidates came back" in done.err


def test_ask_abstains_and_still_prints_the_answer(me2: Me2) -> None:
    with OpenAIServer(each(SEVEN, EIGHT, "The answer is 9.")) as server:
        done = me2(*ask(server, "-n", "3", "--min-confidence", "0.9"))
    assert done.code == io.ABSTAINED == 4
    assert done.out in (SEVEN + "\n", EIGHT + "\n", "The answer is 9.\n")
    assert "\nabstained: the confidence of 0." in done.err
    assert done.err.endswith(" is too low, --min-confidence is 0.9\n")


def test_ask_that_abstains_says_so_on_stderr_beside_json(me2: Me2) -> None:
    with OpenAIServer(["I like apples."]) as server:
        done = me2(*ask(server, "-n", "1", "--min-confidence", "0.5", "--json"))
    assert BestOfNResult.model_validate_json(done.out).abstained
    assert done.err == "abstained: the confidence is not known, --min-confidence is 0.5\n"
    assert done.code == 4


def test_abstaining_weighs_more_than_a_failed_candidate(me2: Me2) -> None:
    replies = [error(400), *each(SEVEN, EIGHT)]
    with OpenAIServer([*replies, error(400)]) as server:
        unsure = me2(*ask(server, "-n", "3", "--min-confidence", "0.99"))
    with OpenAIServer([*replies, error(400)]) as server:
        content = me2(*ask(server, "-n", "3", "--min-confidence", "0.01"))
    for done in (unsure, content):
        assert " (generate): " in done.err
    assert (unsure.code, content.code) == (4, 3)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--stop", "soon"], "--stop is a chance such as 0.95, or sure"),
        (["--stop", "2"], "stop is a chance"),
        (["--stop", "0.9", "--select", "best"], "counts votes"),
        (["--answer", "last line"], "There is no answer='last line'"),
        (["--min-confidence", "2"], "min_confidence"),
        (["--deadline", "0"], "deadline"),
        (["--scorer", "none", "--select", "best"], "needs rewards"),
        (["--scorer", "none", "--quantization", "int8"], "--quantization is for a scorer"),
        (["--answer", "none", "--escalate", "openai/strong"], "escalate needs answers"),
        (["--select", "first"], "Invalid value for '--select'"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_a_call(me2: Me2, options: list[str], word: str) -> None:
    with OpenAIServer(SEVEN) as server:
        done = me2(*ask(server, *options))
        assert server.requests == []
    assert (done.code, done.out) == (2, "")
    assert word in done.err


def test_rerank_prints_the_outcome_below_its_table(me2: Me2, tmp_path: Path) -> None:
    done = me2("rerank", lines(tmp_path / "in.jsonl", [SEVEN, EIGHT, EIGHT]))
    assert done.code == 0
    table, _, outcome = done.out.rstrip("\n").rpartition("\n")
    assert outcome.startswith("answer 8: 2 of 3 votes, confidence ")
    assert outcome.endswith("%, chosen by agreement and reward")
    assert cells(table)[0][-2:] == ["votes", "confidence"]


def test_rerank_of_free_text_shows_no_votes(me2: Me2, tmp_path: Path) -> None:
    texts = ["Apples are red and sweet.", "Apples are red and sweet, mostly.", "Boats float."]
    done = me2("rerank", lines(tmp_path / "in.jsonl", texts), "--answer", "similar")
    assert cells(done.out)[0] == ["rank", "reward", "length", "answer"]
    assert done.out.endswith("\nchosen by agreement, confidence not known\n")


def test_rerank_says_when_no_candidate_could_be_read(me2: Me2, tmp_path: Path) -> None:
    done = me2("rerank", lines(tmp_path / "in.jsonl", [" "]))
    assert done.out.endswith("no candidate could be read\n")


def test_a_vote_that_could_not_be_held_is_nobodys_candidate(me2: Me2, tmp_path: Path) -> None:
    file = lines(tmp_path / "in.jsonl", ["Red.", "Blue."])
    done = me2("rerank", file, "--select", "vote")
    assert "all candidates (select): NoVote" in done.err


@pytest.mark.parametrize(
    ("answer", "best"),
    [("auto", "7"), (r"color (\w+)", "red"), ("json:fruit.color", "red"), ("none", None)],
)
def test_rerank_compares_what_it_is_told(me2: Me2, tmp_path: Path, answer: str, best: str | None) -> None:
    texts = [
        'color red {"fruit": {"color": "red"}}\n#### 7',
        'color blue {"fruit": {"color": "blue"}}\n#### 7',
    ]
    file = lines(tmp_path / "in.jsonl", [texts[0], texts[0] + " ", texts[1]])
    done = me2("rerank", file, "--answer", answer, "--json")
    result = RerankResult.model_validate(json.loads(done.out)["result"])
    assert result.best.answer == best
    assert [one.votes for one in result.answers] == {"auto": [3], "none": []}.get(answer, [2, 1])


def test_rerank_without_a_scorer(me2: Me2, tmp_path: Path) -> None:
    done = me2("rerank", lines(tmp_path / "in.jsonl", [SEVEN, EIGHT, EIGHT]), "--scorer", "none")
    assert done.code == 0
    assert {row[1] for row in cells(done.out)[1:]} == {"–"}
    assert done.out.rstrip().endswith("chosen by agreement")


def test_rerank_abstains_where_nothing_failed(me2: Me2, tmp_path: Path) -> None:
    sure, unsure = [SEVEN] * 4, [SEVEN, EIGHT]
    least = ["--min-confidence", "0.7"]
    file = lines(tmp_path / "in.jsonl", sure, unsure)
    done = me2("rerank", file, *least, "--json")
    assert done.code == 4
    assert [json.loads(line)["result"]["abstained"] for line in done.out.splitlines()] == [False, True]
    assert done.err.startswith("line 2: abstained: the confidence of ")
    assert me2("rerank", lines(tmp_path / "sure.jsonl", sure), *least).code == 0
    failing = me2("rerank", lines(tmp_path / "bad.jsonl", sure, unsure, []), *least)
    assert failing.code == 3
    assert "line 2: abstained" in failing.err


def test_rerank_that_is_resumed_abstains_again(me2: Me2, tmp_path: Path) -> None:
    arguments = ["rerank", lines(tmp_path / "in.jsonl", [SEVEN, EIGHT]), "--min-confidence", "0.9"]
    arguments += ["--output", str(tmp_path / "out.jsonl"), "--json"]
    first, second = me2(*arguments), me2(*arguments)
    assert first == second
    assert first.code == 4


@pytest.mark.parametrize(
    "changed",
    [["--answer", "text"], ["--min-confidence", "0.5"], ["--scorer", "none"], ["--select", "vote"]],
)
def test_rerank_does_not_resume_with_another_way_to_choose(
    me2: Me2, tmp_path: Path, changed: list[str]
) -> None:
    arguments = ["rerank", lines(tmp_path / "in.jsonl", [SEVEN]), "--output", str(tmp_path / "out.jsonl")]
    assert me2(*arguments).code == 0
    refused = me2(*arguments, *changed)
    assert refused.code == 2
    assert f"other settings ({changed[0][2:].replace('-', '_')}" in refused.err


def test_score_passes_a_field_named_result_through(me2: Me2) -> None:
    record = {"text": SEVEN, "result": {"abstained": True}}
    done = me2("score", "-", "--json", stdin=json.dumps(record))
    assert done.code == 0
    assert json.loads(done.out)["result"] == {"abstained": True}


def test_help_lists_the_exit_codes_and_the_forms_of_an_answer(me2: Me2) -> None:
    codes = " ".join(me2("--help").out.split())
    assert "4 done, but less sure than --min-confidence asks" in codes
    shown = " ".join(me2("ask", "--help").out.replace("│", " ").split())
    for form in ("text", "json:field.path", "tool_calls:name", "regular expression", "similar", "none"):
        assert form in shown


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "–"),
        (0.0, "0%"),
        (0.001, "<1%"),
        (0.426, "43%"),
        (0.994, "99%"),
        (0.998, ">99%"),
        (1.0, "100%"),
    ],
)
def test_a_chance_near_1_does_not_read_as_certain(share: float | None, text: str) -> None:
    assert io.percent(share) == text
