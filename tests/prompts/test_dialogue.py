from __future__ import annotations

from typing import Any

import pytest

from me2sdk import BudgetExceeded, ConfigurationError, GenerationError
from me2sdk.llm import LLM, Generation
from me2sdk.prompts import ask_until, correction


class Model:
    """A model function with answers to give in turn; keeps the conversations."""

    __name__ = "model"

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = answers
        self.conversations: list[list[dict[str, Any]]] = []

    def __call__(self, messages: list[dict[str, Any]], **params: Any) -> str:
        self.conversations.append(messages)
        answer = self.answers[min(len(self.conversations), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def ask_for_a_number(model: Model, **options: Any) -> Any:
    llm = LLM(model, max_retries=0)

    async def ask(messages: Any, number: int) -> Generation:
        assert number == len(model.conversations)
        return await llm.agenerate(messages, sample_index=number)

    def read(generation: Generation) -> str:
        return str(generation.message["content"])

    def again(said: str) -> Any:
        return None if said.isdigit() else correction("How many?", said, "That is no number.", "one number")

    return await ask_until(ask, "How many?", read, again, **options)


async def test_an_answer_that_can_be_read_is_asked_for_once() -> None:
    model = Model("4")
    assert await ask_for_a_number(model) == ("4", 1, None)
    assert model.conversations == [[{"role": "user", "content": "How many?"}]]


async def test_an_unreadable_answer_is_shown_with_the_reason() -> None:
    model = Model("Four, I think.", "4")
    assert await ask_for_a_number(model) == ("4", 2, None)
    assert model.conversations[1] == [
        {"role": "user", "content": "How many?"},
        {"role": "assistant", "content": "Four, I think."},
        {
            "role": "user",
            "content": "That is no number. Answer again: one number, and nothing after it.",
        },
    ]


async def test_asking_is_bounded_and_the_last_reading_comes_back() -> None:
    model = Model("one", "two", "three", "4")
    assert await ask_for_a_number(model) == ("three", 3, None)
    model = Model("one", "two")
    assert await ask_for_a_number(model, tries=1) == ("one", 1, None)


@pytest.mark.parametrize("answers", [[ValueError("down")], ["one", ValueError("down")]])
async def test_a_call_that_fails_for_good_ends_it(answers: list[str | Exception]) -> None:
    reading, asked, error = await ask_for_a_number(Model(*answers))
    assert (reading, asked) == (None if len(answers) == 1 else "one", len(answers))
    assert isinstance(error, GenerationError)


async def test_a_budget_ends_it_and_a_wrong_setting_is_an_error() -> None:
    async def refuse(messages: Any, number: int) -> Generation:
        raise error

    error: Exception = BudgetExceeded("no room")
    outcome = await ask_until(refuse, "x", lambda generation: generation, lambda reading: None)
    assert outcome == (None, 1, error)
    error = ConfigurationError("no such parameter")
    with pytest.raises(ConfigurationError):
        await ask_until(refuse, "x", lambda generation: generation, lambda reading: None)


def test_a_correction_shows_the_end_of_a_long_answer_and_never_an_empty_one() -> None:
    assert correction("p", "a" * 9000 + "b", "No.", "x")[1]["content"] == "a" * 3999 + "b"
    assert correction("p", "", "No.", "x")[1]["content"] == "(no answer)"
