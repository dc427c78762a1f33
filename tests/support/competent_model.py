"""A model that does what it is asked: it solves questions, and it annotates, summarises, judges and verifies.

``OpenAIServer(answer)`` stands for the models that the documentation names.
"""

from __future__ import annotations

import re

from support import annotate_doubles, judge_doubles
from support.fake_provider import Reply, Request

# Each ends in the same answer; the second is the best reasoned by any standard, the others waver or leave out.
SOLUTIONS = (
    "Hmm, 6 times 7. Let me see. Hmm, maybe 42. Wait, let me check: 6 * 7 = 42. Yes, 6 * 7 = 42.\n\n"
    "So the answer is \\boxed{42}.",
    "We need 6 * 7.\n\n6 * 7 = 6 * 5 + 6 * 2 = 30 + 12 = 42.\n\nSo the answer is \\boxed{42}.",
    "It should be about 40.\n\nThe answer is \\boxed{42}.",
    "6 * 7 = 36 + 6 = 42.\n\nThe answer is \\boxed{42}.",
)
_DAG_STEP = re.compile(r"can continue|^Now answer for the steps", re.MULTILINE)
_NONCE = re.compile(r"hold the code [0-9a-f]{12}")


def answer(request: Request) -> Reply:
    """The behaviour of an `OpenAIServer`."""
    prompt = str(request.body["messages"][0]["content"])
    if not _NONCE.search(prompt):  # none of our own prompts
        count = request.body.get("n") or 1
        return Reply([SOLUTIONS[(request.number + place) % len(SOLUTIONS)] for place in range(count)])
    if "Final Decision: Yes" in prompt:
        return Reply("Both say the same.\nFinal Decision: Yes")
    if "<|action|>" in prompt and _DAG_STEP.search(prompt):
        return Reply("\n".join(_annotations(annotate_doubles.asked(prompt))))
    return Reply(_judgement(judge_doubles.read(prompt)))


def _annotations(steps: list[int]) -> list[str]:
    """Step 2 goes back to the beginning, every other one goes on."""
    said = [annotate_doubles.said("backtrack 0" if step == 2 else "continue") for step in steps]
    return (
        said if len(steps) == 1 else [f"<|step|>{step}\n{one}" for step, one in zip(steps, said, strict=True)]
    )


def _judgement(shown: judge_doubles.Shown) -> str:
    if shown.parts:
        return "\n".join(f"[{number}] {' '.join(part.split())[:60]}" for number, part in shown.parts.items())
    doubts = [len(re.findall(r"\b(?:hmm|wait|maybe)\b", trace, re.IGNORECASE)) for trace in shown.traces]
    decision = "Tie" if doubts[0] == doubts[1] else f"Trace {1 if doubts[0] < doubts[1] else 2}"
    return f"Trace 1 voices {doubts[0]} doubts, Trace 2 {doubts[1]}.\n<|decision|>{decision}"
