"""Sixty questions at once: within one limit, each result written down when it is there, and what it all came to.

Offline: recorded samples of a real 7B model on MATH-500 stand in for fresh ones, and one question fails on purpose.
With a model of your own pass its name: ``model="openai/gpt-4o-mini"``.
"""

import json
import tempfile
from importlib import resources
from pathlib import Path

from me2sdk import best_of_n_many

lines = (resources.files("me2sdk") / "data" / "demo_math500.jsonl").read_text("utf-8").splitlines()
records = [json.loads(line) for line in lines]
recorded = {record["question"]: iter(record["candidates"]) for record in records}
del recorded[records[7]["question"]]


def model(messages: list[dict[str, str]], **params: object) -> str:
    """Stands for a client that samples: each call brings the next recorded answer, or fails."""
    return next(recorded[messages[-1]["content"]])


with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "answers.jsonl"
    with path.open("w", encoding="utf-8") as file:
        many = best_of_n_many(
            (record["question"] for record in records),  # a generator is not read ahead
            model=model,
            n=8,
            stop=0.95,
            min_confidence=0.7,
            max_concurrency=4,
            on_result=lambda place, result: print(place, result.model_dump_json(), file=file),
        )
    print(f"{len(path.read_text('utf-8').splitlines())} lines written")

for place, result in enumerate(many.results):  # in the order of the questions, whichever was done first
    if hasattr(result, "error"):
        print(f"question {place} failed: {result.error}")
summary = many.summary
print(f"{summary.answered} answered, {summary.abstained} abstained, {summary.failed} failed")
print(
    f"{summary.samples_asked} samples asked for, {summary.samples_saved} saved, {summary.usage.calls} calls"
)
