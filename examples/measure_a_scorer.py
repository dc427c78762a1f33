"""How much would best-of-k help? Exact curves from one set of scored samples, and the vote beside them.

The samples are recorded answers of eight current models to MATH questions of level 5, one answer each.
"""

import json
from importlib import resources

from me2sdk import best_of_n_curve, pass_at_k, rerank

lines = (resources.files("me2sdk") / "data" / "demo_math_l5.jsonl").read_text("utf-8").splitlines()
records = [json.loads(line) for line in lines]
correct = [record["correct"] for record in records]

scores, voted = [], 0
for record in records:
    result = rerank(record["question"], record["candidates"])
    by_place = sorted(result.candidates, key=lambda candidate: candidate.index)
    scores.append([candidate.score for candidate in by_place])
    voted += record["correct"][result.best.index]

curve = best_of_n_curve(scores, correct)
for k in (1, 2, 4, 8):
    low, high = curve.low[k - 1], curve.high[k - 1]
    print(
        f"best of {k} by reward: {curve.accuracy[k - 1]:.1%} ({low:.1%} to {high:.1%}); "
        f"at best {pass_at_k(correct, k):.1%}"
    )
print(f"the default choice of 8, which votes first: {voted / len(records):.1%}")
