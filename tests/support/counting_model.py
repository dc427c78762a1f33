"""A model whose answers vary in length, and which counts tokens as providers do: for estimates and what was spent."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from support import annotate_doubles, judge_doubles
from support.fake_provider import Reply, Request

from me2sdk.llm import TokenCounter

_WORDS = "it holds that we have the sum and then one more term because".split()


class CountingModel:
    """Answers questions, annotates, summarises and judges.

    Attributes:
        lengths: tokens of its answers, of which each has up to 30% more or less.
        better: which of two traces it prefers, by their texts; None for the one shown first.
        back: it goes back at every so manieth step.
    """

    def __init__(self) -> None:
        self.counter = TokenCounter()
        self.lengths = {"answer": 80, "annotation": 45, "summary": 30, "judgement": 120}
        self.better: Callable[[str, str], bool] | None = lambda first, second: len(first) < len(second)
        self.back = 9
        self._draw = random.Random(0)

    def reply(self, request: Request) -> Reply:
        """The behaviour of an `OpenAIServer`."""
        text = self.answer(request.text)
        return Reply(text, usage=self._tokens(request.body["messages"], request.body, text))

    async def function(self, messages: list[dict[str, Any]], **params: Any) -> Any:
        """The same as a model function."""
        text = self.answer(messages[-1]["content"])
        prompt, completion = self._tokens(messages, params, text)
        return SimpleNamespace(
            choices=[SimpleNamespace(message={"role": "assistant", "content": text}, finish_reason="stop")],
            usage=SimpleNamespace(prompt_tokens=prompt, completion_tokens=completion),
        )

    def _tokens(self, messages: list[dict[str, Any]], params: dict[str, Any], text: str) -> tuple[int, int]:
        return self.counter.request(messages, params), self.counter.text(text)

    def answer(self, prompt: str) -> str:
        """What it says to a prompt."""
        if "hold the code" not in prompt:
            return self._prose("answer", after="\n\nSo the answer is \\boxed{42}.")
        if "You mark how" in prompt:
            steps = annotate_doubles.asked(prompt)
            return "\n".join(self._annotation(step, alone=len(steps) == 1) for step in steps)
        shown = judge_doubles.read(prompt)
        if shown.parts:
            return "\n".join(
                self._prose("summary", before=f"[{number}] ", after=".") for number in shown.parts
            )
        first = self.better is None or self.better(*shown.traces)
        return self._prose("judgement", after=f"\n<|decision|>Trace {1 if first else 2}")

    def _annotation(self, step: int, *, alone: bool) -> str:
        back = step % self.back == self.back - 1
        action = f"backtrack\n<|previous|>{step - 2}" if back else "continue"
        mark = "" if alone else f"<|step|>{step}\n"
        return self._prose("annotation", before=mark, after=f"\n<|action|>{action}")

    def _prose(self, kind: str, *, before: str = "", after: str) -> str:
        wanted = self.lengths[kind] * self._draw.uniform(0.7, 1.3) - self.counter.text(before + after)
        return before + " ".join(self._draw.choices(_WORDS, k=max(1, round(wanted)))) + after
