"""An application that asks a model once, and the same one returning the best of six answers.

Offline: answers of current models to 60 questions of reasoning-gym ship with me2sdk and stand in for fresh samples.
With a model of your own pass ``model="openai/gpt-4o-mini"``, or a client as a function.
"""

import json
from collections import defaultdict
from importlib import resources

from me2sdk import best_of_n

lines = (resources.files("me2sdk") / "data" / "demo_reasoning_gym.jsonl").read_text("utf-8").splitlines()
records = [json.loads(line) for line in lines]
recorded = {record["question"]: record["candidates"] for record in records}
asked: dict[str, int] = defaultdict(int)


def model(messages: list[dict[str, str]], **params: object) -> str:
    """Stands for a client that samples: each call brings the next recorded answer."""
    question = messages[-1]["content"]
    asked[question] += 1
    return recorded[question][(asked[question] - 1) % len(recorded[question])]


def app(question: str) -> str:
    """The application as it was: one call, one answer."""
    return model([{"role": "user", "content": question}])


def better_app(question: str) -> str:
    """The same with me2sdk: six calls, and the answer that most of them give."""
    result = best_of_n(question, model=model, n=6)
    return result.best.response


right = {"first answer": 0, "best of six": 0}
for record in records:
    correct = dict(zip(record["candidates"], record["correct"], strict=True))
    for name, answer in (("first answer", app), ("best of six", better_app)):
        right[name] += correct[answer(record["question"])]
        asked.clear()
for name, count in right.items():
    print(f"{name}: {count} of {len(records)} questions right")
