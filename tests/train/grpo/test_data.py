from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from me2sdk.errors import ConfigurationError
from me2sdk.train import GRPOConfig
from me2sdk.train.grpo.data import held_out_rows, training_rows


def settings(**values: Any) -> GRPOConfig:
    return GRPOConfig.model_validate({"model": "m", "output": "o", **values})


def write(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_prompts_are_chat_messages_with_what_the_settings_add(tmp_path: Path) -> None:
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "?"},
        {"role": "user", "content": "2+2"},
    ]
    path = write(
        tmp_path / "q.jsonl", {"prompt": "1+1?", "reference": "2"}, {"prompt": messages, "reference": "4"}
    )
    one, two = training_rows(settings(dataset=path, system="Solve.", instruction="Briefly."))
    assert one == {
        "prompt": [{"role": "system", "content": "Solve."}, {"role": "user", "content": "1+1?\nBriefly."}],
        "question": "1+1?",
        "reference": "2",
    }
    assert [message["content"] for message in two["prompt"]] == ["Solve.", "Hi", "?", "2+2\nBriefly."]
    assert two["question"].endswith("user: 2+2")
    assert messages[-1]["content"] == "2+2"


def test_parquet_and_named_columns(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "q.parquet"
    parquet.write_table(pyarrow.table({"ask": ["1+1?"], "gold": [2]}), path)
    [row] = training_rows(settings(dataset=str(path), prompt_column="ask", reference_column="gold"))
    assert (row["question"], row["reference"]) == ("1+1?", "2")
    with pytest.raises(ConfigurationError, match=r"Row 1 .* needs prompt or question.*It has ask, gold"):
        training_rows(settings(dataset=str(path)))
    with pytest.raises(ConfigurationError, match="Cannot read"):
        training_rows(settings(dataset="none.parquet"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no rows"),
        ("[1]\n", "Line 1 .* not a JSON object"),
        ("{\n", "is not JSON"),
        ('{"prompt": "x", "reference": " "}\n', "needs prompt or question, and reference"),
    ],
)
def test_files_that_hold_no_questions(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        training_rows(settings(dataset=str(path)))


def test_held_out_questions_are_not_trained_on(tmp_path: Path) -> None:
    both = {"question": "both", "reference": "1"}
    train = write(tmp_path / "t.jsonl", both)
    path = write(tmp_path / "h.jsonl", both, *({"question": f"q{n}", "reference": "1"} for n in range(3)))
    chosen = settings(dataset=train, held_out={"dataset": path, "count": 2})
    assert [row["question"] for row in held_out_rows(chosen)] == ["q0", "q1"]
    with pytest.raises(ConfigurationError, match="3 questions that are not trained on"):
        held_out_rows(settings(dataset=train, held_out={"dataset": path, "count": 4}))
    assert held_out_rows(settings(dataset=train)) == []
    made = settings(held_out={"count": 30}, problems={"levels": [1], "count": 300})
    trained = {row["question"] for row in training_rows(made)}
    assert len(trained) == 300
    assert not trained & {row["question"] for row in held_out_rows(made)}
