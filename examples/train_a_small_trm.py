"""Train a reward model: real TRL steps on a tiny random Llama, on pairs with one constructed fault each.

It shows the way and makes no useful model: `me2 train rm small` trains 135M parameters, `me2 train rm qlora` 8B.
"""

import tempfile
from pathlib import Path

from me2sdk import Trace, TRMScorer
from me2sdk.testing import tiny_reward_model
from me2sdk.train import (
    RewardModelConfig,
    evaluate_pairs,
    make_word_problems,
    perturb_traces,
    split_by_question,
    train_reward_model,
    write_preferences,
)

# Right solutions, each against the same one with a needless restatement or with filler; lengths are balanced.
traces = [
    Trace(question=problem.question, reasoning=problem.solution(), response=problem.reference)
    for problem in make_word_problems(250, seed=1, levels=[1, 2])
]
pairs = perturb_traces(traces, per_trace=2, dimensions=["micro_efficiency"])
training, held_out = split_by_question(pairs, 0.3)

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    write_preferences(folder / "train.jsonl", training)
    write_preferences(folder / "held_out.jsonl", held_out)
    base = tiny_reward_model(folder / "base")  # random weights; nothing is downloaded
    report = train_reward_model(
        RewardModelConfig(
            base=str(base),
            output=str(folder / "trm"),
            train=[str(folder / "train.jsonl")],
            validation=[str(folder / "held_out.jsonl")],
            max_steps=60,
            batch_size=8,
            learning_rate=6e-3,
            dtype="float32",
            max_length=1024,
            eval_steps=30,
        )
    )
    scorers = {"untrained": TRMScorer(str(base)), "trained": TRMScorer(report.output)}
    measured = evaluate_pairs(held_out, scorers)

print(f"{report.train_pairs} pairs, {report.steps} steps; {len(held_out)} held-out pairs of other questions:")
for row in measured.table():
    print(f"{row['scorer']:>10}: accuracy {row['accuracy']}, shorter wins {row['shorter wins']}")
print("The checkpoint was chosen on the same held-out pairs, so read its accuracy as slightly optimistic.")
