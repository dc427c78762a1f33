import gzip
import json
from pathlib import Path

import pytest

from recipes import demo_data
from recipes.demo_data import Part, main, read_modern
from recipes.sources import CandidateSet


def row(number: int, candidates: int) -> dict[str, object]:
    return {
        "question": f"How much is {number} + 1?",
        "gold": str(number + 1),
        "candidates": [
            {"text": f"It is {number + place}.", "correct": place == 1, "model": "m"}
            for place in range(candidates)
        ],
    }


def write(folder: Path, name: str, *rows: object) -> None:
    with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(one) + "\n" for one in rows)


def test_a_part_is_drawn_by_the_text_alone(tmp_path: Path) -> None:
    rows = [row(number, 6) for number in range(20)]
    write(tmp_path, "set", *rows)
    part = read_modern(tmp_path, Part("set", questions=5, candidates=4))
    assert len(part) == 5
    assert all(len(one["candidates"]) == len(one["correct"]) == 4 for one in part)  # type: ignore[arg-type]
    turned = [{**one, "candidates": one["candidates"][::-1]} for one in reversed(rows)]  # type: ignore[index]
    for one in turned:
        for candidate in one["candidates"]:
            candidate["correct"] = not candidate["correct"]
    write(tmp_path, "set", *turned)
    again = read_modern(tmp_path, Part("set", questions=5, candidates=4))
    assert [one["candidates"] for one in again] == [one["candidates"] for one in part]
    assert [one["correct"] for one in again] != [one["correct"] for one in part]


def test_correctness_stays_with_its_text(tmp_path: Path) -> None:
    write(tmp_path, "set", row(3, 6))
    ((one),) = read_modern(tmp_path, Part("set", questions=5, candidates=6))
    right = [text for text, correct in zip(one["candidates"], one["correct"], strict=True) if correct]  # type: ignore[call-overload]
    assert right == ["It is 4."]


def test_a_question_that_stands_twice_is_taken_once(tmp_path: Path) -> None:
    write(tmp_path, "set", row(3, 6), row(3, 6), row(4, 6))
    assert len(read_modern(tmp_path, Part("set", questions=5, candidates=6))) == 2


def test_only_what_is_given_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_data, "MODERN", {"some": Part("set", questions=1, candidates=2)})
    write(tmp_path, "set", row(3, 6), row(4, 6))
    main(modern=tmp_path, out=tmp_path)
    assert [file.name for file in tmp_path.glob("demo_*")] == ["demo_some.jsonl"]
    (line,) = (tmp_path / "demo_some.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line).keys() == {"question", "candidates", "correct"}


def test_older_sets_keep_solution_and_answer_apart() -> None:
    candidates = CandidateSet(
        question="Q", traces=("a", "b"), correct=(True, False), answers=("1", ""), models=("", "")
    )
    line = demo_data.record(candidates)
    told = dict(zip((one["reasoning_content"] for one in line["candidates"]), line["correct"], strict=True))  # type: ignore[attr-defined]
    assert told == {"a": True, "b": False}
    assert {one["content"] for one in line["candidates"]} == {"#### 1", "(no answer)"}  # type: ignore[attr-defined]


def test_the_bundled_files_hold_what_the_recipe_says() -> None:
    folder = Path(demo_data.__file__).parent.parent / "me2sdk" / "data"
    for name, part in demo_data.MODERN.items():
        rows = [json.loads(line) for line in (folder / f"demo_{name}.jsonl").read_text("utf-8").splitlines()]
        assert len({one["question"] for one in rows}) == part.questions
        assert max(len(one["candidates"]) for one in rows) == part.candidates
        assert all(len(one["candidates"]) == len(one["correct"]) for one in rows)
