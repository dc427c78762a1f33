"""How many samples `stop` saves, and what that costs, on 60 recorded MATH-500 questions.

Offline: recorded samples of a real 7B model stand in for fresh ones. With a model of your own pass its name:
``model="openai/gpt-4o-mini"``.
"""

import json
from importlib import resources

from me2sdk import best_of_n

lines = (resources.files("me2sdk") / "data" / "demo_math500.jsonl").read_text("utf-8").splitlines()
records = [json.loads(line) for line in lines]

for stop in (None, "sure", 0.99, 0.95, 0.9):
    asked, right = 0, 0
    for record in records:
        samples = iter(record["candidates"])
        result = best_of_n(
            record["question"],
            model=lambda messages, samples=samples, **params: next(samples),
            n=8,
            max_concurrency=1,  # the recorded samples in their order
            stop=stop,
        )
        asked += result.asked
        right += record["correct"][record["candidates"].index(result.best.response)]
    print(f"stop={stop!r:6}: {asked} of {8 * len(records)} samples, {right} of {len(records)} right")
