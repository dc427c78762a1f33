"""What is asked: a text or chat messages, and the ground that every value stands on."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from me2sdk import traces
from me2sdk.errors import ConfigurationError

__all__ = ["CleanText", "Message", "Question", "Value", "question_parts", "question_text"]

Message = dict[str, Any]
"""A chat message in OpenAI's form: ``{"role": "user", "content": "…"}``."""

Question = str | list[Message]
"""What is asked: a text, or a list of chat messages."""

# Lone surrogates cannot be encoded, sent or tokenised: they become U+FFFD where text comes in.
CleanText = Annotated[str, BeforeValidator(lambda v: traces.clean(v) if isinstance(v, str) else v)]


def question_parts(question: Question | None) -> list[tuple[str, str]]:
    """Role and text of each message of a question that has text; a string is one message of the user.

    Of content parts, those with text count, joined by line breaks. Images and other parts are skipped.

    Raises:
        ConfigurationError: it is neither a string nor a list of chat messages.
    """
    if question is None or isinstance(question, str):
        return [("user", question)] if question else []
    if not isinstance(question, list) or not all(isinstance(message, dict) for message in question):
        raise ConfigurationError(
            f"A question is a string or a list of chat messages, not {type(question).__name__}. "
            'Pass "…" or [{"role": "user", "content": "…"}].'
        )
    parts = [(str(message.get("role", "")), _content_text(message.get("content"))) for message in question]
    return [(role, text) for role, text in parts if text]


def question_text(question: Question | None) -> str:
    """A question as plain text: of chat messages, those with text, each under its role if there are several.

    Raises:
        ConfigurationError: it is neither a string nor a list of chat messages.
    """
    parts = [(role, text) for role, text in question_parts(question) if text.strip()]
    return "\n\n".join(text if len(parts) == 1 else f"{role}: {text}" for role, text in parts)


def _content_text(content: object) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise ConfigurationError(
            f"The content of a chat message is a string or a list of parts, not {type(content).__name__}."
        )
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str) and text)


class Value(BaseModel):
    """A frozen value that refuses unknown fields and keeps infinities in JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")
