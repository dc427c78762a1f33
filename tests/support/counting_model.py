"""A model whose answers vary in length, and which counts tokens as providers do: for estimates and what was spent."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from support.fake_provider import Reply, Request

from me2sdk.annotate import Annotation, write_annotations
from me2sdk.dag import AttachmentPool, DAGNode
from me2sdk.llm import TokenCounter
from me2sdk.schema import Step
from me2sdk.testing import FakeModel

_WORDS = "it holds that we have the sum and then one more term because".split()


class CountingModel(FakeModel):
    """Answers questions, annotates, summarises and judges.

    Attributes:
        lengths: tokens of its answers, of which each has up to 30% more or less.
        better: which of two traces it prefers, by their texts; None for the one shown first.
        back: n makes it go back at every n-th step.
    """

    def __init__(self) -> None:
        super().__init__(
            lambda messages, **params: self._prose("answer", "\n\nSo the answer is \\boxed{42}."),
            judge=self._judgement,
            annotate=self._annotation,
            summarize=lambda part: self._prose("summary", ".", marks="[0] "),
        )
        self.counter = TokenCounter()
        self.lengths = {"answer": 80, "annotation": 45, "summary": 30, "judgement": 120}
        self.better: Callable[[str, str], bool] | None = lambda first, second: len(first) < len(second)
        self.back = 9
        self._draw = random.Random(0)

    def reply(self, request: Request) -> Reply:
        """The behaviour of an `OpenAIServer`."""
        text = self.answer(**request.body)
        return Reply(text, usage=self._tokens(request.body["messages"], request.body, text))

    async def function(self, messages: list[dict[str, Any]], **params: Any) -> Any:
        """The same as a model function."""
        text = self.answer(messages, **params)
        prompt, completion = self._tokens(messages, params, text)
        return SimpleNamespace(
            choices=[SimpleNamespace(message={"role": "assistant", "content": text}, finish_reason="stop")],
            usage=SimpleNamespace(prompt_tokens=prompt, completion_tokens=completion),
        )

    def _tokens(self, messages: list[dict[str, Any]], params: dict[str, Any], text: str) -> tuple[int, int]:
        return self.counter.request(messages, params), self.counter.text(text)

    def _judgement(self, first: str, second: str) -> str:
        better = self.better is None or self.better(first, second)
        return self._prose("judgement", f"\n<|decision|>Trace {1 if better else 2}")

    def _annotation(self, step: Step, pool: AttachmentPool, nodes: Sequence[DAGNode]) -> Annotation:
        number = len(nodes)
        back = number % self.back == self.back - 1
        found = Annotation("backtrack", (number - 2,)) if back else Annotation("continue")
        mark = f"<|step|>{number}\n" if self.calls[-1].kind == "annotate_window" else ""
        return found._replace(
            explanation=self._prose("annotation", marks=mark + "\n" + write_annotations({number: found}))
        )

    def _prose(self, kind: str, end: str = "", *, marks: str = "") -> str:
        """Words of the wanted length and ``end``; ``marks`` will be added to them."""
        wanted = self.lengths[kind] * self._draw.uniform(0.7, 1.3) - self.counter.text(marks + end)
        return " ".join(self._draw.choices(_WORDS, k=max(1, round(wanted)))) + end
