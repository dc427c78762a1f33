"""Order answers that you already have, offline, with the bundled scorer."""

from me2sdk import rerank

question = "Ana buys 3 boxes of 12 pens and gives away 5 pens. How many pens has she left?"
outputs = [
    "She has 12 - 5 = 7 pens a box, so 3 * 7 = 21.\n#### 21",
    "3 boxes hold 3 * 12 = 36 pens. She gives away 5, so 36 - 5 = 31 are left.\n#### 31",
    "3 * 12 = 38. Hmm, wait. 3 * 12 = 38. Let me see. 38 - 5 = 33.\n#### 33",
]
result = rerank(question, outputs)
for rank, candidate in enumerate(result.candidates, start=1):
    print(
        f"{rank}. reward {candidate.score:+.2f}, answer {candidate.answer}: {candidate.response.splitlines()[0]}"
    )
