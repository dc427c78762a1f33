"""Judges for tests: model functions that read a prompt as a model would, and decide by rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from me2sdk.dag import DAGBuilder, ReasoningDAG
from me2sdk.schema import Step


@dataclass(frozen=True)
class Shown:
    """A prompt as a careful judge reads it: what stands between the fences, and nothing else."""

    prompt: str
    traces: tuple[str, str]
    parts: dict[int, str]

    @property
    def kind(self) -> str:
        if self.parts:
            return "summarize"
        if "Four assessments" in self.prompt:
            return "aggregate"
        found = re.search(r"\*\*(efficiency|effectiveness) of the (structure|steps)\*\*", self.prompt)
        assert found, self.prompt
        return f"{'macro' if found[2] == 'structure' else 'micro'}_{found[1]}"

    def __getitem__(self, number: int) -> str:
        return self.traces[number - 1]


def read(prompt: str) -> Shown:
    code = re.search(r"hold the code ([0-9a-f]{12}) open", prompt)
    assert code, prompt
    fenced = dict(
        re.findall(rf"^\[begin ([\w ]+) {code[1]}\]\n(.*?)\n\[end \1 {code[1]}\]$", prompt, re.M | re.S)
    )
    parts = {int(label[5:]): text for label, text in fenced.items() if label.startswith("part ")}
    return Shown(prompt, (fenced.get("trace 1", ""), fenced.get("trace 2", "")), parts)


class Judge:
    """A model function that summarises, and judges by ``decide(shown) -> "1", "2", "tie"`` or a whole answer."""

    def __init__(self, decide: Callable[[Shown], Any]) -> None:
        self.decide = decide
        self.prompts: list[str] = []
        self.kinds: list[str] = []
        self.conversations: list[list[dict[str, Any]]] = []
        self.__name__ = "double"

    async def __call__(self, messages: list[dict[str, Any]], **params: Any) -> Any:
        shown = read(messages[0]["content"])
        self.prompts.append(shown.prompt)
        self.kinds.append(shown.kind)
        self.conversations.append(messages)
        if shown.parts:
            return "\n".join(
                f"[{number}] {' '.join(part.split())[:60]}" for number, part in shown.parts.items()
            )
        answer = self.decide(shown)
        if hasattr(answer, "__await__"):
            answer = await answer
        names = {"1": "Trace 1", "2": "Trace 2", "tie": "Tie"}
        if answer in names:
            return f"Trace 1 is one thing, Trace 2 another.\n<|decision|>{names[answer]}"
        return answer


def prefers(word: str) -> Callable[[Shown], str]:
    """A judge with judgement: the trace with ``word`` is better, wherever it stands."""

    def decide(shown: Shown) -> str:
        held = [word in trace for trace in shown.traces]
        return "tie" if held[0] == held[1] else "1" if held[0] else "2"

    return decide


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
