"""A model that annotates by a script, as a function and as the behaviour of the test server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from support.fake_provider import Request

_ALONE = re.compile(r"^Step (\d+) can continue", re.MULTILINE)
_WINDOW = re.compile(r"^Now answer for the steps ([\d, ]+), each", re.MULTILINE)


def asked(prompt: str) -> list[int]:
    """The steps that a prompt asks about."""
    window = _WINDOW.search(prompt)
    alone = _ALONE.search(prompt)
    assert (window is None) != (alone is None), prompt
    return [int(number) for number in window[1].split(",")] if window else [int(alone[1])]  # type: ignore[index]


def said(decision: str) -> str:
    """``"backtrack 0"`` in the wire format."""
    action, _, parents = decision.partition(" ")
    return f"Because.\n<|action|>{action}" + (f"\n<|previous|>{parents}" if parents else "")


class ScriptedModel:
    """Says for each step what the script holds, in turn where that is a list; else continue.

    Attributes:
        prompts: what it was asked.
    """

    def __init__(self, script: Mapping[int, str | list[str]] | None = None) -> None:
        self.script = dict(script or {})
        self.prompts: list[str] = []

    def _decision(self, number: int) -> str:
        planned = self.script.get(number, "continue")
        if isinstance(planned, str):
            return planned
        return planned.pop(0) if len(planned) > 1 else planned[0]

    def answer(self, prompt: str) -> str:
        self.prompts.append(prompt)
        numbers = asked(prompt)
        if len(numbers) == 1:
            decision = self._decision(numbers[0])
            return decision.removeprefix("raw:") if decision.startswith("raw:") else said(decision)
        return "\n".join(f"<|step|>{number}\n{said(self._decision(number))}" for number in numbers)

    def __call__(self, messages: list[dict[str, Any]], **params: Any) -> str:
        return self.answer(messages[-1]["content"])

    def reply(self, request: Request) -> str:
        """The behaviour of an `OpenAIServer`."""
        return self.answer(request.text)
