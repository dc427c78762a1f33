"""What real models answered to the SDK's prompts, good and bad, and what its readers make of it.

A line of real_answers.jsonl is an answer as a model wrote it: the model, the prompt, the form that was asked for, why
the model stopped, and the reading, which a person checked. ``benchmarks/real_models.py`` collects such answers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from me2sdk.annotate.answers import own_words, read_annotation, read_window
from me2sdk.judge.decisions import read_decision
from me2sdk.judge.reading import read_grade, read_order
from me2sdk.judge.summaries import read_summaries
from me2sdk.verify.model_verifier import read_yes_or_no

FILE = Path(__file__).resolve().parent.parent / "fixtures" / "real_answers.jsonl"
ANSWERS = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]


def reading(record: dict[str, Any]) -> Any:
    """What is read in an answer, as JSON; None where nothing is."""
    message = {"role": "assistant", "content": record["answer"]}
    said = own_words(message, record["finish_reason"])
    prompt = record["prompt"]
    if prompt == "annotate":
        one = read_annotation(said)
        return one and [one.action, *one.parents]
    if prompt == "annotate_window":
        return {str(step): [one.action, *one.parents] for step, one in read_window(said).items()}
    if prompt == "summarize":
        return sorted(read_summaries(said))
    if prompt == "verify":
        return read_yes_or_no(said)
    if prompt == "score_points":
        return read_grade(said)
    if prompt == "score_list":
        return read_order(said, 2)
    return read_decision(message, record["finish_reason"]).choice


@pytest.mark.parametrize("record", ANSWERS, ids=lambda record: f"{record['prompt']}-{record['form']}")
def test_a_real_answer_is_read_as_a_person_reads_it(record: dict[str, Any]) -> None:
    assert reading(record) == record["reading"], record["answer"]


def test_the_answers_are_of_every_prompt_and_say_who_wrote_them() -> None:
    assert all(record["model"] for record in ANSWERS)
    assert {"annotate", "annotate_window", "summarize", "aggregate"} <= {one["prompt"] for one in ANSWERS}
    assert any(record["reading"] is None for record in ANSWERS)
