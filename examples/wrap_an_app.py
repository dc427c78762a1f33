"""An application that asks a model once, and the same one returning the best of four answers.

Offline: the answers of real models to GSM8K questions ship with me2sdk and stand in for fresh samples. With a model of
your own pass ``model="openai/gpt-4o-mini"``, or a client as a function.
"""

import json
from collections import defaultdict
from importlib import resources

from me2sdk import best_of_n, verify_answer

lines = (resources.files("me2sdk") / "data" / "demo_gsm8k.jsonl").read_text("utf-8").splitlines()
records = [json.loads(line) for line in lines[:100]]
recorded = {record["question"]: record["candidates"] for record in records}
asked: dict[str, int] = defaultdict(int)


def model(messages: list[dict[str, str]], **params: object) -> dict[str, str]:
    """Stands for a client that samples: each call brings the next recorded answer."""
    question = messages[-1]["content"]
    asked[question] += 1
    return recorded[question][(asked[question] - 1) % 4]


def app(question: str) -> str:
    """The application as it was: one call, one answer."""
    return model([{"role": "user", "content": question}])["content"]


def better_app(question: str) -> str:
    """The same with me2sdk: four calls, and the answer that most of them give."""
    result = best_of_n(question, model=model, n=4)
    return result.best.response


right = {"first answer": 0, "best of four": 0}
for record in records:
    truths = [c["content"] for c, ok in zip(record["candidates"], record["correct"], strict=True) if ok]
    truth = truths[0].removeprefix("#### ") if truths else "no candidate is right"
    right["first answer"] += bool(verify_answer(app(record["question"]), truth))
    asked.clear()
    right["best of four"] += bool(verify_answer(better_app(record["question"]), truth))
    asked.clear()
for name, count in right.items():
    print(f"{name}: {count} of {len(records)} questions right")
