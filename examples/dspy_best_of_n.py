"""DSPy, offline: ``dspy.BestOfN`` with a thinking reward, and an LM that answers with the best of four answers."""

import dspy
from dspy.utils import DummyLM

from me2sdk.adapters.dspy import BestOfNLM, results, thinking_reward

QUESTION = "Ana buys 3 boxes of 12 pens and gives away 5 pens. How many pens has she left?"
RECORDED = [
    {"reasoning": "She has 12 - 5 = 7 pens a box, so 3 * 7 = 21.", "answer": "21"},
    {"reasoning": "3 * 12 = 38. Hmm, wait. 3 * 12 = 38. Let me see. 38 - 5 = 33.", "answer": "33"},
    {
        "reasoning": "3 boxes hold 3 * 12 = 36 pens. She gives away 5, so 36 - 5 = 31 are left.",
        "answer": "31",
    },
    {"reasoning": "3 * 12 = 36 pens in the boxes, less 5 is 31.", "answer": "31"},
]
answers = iter(RECORDED * 2)


class Recorded(DummyLM):
    """Gives the recorded answers one after another; dspy.LM("openai/gpt-4o-mini") stands in its place."""

    def copy(self, **kwargs: object) -> "Recorded":
        """BestOfN copies its LM for each attempt; the copies go on where the last one stopped."""
        copied: Recorded = super().copy(**kwargs)
        copied.answers = answers
        return copied


lm = Recorded([])
lm.answers = answers
solve = dspy.ChainOfThought("question -> answer")

with dspy.context(lm=lm):  # the program runs four times, and its predictions are compared
    best = dspy.BestOfN(solve, N=4, reward_fn=thinking_reward(), threshold=float("inf"))(question=QUESTION)
print("dspy.BestOfN:", best.answer, "since", best.reasoning)

with dspy.context(
    lm=BestOfNLM(lm, n=4, cache=False)
):  # each call of the LM is answered with the best of four
    print("BestOfNLM:   ", solve(question=QUESTION).answer)
result = results(solve)[-1]
print(f"  {result.answers[0].votes} of 4 votes, confidence {result.confidence:.0%}")
for candidate in result.candidates:
    print(f"  reward {candidate.score:+.2f}  {candidate.trace.reasoning} {candidate.response}")
