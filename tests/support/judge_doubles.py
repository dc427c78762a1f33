"""Traces to judge, and what judges of them say."""

from __future__ import annotations

from collections.abc import Callable

from me2sdk.dag import DAGBuilder, ReasoningDAG
from me2sdk.schema import Step


def prefers(word: str) -> Callable[[str, str], str]:
    """A judge with judgement: the trace with ``word`` is better, wherever it stands."""

    def judge(first: str, second: str) -> str:
        return "tie" if (word in first) == (word in second) else "first" if word in first else "second"

    return judge


def make_dag(*texts: str, branch: str = "Alternatively, try 3 * 4.") -> ReasoningDAG:
    """Steps in a line, with ``branch`` as a dead end off the first."""
    builder = DAGBuilder()
    builder.add(Step(texts[0], "\n\n"), "continue")
    builder.add(Step(branch, "\n\n"), "continue")
    for number, text in enumerate(texts[1:]):
        builder.add(Step(text, "\n\n"), "continue" if number else "backtrack", [0])
    return builder.build()


GOOD = make_dag("We need 3 + 4. GOOD", "3 + 4 = 7. GOOD", "So the answer is \\boxed{7}. GOOD")
POOR = make_dag("Hmm, 3 and 4.", "Perhaps 7?", "Well, \\boxed{7}.")
