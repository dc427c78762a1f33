"""What reward functions and data files hand over: completions as messages, references as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from numbers import Number
from typing import Any

from me2sdk.schema import Message

__all__ = ["as_reference", "last_said"]


def last_said(completion: Any) -> Any:
    """The assistant's last message of a completion; messages of tools may follow it.

    Args:
        completion: a text, a message or a `Trace`, which come back as they are, or a list of messages.

    Returns:
        The completion or its message; "" of a list in which the assistant says nothing.
    """
    if not isinstance(completion, (list, tuple)):
        return completion
    messages: Sequence[Message] = completion
    said = (message for message in reversed(messages) if (message.get("role") or "assistant") == "assistant")
    return next(said, "")


def as_reference(value: Any) -> Any:
    """A right answer as text, where a data set has it as a number; anything else comes back as it is."""
    return str(value) if isinstance(value, (Number, Decimal)) and not isinstance(value, bool) else value
