"""Asking a model until its answer can be read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

from me2sdk.errors import BudgetExceeded, GenerationError
from me2sdk.schema import Message, Question

__all__ = ["Outcome", "ask_until", "correction"]

Answer = TypeVar("Answer")
Reading = TypeVar("Reading")
# Characters of an unreadable answer that the model is shown: its end, where the decision should be.
_SHOWN = 4000


class Outcome(NamedTuple, Generic[Reading]):
    """How asking ended.

    Attributes:
        reading: what was read in the last answer, or None where no answer came.
        asked: how often the model was asked.
        error: the error that ended it, or None.
    """

    reading: Reading | None
    asked: int
    error: GenerationError | BudgetExceeded | None = None


async def ask_until(
    ask: Callable[[Question, int], Awaitable[Answer]],
    prompt: Question,
    read: Callable[[Answer], Reading],
    again: Callable[[Reading], Question | None],
    tries: int = 3,
) -> Outcome[Reading]:
    """Ask, and ask again while an answer cannot be used, a bounded number of times.

    Args:
        ask: sends messages and returns the answer. Its second argument is the number of the try, from 0.
        prompt: what to send first.
        read: reads an answer.
        again: what to send next, given what was read; None where that can be used. See `correction`.
        tries: how often to ask at most.

    Returns:
        The last reading, usable or not. A call that fails for good, or for which the budget has no room, ends the
        asking: the caller decides what its error means.
    """
    reading: Reading | None = None
    asked, message = 0, prompt
    while asked < tries:
        asked += 1
        try:
            reading = read(await ask(message, asked - 1))
        except (GenerationError, BudgetExceeded) as error:
            return Outcome(reading, asked, error)
        following = again(reading)
        if following is None:
            break
        message = following
    return Outcome(reading, asked)


def correction(prompt: str, said: str, problem: str, form: str) -> list[Message]:
    """Messages that show a model its unreadable answer and ask for another.

    Args:
        prompt: what it was asked first.
        said: what it answered, without its thinking.
        problem: a sentence that says why this cannot be read.
        form: the form in which to answer.
    """
    answer = said[-_SHOWN:] or "(no answer)"  # some providers refuse empty messages
    return [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": answer},
        {"role": "user", "content": f"{problem} Answer again: {form}, and nothing after it."},
    ]
