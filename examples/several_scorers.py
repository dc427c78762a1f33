"""Several scorers as one: weights that you set, and weights that come from labelled questions, offline."""

import json
from importlib import resources

from me2sdk import rerank
from me2sdk.scorers import Ensemble

QUESTION = "What is 3 + 4 * 2?"
ANSWERS = [
    "4 * 2 = 8, and 3 + 8 = 11.",
    "3 + 4 = 7, and 7 * 2 = 15.",
    "Let me see. Well, 4 * 2 = 8, as I said, 4 * 2 = 8. So 3 + 8 = 11, I think, or so.",
]

both = Ensemble({"mini": 2, "shortest": 1})  # names or objects; by name alone: scorer="mini+shortest"
result = rerank(QUESTION, ANSWERS, scorer=both, select="best")
for candidate in result.candidates:
    parts = ", ".join(f"{name} {value:+.2f}" for name, value in candidate.scores.items())
    print(f"{candidate.score:+.2f} ({parts}): {candidate.response[:40]}")

# Weights that order right answers above wrong ones, from labelled questions: here recorded answers of eight current
# models to MATH questions of level 5. Take a few hundred questions of your own, here or in a JSONL file.
lines = (resources.files("me2sdk") / "data" / "demo_math_l5.jsonl").read_text("utf-8").splitlines()
labelled = [
    (record["question"], record["candidates"], record["correct"]) for record in map(json.loads, lines)
]
fitted = Ensemble.fit(["mini", "shortest"], labelled)
print("fitted weights:", {name: round(weight, 2) for name, weight in fitted.weights.items()})
