from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import OpenAIServer, Reply, Request
from support.judge_doubles import GOOD
from support.needs import needs
from support.scoring_server import ScoringServer

from me2sdk import Trace
from me2sdk.testing import FakeModel, tiny_process_reward_model, tiny_reward_model
from me2sdk.train import BestOfNReport, DagReport, PairsReport, Preference, write_preferences

Me2 = Callable[..., Any]


@pytest.fixture
def preferences(tmp_path: Path) -> str:
    path = tmp_path / "pairs.jsonl"
    write_preferences(
        path,
        [
            Preference(
                question=f"What is {number} + 4?",
                chosen=Trace(reasoning=f"{number} + 4 = {number + 4}."),
                rejected=Trace(reasoning=f"{number} + 4 = {number + 5}. So it is. So it is. Perhaps."),
                category="wrong" if number % 2 else "doubt",
                dimension="micro_effectiveness" if number % 2 else None,
            )
            for number in range(6)
        ],
    )
    return str(path)


@pytest.fixture
def candidates(tmp_path: Path) -> str:
    path = tmp_path / "candidates.jsonl"
    lines = [
        {
            "question": f"What is {number} + 4?",
            "candidates": [
                {"text": f"So \\boxed{{{number + 4}}}.", "model": "A"},
                {"text": f"Well, so \\boxed{{{number + 5}}}.", "model": "A"},
                {"text": f"It is clear: \\boxed{{{number + 4}}}.", "model": "B"},
                {"text": f"It may well be \\boxed{{{number + 6}}}.", "model": "B"},
            ],
            "reference": str(number + 4),
        }
        for number in range(3)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_pairs_prints_tables(me2: Me2, preferences: str) -> None:
    done = me2("eval", "pairs", preferences, "--scorer", "shortest", "--scorer", "longest")
    assert done.code == 0
    assert "6 pairs, 6 questions" in done.out
    for title in ("by length", "by dimension", "by category"):
        assert title in done.out
    assert "6/0/0" in done.out
    assert "0/0/6" in done.out
    assert "1.000 [1.000, 1.000]" in done.out


def test_pairs_as_json_and_resumed(me2: Me2, preferences: str, tmp_path: Path) -> None:
    output = tmp_path / "results.jsonl"
    done = me2("eval", "pairs", preferences, "--json", "--output", str(output))
    report = PairsReport.model_validate_json(done.out)
    assert {row.scorer for row in report.rows} == {"mini"}  # the default
    size = output.stat().st_size
    again = PairsReport.model_validate_json(
        me2("eval", "pairs", preferences, "--json", "--output", str(output)).out
    )
    assert again.rows == report.rows
    assert output.stat().st_size == size


def test_pairs_of_a_split(me2: Me2, preferences: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    Path(preferences).rename(folder / "validation.jsonl")
    assert me2("eval", "pairs", str(folder), "--scorer", "random").code == 0
    Path(folder / "validation.jsonl").rename(folder / "test.jsonl")
    assert me2("eval", "pairs", str(folder), "--scorer", "random", "--split", "test").code == 0


def test_pairs_with_a_server(me2: Me2, preferences: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScoringServer(lambda texts: [-float(len(text)) for text in texts]) as server:
        right = me2("eval", "pairs", preferences, "--scorer", server.url)
    assert right.code == 0
    assert "6/0/0" in right.out
    monkeypatch.setattr("me2sdk.scorers.remote.scorer._ROUND_PAUSE", 0.0)
    with ScoringServer(lambda texts: [1.0 for _ in texts], fault="500") as server:
        done = me2("eval", "pairs", preferences, "--scorer", server.url, "--scorer", "mini")
        alone = me2("eval", "pairs", preferences, "--scorer", server.url)
    assert (done.code, alone.code) == (3, 1)
    assert f"{server.url}: 12 failed with ScoringError, the first at record 0" in done.err


def always_first(request: Request) -> Reply:
    return Reply("Trace 1 is fine.\n<|decision|>Trace 1", usage=(20, 5), honours_n=False)


def test_pairs_with_a_judge(me2: Me2, preferences: str) -> None:
    two = Path(preferences).read_text().splitlines(keepends=True)[:2]
    Path(preferences).write_text("".join(two))
    with OpenAIServer(always_first) as server:
        done = me2(
            "eval", "pairs", preferences, "--judge", "openai/test", "--no-structure", "--repeats", "1",
            "--api-base", server.url,
        )  # fmt: skip
        assert len(server.requests) == 2 * 10
    assert done.code == 0
    assert "0/2/0" in done.out
    assert "orders agree 0%, prefers the first shown 100%; 20 calls" in done.out


def test_pairs_with_wrong_settings(me2: Me2, preferences: str) -> None:
    done = me2("eval", "pairs", preferences, "--output", preferences)
    assert (done.code, done.out) == (2, "")
    assert "holds lines that no measurement wrote" in done.err
    assert me2("eval", "pairs", "/no/such/file.jsonl").code == 2


@needs("matplotlib")
def test_bon_with_curve_and_csv(me2: Me2, candidates: str, tmp_path: Path) -> None:
    picture, lines, page = tmp_path / "curve.svg", tmp_path / "curve.csv", tmp_path / "report.html"
    files = ["--png", str(picture), "--csv", str(lines), "--html", str(page)]
    done = me2("eval", "bon", candidates, "--scorer", "longest", *files)
    assert done.code == 0
    assert "3 questions, 4 candidates each" in done.out
    assert "within each of 2 models" in done.out
    # Two of four agree on the right answer, and within a model nobody agrees.
    assert "confidence of auto: mean confidence 0." in done.out
    assert "accuracy 1.000, ECE 0." in done.out
    assert "AUROC –" in done.out
    assert "confidence of auto, within each of 2 models: mean confidence" in done.out
    assert "stopping before all candidates" in done.out
    assert "stopping before all candidates, within" not in done.out  # two are too few
    assert [line.split()[1] for line in done.out.splitlines() if line.startswith(" auto  ")][-5:] == [
        "0.8", "0.9", "0.95", "0.99", "sure",
    ]  # fmt: skip
    assert picture.read_text().startswith("<?xml")
    assert page.read_text("utf-8").count("<picture>") > 1
    rows = [row for row in csv.DictReader(lines.read_text().splitlines()) if row["model"] == ""]
    accuracy = {(row["method"], row["k"]): float(row["accuracy"]) for row in rows}
    assert accuracy["longest", "4"] == 0.0
    assert accuracy["shortest", "4"] == accuracy["oracle", "4"] == accuracy["majority vote", "4"] == 1.0
    assert accuracy["random", "4"] == 0.5
    assert f"wrote {picture}" in done.err


def test_bon_as_json_and_resumed(me2: Me2, candidates: str, tmp_path: Path) -> None:
    output = tmp_path / "scores.jsonl"
    done = me2("eval", "bon", candidates, "--json", "--output", str(output))
    report = BestOfNReport.model_validate_json(done.out)
    assert report.scored == {"mini": 12}
    assert [one.questions for one in report.calibrations if one.model == ""] == [3]
    assert [row.stop for row in report.stopping] == [0.8, 0.9, 0.95, 0.99, "sure"]
    size = output.stat().st_size
    again = me2("eval", "bon", candidates, "--json", "--output", str(output), "--scorer", "mini")
    assert BestOfNReport.model_validate_json(again.out).rows == report.rows
    assert output.stat().st_size == size


@pytest.fixture
def messages(tmp_path: Path) -> str:
    """Candidates as a server gives them, with log-probabilities."""
    path = tmp_path / "messages.jsonl"

    def message(text: str, logprob: float) -> dict[str, Any]:
        return {"content": text, "logprobs": {"content": [{"logprob": logprob}] * 4}}

    lines = [
        {
            "question": f"What is {number} + 4?",
            "candidates": [
                message(f"So it is clearly {number + 5}." + " Let me see." * 12, -0.9),
                message("I add them one by one. " * 5 + f"{number} + 4 = {number + 4}.", -0.1),
            ],
            "correct": [False, True],
        }
        for number in range(3)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


@pytest.mark.parametrize(
    "name", ["mini", "confidence", "confidence:tail", "mini+shortest", "mini+confidence:sum"]
)
def test_bon_takes_scorers_by_every_kind_of_name(me2: Me2, messages: str, name: str) -> None:
    done = me2("eval", "bon", messages, "--json", "--scorer", name)
    assert (done.code, done.err) == (0, "")
    report = BestOfNReport.model_validate_json(done.out)
    assert (report.scored, report.truncated) == ({name: 6}, {name: 0})
    assert report.curves()[name][-1].accuracy.mean == 1.0
    assert [row.method for row in report.rows if row.method.endswith("auto")] == [f"{name}, auto"] * 2


def test_bon_with_a_reward_model_and_a_server(me2: Me2, messages: str, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra [local]")
    model = str(tiny_reward_model(tmp_path / "model"))
    process = str(tiny_process_reward_model(tmp_path / "process"))
    with ScoringServer(lambda texts: [-float(len(text)) for text in texts]) as server:
        names = [model, f"prm:{process}", server.url]
        options = [part for name in names for part in ("--scorer", name)]
        done = me2("eval", "bon", messages, "--json", *options, "--max-tokens", "130")
    report = BestOfNReport.model_validate_json(done.out)
    assert done.code == 0
    assert report.scored == dict.fromkeys(names, 6)
    # A token of these models is a byte, so that every candidate is cut, and each scorer says so for itself.
    assert report.truncated == {model: 6, f"prm:{process}": 6, server.url: 0}


def test_bon_with_a_judge_and_weights_as_json(
    me2: Me2, messages: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grader = FakeModel(grade=lambda text: 9 if "one by one" in text else 2)
    names = ["judge:openai/test", '{"judge:openai/test": 2, "longest": 1}']
    with OpenAIServer(
        lambda request: Reply(grader.answer(request.body["messages"]), honours_n=False)
    ) as server:
        monkeypatch.setenv("OPENAI_API_BASE", server.url)
        done = me2("eval", "bon", messages, "--json", "--scorer", names[0], "--scorer", names[1])
    assert done.code == 0
    report = BestOfNReport.model_validate_json(done.out)
    assert report.scored == dict.fromkeys(names, 6)
    assert all(report.curves()[name][-1].accuracy.mean == 1.0 for name in names)


def test_bon_says_why_confidence_cannot_be_had(me2: Me2, candidates: str) -> None:
    done = me2("eval", "bon", candidates, "--scorer", "confidence")
    assert done.code == 1
    assert "confidence: 12 failed with ScoringError, the first at record 0" in done.err
    assert "came without log-probabilities" in done.err


def test_bon_from_stdin_tells_what_it_could_not_do(me2: Me2) -> None:
    record = {"question": "q", "candidates": ["I am not sure.\nIt may be anything.", ""], "reference": "5"}
    done = me2("eval", "bon", "-", "--scorer", "longest", stdin=json.dumps(record))
    assert done.code == 3
    assert "2 answers could not be compared with the reference" in done.err
    assert "confidence of auto: none for 1, whose answers could not be compared" in done.out
    assert "longest: 1 failed with InvalidTraceError, the first at record 0" in done.err
    bad = me2("eval", "bon", "-", stdin='{"question": "q", "candidates": ["a"]}')
    assert bad.code == 1
    assert "Line 1 of -" in bad.err


@pytest.fixture
def gold(tmp_path: Path) -> str:
    path = tmp_path / "gold.jsonl"
    records = [{**GOOD.to_reference(), "model": model} for model in ("M", "N")]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def test_dag_compares_annotators(me2: Me2, gold: str, tmp_path: Path) -> None:
    with OpenAIServer(lambda request: Reply("So.\n<|action|>continue", usage=(9, 3))) as server:
        done = me2(
            "eval", "dag", gold, "--model", "local", "--model", "openai/test", "--window", "1", "--window", "2",
            "--api-base", server.url, "--by-model", "--output", str(tmp_path / "x.jsonl"),
        )  # fmt: skip
    assert done.code == 0
    for text in ("all traces", "traces of M", "traces of N", "always continue", "local"):
        assert text in done.out
    assert "openai/test, window 2, samples 1" in " ".join(done.out.split())
    as_json = me2("eval", "dag", gold, "--json")
    report = DagReport.model_validate_json(as_json.out)
    assert {row.annotator for row in report.rows} == {"always continue", "local"}


def test_dag_that_fails(me2: Me2, gold: str) -> None:
    with OpenAIServer("I would rather not.") as server:
        done = me2("eval", "dag", gold, "--model", "openai/test", "--api-base", server.url)
    assert done.code == 1
    assert "2 failed with JudgeError" in done.err
    assert me2("eval", "dag", "/no/such/folder").code == 2
