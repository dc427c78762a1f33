"""Judge two traces of the same, right answer, offline.

The judge is a function that counts hedges, so it shows how judging works and nothing about how well models judge.
A real one is ``model="openai/gpt-4o-mini"``: nothing else changes.
"""

import re

from me2sdk import judge_pair

QUESTION = "What is 12 * 13?"
LEAN = "12 * 13 = 12 * 10 + 12 * 3.\n\nSo 120 + 36 = 156.\n\nSo the answer is \\boxed{156}."
WORDY = (
    "Hmm, 12 * 13. Let me think.\n\nWait, maybe 12 * 12 = 144 helps.\n\nSo 144 + 12 = 156.\n\n"
    "Wait, let me check again: 144 + 12 = 156. Yes.\n\nSo the answer is \\boxed{156}."
)


def judge(messages: list[dict[str, str]], **params: object) -> str:
    """Answers our prompts in the form that they ask for."""
    prompt = messages[0]["content"]
    code = re.search(r"hold the code (\w+)", prompt)[1]  # fences carry a code that is new in each prompt
    parts = dict(re.findall(rf"^\[begin ([\w ]+) {code}\]\n(.*?)\n\[end \1 {code}\]$", prompt, re.M | re.S))
    if "part 0" in parts:  # asked for summaries of super-nodes
        return "\n".join(
            f"[{label[5:]}] {' '.join(t.split())[:80]}" for label, t in parts.items() if "part" in label
        )
    hedges = [len(re.findall(r"\b(hmm|wait|maybe)\b", parts[f"trace {n}"], re.IGNORECASE)) for n in (1, 2)]
    decision = "Tie" if hedges[0] == hedges[1] else f"Trace {1 if hedges[0] < hedges[1] else 2}"
    return f"Trace 1 hedges {hedges[0]} times, Trace 2 {hedges[1]} times.\n<|decision|>{decision}"


verdict = judge_pair(QUESTION, LEAN, WORDY, model=judge, annotator="local")
print(
    f"better reasoned: {verdict.preference}, {verdict.agreement:.0%} of {len(verdict.aggregate)} votes agree"
)
for dimension, found in verdict.dimensions.items():
    print(f"{dimension}: {found.preference} ({found.rationale})")
print(f"{verdict.usage.calls} calls in {verdict.seconds:.1f} s")

# A judge that always says the same place is no judge: both orders are asked, so it gets a tie.
biased = judge_pair(
    QUESTION, LEAN, WORDY, model=lambda messages: "Because.\n<|decision|>Trace 1", annotator="local"
)
print(f"a judge that always says Trace 1: {biased.preference}")
