from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from me2sdk import ConfigurationError, InvalidTraceError, Trace, rerank
from me2sdk.train import CandidateQuestion, read_candidates
from me2sdk.train.evaluate.journal import Journal
from me2sdk.train.evaluate.questions import add_correctness, answer_groups

DATA = Path(__file__).resolve().parent.parent.parent.parent / "me2sdk" / "data"


def write(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize(("name", "questions", "each"), [("gsm8k", 660, 4), ("champ", 40, 32)])
def test_the_bundled_candidates_can_be_read(name: str, questions: int, each: int) -> None:
    found = list(read_candidates(DATA / f"demo_{name}.jsonl"))
    assert len(found) == questions
    assert {len(one.candidates) for one in found} == {each}
    assert all(one.correct is not None and one.candidates[0].reasoning for one in found)


def test_all_forms_of_a_candidate(tmp_path: Path) -> None:
    ranked = rerank("q", ["So \\boxed{5}."]).candidates[0].model_dump(mode="json")
    record = {
        "question": [{"role": "user", "content": "q"}],
        "candidates": [
            "<think>a</think>b",
            {"role": "assistant", "reasoning_content": "a", "content": "b"},
            {"text": "<think>a</think>b", "model": "M"},
            {**ranked, "model": "N"},
            {"role": "assistant", "content": ""},
        ],
        "correct": [True, False, True, False, False],
        "other": 3,
    }
    (found,) = read_candidates(write(tmp_path / "x.jsonl", record))
    assert [(trace.reasoning, trace.response) for trace in found.candidates[:3]] == [("a", "b")] * 3
    assert found.candidates[3].answer == "5"
    assert found.candidates[4].reasoning == ""
    assert found.models == ("", "", "M", "N", "")
    assert CandidateQuestion.model_validate_json(found.model_dump_json()) == found


def test_models_and_answers_of_the_record(tmp_path: Path) -> None:
    record = {"question": "q", "candidates": ["a", "b"], "reference": "5"}
    path = write(tmp_path / "x.jsonl", {**record, "models": ["M", "N"], "answers": ["5", None]}, record)
    first, second = read_candidates(path)
    assert (first.models, first.answers) == (("M", "N"), ("5", None))
    assert (second.models, second.answers, second.correct) == ((), (), None)
    part = first.only([1])
    assert (part.candidates[0].reasoning, part.models, part.answers) == ("b", ("N",), (None,))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"question": "q"}, 'needs "question" and "candidates"'),
        ({"question": "q", "candidates": []}, "it has no candidates"),
        ({"question": "q", "candidates": ["a"]}, 'needs "correct".*or "reference"'),
        ({"question": "q", "candidates": ["a"], "correct": [True, False]}, '"correct" has 2 entries for 1'),
        ({"question": "q", "candidates": ["a"], "correct": [True], "models": ["x", "y"]}, '"models" has 2'),
        ({"question": "q", "candidates": [3], "correct": [True]}, "a text or an object, not int"),
        ([], 'needs "question" and "candidates"'),
    ],
)
def test_lines_that_are_no_question(tmp_path: Path, record: Any, said: str) -> None:
    good = {"question": "q", "candidates": ["a"], "correct": [True]}
    path = write(tmp_path / "x.jsonl", good, record)
    with pytest.raises(InvalidTraceError, match=f"Line 2 of .*{said}"):
        list(read_candidates(path))
    path.write_text("{")
    with pytest.raises(InvalidTraceError, match="Line 1"):
        list(read_candidates(path))
    with pytest.raises(ConfigurationError, match="Cannot read"):
        list(read_candidates(tmp_path / "nothing.jsonl"))


def question(*texts: str, **more: Any) -> CandidateQuestion:
    return CandidateQuestion(question="q", candidates=tuple(Trace.from_text(text) for text in texts), **more)


async def test_a_reference_decides_and_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [
        question("So \\boxed{5}.", "So \\boxed{6}.", "I do not\nknow.", reference="5.0"),
        question("x", correct=(True,)),
    ]
    with Journal(tmp_path / "x.jsonl") as journal:
        judged, undecided = await add_correctness(items, journal)
    assert [one.correct for one in judged] == [(True, False, False), (True,)]
    assert undecided == 1

    def never(*_: Any) -> Any:
        raise AssertionError("asked again")

    monkeypatch.setattr("me2sdk.train.evaluate.questions.averify_answer", never)
    with Journal(tmp_path / "x.jsonl") as journal:
        assert await add_correctness(items, journal) == (judged, 1)


async def test_answers_are_grouped(tmp_path: Path) -> None:
    texts = ["So \\boxed{5}.", "So \\boxed{5.0}.", "So \\boxed{6}.", "I do not know."]
    items = [
        question(*texts, correct=(True, True, False, False)),
        question("a", "b", "c", "d", correct=(True,) * 4, answers=("x", "y", "x", None)),
    ]
    with Journal(tmp_path / "x.jsonl") as journal:
        groups = await answer_groups(items, journal)
    assert groups == [[0, 0, 1, None], [0, 1, 0, None]]
    with Journal(tmp_path / "x.jsonl") as journal:
        assert await answer_groups(items, journal) == groups
    cut = CandidateQuestion(
        question="q", candidates=(Trace(reasoning="So \\boxed{5}.", truncated=True),), correct=(True,)
    )
    assert await answer_groups([cut], Journal(None)) == [[None]]
