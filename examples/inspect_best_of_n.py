"""Inspect: the same task with one answer a question and with the best of four, offline."""

import itertools
import tempfile

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import match
from inspect_ai.solver import generate

from me2sdk.adapters.inspect_ai import best_of_n, thinking_reward

DRAFTS = {
    "pens": [
        "3 * 12 = 38. Hmm, maybe 34? So 38 - 5 = 33. The answer is 33.",
        "3 boxes of 12 hold 3 * 12 = 36 pens. Giving away 5 leaves 36 - 5 = 31. The answer is 31.",
    ],
    "km": [
        "120 / 1.5 = 60, or 120 * 1.5 = 170. Hmm. The answer is 60.",
        "120 km in 1.5 hours: 120 / 1.5 = 80 km in an hour. The answer is 80.",
    ],
}
QUESTIONS = [
    Sample("Ana buys 3 boxes of 12 pens and gives away 5 pens. How many pens has she left?", target="31"),
    Sample("A train covers 120 km in 1.5 hours. How many km in an hour?", target="80"),
]
turns = {word: itertools.cycle(drafts) for word, drafts in DRAFTS.items()}


def recorded(messages: list, *settings: object) -> ModelOutput:
    """Stands for a real model: eval(task, model="anthropic/…")."""
    word = next(word for word in turns if word in messages[-1].text)
    output = ModelOutput.from_content("recorded", next(turns[word]))
    output.usage = ModelUsage(input_tokens=20, output_tokens=20, total_tokens=40)
    return output


with tempfile.TemporaryDirectory() as folder:
    for name, solver in {"one answer": generate(), "best of 4": best_of_n(n=4)}.items():
        task = Task(dataset=QUESTIONS, solver=solver, scorer=[match(numeric=True), thinking_reward()])
        model = get_model("mockllm/model", custom_outputs=recorded, memoize=False)
        (log,) = eval(task, model=model, log_dir=folder, display="none")
        found = {score.name: next(iter(score.metrics.values())).value for score in log.results.scores}
        print(f"{name}: accuracy {found['match']:.0%}, mean reward {found['thinking_reward']:+.2f}")
        for sample in log.samples:
            choice = sample.store.get("me2sdk_choice")
            print("  ", sample.output.completion, f"({choice['confidence']:.0%} sure)" if choice else "")
