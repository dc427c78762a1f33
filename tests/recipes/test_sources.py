import json
import zipfile
from pathlib import Path

import pytest

from me2sdk.errors import ConfigurationError
from recipes import sources


def write(path: Path, *rows: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_gsm8k(tmp_path: Path) -> None:
    answer = "He has 3+4 = <<3+4=7>>7.\n\nSo 7.\n#### 7"
    write(tmp_path / "gsm8k/train.jsonl", {"question": "How many?", "answer": answer})
    (solution,) = sources.read_gsm8k(tmp_path)
    assert solution.steps == ("He has 3+4 = <<3+4=7>>7.", "So 7.")
    assert solution.answer == "7"


def test_candidates_lose_their_marks(tmp_path: Path) -> None:
    write(
        tmp_path / "gsm8k/candidates_dev.jsonl",
        {
            "question": "How many?",
            "ground_truth": "7",
            "small": {"is_correct": False, "solution": "3+4 = <<3+4=7>>8\nA: 8"},
            "large": {"is_correct": True, "solution": "3+4 = <<3+4=7>>7\nA: 7.0"},
        },
    )
    (candidates,) = sources.read_gsm8k_candidates(tmp_path)
    assert candidates.traces == ("3+4 = 8\nA: 8", "3+4 = 7\nA: 7.0")
    assert candidates.correct == (False, True)
    assert candidates.answers == ("8", "7")
    assert candidates.models == ("small", "large")


def test_prmbench_strips_list_numbers_on_both_sides_and_drops_equal_ones(tmp_path: Path) -> None:
    same = {"original_question": "Q", "original_process": ["a"], "modified_process": ["a"]}
    for kind in sources.PRMBENCH_KINDS:
        write(tmp_path / f"prmbench/dev/{kind}.jsonl", same)
    write(
        tmp_path / "prmbench/dev/circular.jsonl",
        {
            "original_question": "Q",
            "original_process": ["1. One", "2. Two"],
            "modified_process": ["One", "1.5 is"],
        },
    )
    (pair,) = sources.read_prmbench(tmp_path, "dev")
    assert (pair.better, pair.worse, pair.kind) == ("One\nTwo", "One\n1.5 is", "circular")


def test_bigbench(tmp_path: Path) -> None:
    for task in sources.BIGBENCH_TASKS:
        write(
            tmp_path / f"bigbench_mistake/{task}.jsonl",
            {"input": task, "target": "x", "answer": "y", "steps": ["a", "b"], "mistake_index": 1},
        )
    traces = sources.read_bigbench(tmp_path)
    assert [trace.task for trace in traces] == list(sources.BIGBENCH_TASKS)
    assert (traces[0].mistake, traces[0].right, traces[0].steps) == (1, False, ("a", "b"))


def test_simplerl(tmp_path: Path) -> None:
    row = {"question": "Q", "code": ["a", "b"], "pred": ["1", "2"], "score": [True, False]}
    write(tmp_path / "simplerl/math_cot_100.jsonl", row)
    (candidates,) = sources.read_simplerl(tmp_path)
    assert (candidates.traces, candidates.correct, candidates.answers) == (
        ("a", "b"),
        (True, False),
        ("1", "2"),
    )


def said(solution: str | None, summary: str | None) -> dict[str, object]:
    return {
        "messages": [
            {"role": "System", "text": "Be an expert."},
            {"role": "Model.X", "text": solution},
            {"role": "User", "text": "Summarise."},
            {"role": "Model.X", "text": summary},
        ]
    }


def problem(answer: str) -> dict[str, object]:
    return {
        "_text": "Q",
        "_answer": answer,
        "conversations": {
            "X|0-Shot": said("It is 1,200.", "The answer is 1,200."),
            "X|5-Shot": said("It is 7.", "It is 7, not 1200.5."),
            "X|No C w/o H": said("It goes on and", None),
            "X|No C w/ H": said("hinted", "1200"),
            "X|1/3 Soln": said("given away", "1200"),
            "X|Misleading C w/o H": said("misled", "1200"),
        },
    }


@pytest.mark.parametrize("packed", [False, True])
def test_champ_reads_every_second_problem_with_an_integer_answer(tmp_path: Path, packed: bool) -> None:
    problems = {
        name: problem(answer) for name, answer in [("a", "1200"), ("b", "1200"), ("c", "n + 1"), ("d", "3")]
    }
    content = json.dumps({"problems": problems})
    where = tmp_path / "champ.whl"
    if packed:
        with zipfile.ZipFile(where, "w") as wheel:
            wheel.writestr(sources.CHAMP_FILE, content)
    else:
        (where / sources.CHAMP_FILE).parent.mkdir(parents=True)
        (where / sources.CHAMP_FILE).write_text(content, encoding="utf-8")
    (candidates,) = sources.read_champ(where)
    assert candidates.traces == ("It is 1,200.", "It is 7.", "It goes on and")
    assert candidates.correct == (True, False, False)
    assert candidates.models == ("X", "X", "X")


def test_a_missing_file_is_named_without_a_traceback_of_json(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"train\.jsonl is missing"):
        sources.read_gsm8k(tmp_path)


def test_the_split_goes_by_the_question_alone() -> None:
    questions = [f"How many apples has Tom, who has {n}?" for n in range(1000)]
    assert 150 < sum(map(sources.held_out, questions)) < 250
    assert sources.held_out(questions[0]) == sources.held_out(questions[0].upper().replace(" ", "  "))
