"""A small world for the preference pipeline: models that sample, annotate, verify and judge by rule."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from support.annotate_doubles import by_script
from support.fake_provider import Behaviour, Reply, Request

from me2sdk.prompts import read_filled
from me2sdk.testing import FakeModel
from me2sdk.train.pipeline import DataConfig

QUESTION = re.compile(r"What is (\d+) \+ (\d+)\?")


def draw(*parts: object) -> int:
    """A number that looks random and is always the same for the same parts."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4])


def sample(model: str, prompt: str, seed: int) -> tuple[str, str]:
    """A trace whose steps say how good it is, and why it ended: a seventh are cut off, a sixth are wrong."""
    numbers = QUESTION.search(prompt)
    assert numbers, prompt
    chance = draw(model, prompt, seed)
    quality = chance % 4
    total = int(numbers[1]) + int(numbers[2])
    if chance % 6 == 5:
        total += 1
    middle = [f"So far, quality {quality}: I have {numbers[1]} and more." for _ in range(1 + chance % 5)]
    steps = [
        f"First, quality {quality}: we need {numbers[1]} + {numbers[2]}, says {model} {seed}.",
        *middle,
        f"So, quality {quality}: the sum is {total}.",
    ]
    if chance % 7 == 3:
        return "<think>\n" + "\n\n".join(steps[:-1]), "length"
    return "<think>\n" + "\n\n".join(steps) + f"\n</think>\n\nIt is \\boxed{{{total}}}.", "stop"


def better(*traces: str) -> str:
    """The better trace wins; equal ones tie; 1 against 2 is decided by which is shown first."""
    first, second = (int(re.findall(r"quality (\d)", trace)[0]) for trace in traces)
    swayed = {first, second} == {1, 2}
    return "tie" if first == second else "first" if first > second or swayed else "second"


MODEL = FakeModel(judge=better, annotate=by_script({2: "backtrack 0"}))


def answer(model: str, prompt: str, seed: int = 0) -> tuple[str, str]:
    """What a model of this world says, and why it ended."""
    if read_filled(prompt) is None:
        return sample(model, prompt, seed)
    return MODEL.answer([{"role": "user", "content": prompt}]), "stop"


def reply(request: Request) -> Behaviour:
    """The same as the behaviour of an `OpenAIServer`; tokens are those of the text."""
    text, reason = answer(request.body["model"], request.text, request.body.get("seed", 0))
    return Reply(text, finish_reason=reason, usage=(len(request.text) // 4, len(text) // 4))


def config(output: Path, prompts: int = 4, **settings: Any) -> DataConfig:
    """Settings of a small build: two models, four samples each, local annotator, one repeat an order."""
    records = [{"question": f"What is {n} + {2 * n}?", "answer": str(3 * n)} for n in range(1, prompts + 1)]
    return DataConfig.model_validate(
        {
            "output": output,
            "prompts": {"records": records},
            "models": [{"model": "openai/one"}, {"model": "openai/two"}],
            "judge": {"model": "openai/judge", "repeats": 1},
            "validation": 0.3,
            "timeout": 30,
            **settings,
        }
    )


def completion(model: str, prompt: str, seed: int = 0) -> Any:
    """An answer in the shape of LiteLLM's, with its usage."""
    text, reason = answer(model, prompt, seed)
    message = {"role": "assistant", "content": text}
    return SimpleNamespace(
        choices=[SimpleNamespace(finish_reason=reason, message=message)],
        usage=SimpleNamespace(prompt_tokens=len(prompt) // 4, completion_tokens=len(text) // 4),
    )


class Models(dict[str, Any]):
    """The models of `config` as functions, by their names.

    Attributes:
        calls: whom was asked what.
        fails: called with the model and the prompt before each answer; may raise.
    """

    def __init__(self, fails: Callable[[str, str], None] | None = None) -> None:
        super().__init__()
        self.calls: list[tuple[str, str]] = []
        self.fails = fails
        self.in_flight = self.most = 0
        for name in ("one", "two", "judge", "annotator", "verifier"):
            self[f"openai/{name}"] = self._model(name)

    def _model(self, name: str) -> Any:
        async def ask(messages: list[dict[str, Any]], **params: Any) -> Any:
            prompt = messages[-1]["content"]
            self.calls.append((name, prompt))
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            try:
                await asyncio.sleep(0)
                if self.fails:
                    self.fails(name, prompt)
                return completion(name, prompt, params.get("seed", 0))
            finally:
                self.in_flight -= 1

        ask.__name__ = f"openai/{name}"
        return ask


def finals(output: Path) -> dict[str, bytes]:
    """The files for users of the data."""
    return {path.name: path.read_bytes() for path in sorted(output.iterdir()) if path.is_file()}
