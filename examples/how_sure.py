"""An application that says when it does not know, stops sampling early, and asks a stronger model where it must.

Offline: recorded samples of a real 7B model on MATH-500 stand in for fresh ones, and a recorded right answer for what a
stronger model would say. With models of your own pass their names: ``model="openai/gpt-4o-mini"``.
"""

import json
from importlib import resources

from me2sdk import Escalate, best_of_n

lines = (resources.files("me2sdk") / "data" / "demo_math500.jsonl").read_text("utf-8").splitlines()
records = [json.loads(line) for line in lines]
recorded = {record["question"]: iter(record["candidates"] * 2) for record in records}
solved = {
    record["question"]: next(
        (c for c, ok in zip(record["candidates"], record["correct"], strict=True) if ok), "I do not know."
    )
    for record in records
}


def weak(messages: list[dict[str, str]], **params: object) -> str:
    """Stands for a client that samples: each call brings the next recorded answer."""
    return next(recorded[messages[-1]["content"]])


def strong(messages: list[dict[str, str]], **params: object) -> str:
    """Stands for a stronger model."""
    return solved[messages[-1]["content"]]


told, right, asked, escalated = 0, 0, 0, 0
for record in records:
    result = best_of_n(
        record["question"],
        model=weak,
        n=8,
        max_concurrency=1,
        stop=0.95,  # until more samples would hardly change the answer
        escalate=Escalate(strong, below=0.5),
        min_confidence=0.7,
    )
    asked += result.asked
    escalated += result.escalated
    if result.abstained:
        continue
    told += 1
    right += result.best.response in {
        c for c, ok in zip(record["candidates"], record["correct"], strict=True) if ok
    }
print(
    f"{len(records)} questions, {asked} of {8 * len(records)} samples, {escalated} times the stronger model"
)
print(f"answered {told} and abstained on {len(records) - told}; {right} of the answers are right")
