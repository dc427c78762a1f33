"""The text that a Thinking Reward Model reads (paper §5.1, App. G.1): plain, without a chat template.

Pure functions, shared by the local and the remote scorer, so that both send the same characters.
"""

from __future__ import annotations

from me2sdk._reading import clean
from me2sdk.errors import ConfigurationError
from me2sdk.schema import Question, Trace

__all__ = ["prompt_text", "scoring_parts", "scoring_text", "trace_text"]

_OPEN, _CLOSE = "<think>", "</think>"


def prompt_text(question: Question | None) -> str:
    """The question as plain text.

    Args:
        question: a string, a list of chat messages, or None. Of messages, the text of every one of them
            counts, system messages included, joined by line breaks in their order; of content parts, those of
            type ``text``.

    Returns:
        the text, "" for None. Lone surrogates, which no encoding can carry, become U+FFFD.

    Raises:
        ConfigurationError: ``question`` is of another type.
    """
    if question is None:
        return ""
    if isinstance(question, str):
        return clean(question)
    if not isinstance(question, list) or not all(isinstance(message, dict) for message in question):
        raise ConfigurationError(
            f"A question is a string or a list of chat messages, not {type(question).__name__}. "
            'Pass "…" or [{"role": "user", "content": "…"}].'
        )
    texts = [_content_text(message.get("content")) for message in question]
    return clean("\n".join(text for text in texts if text))


def _content_text(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [
            part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"
        ]
        return "\n".join(text for text in parts if isinstance(text, str))
    raise ConfigurationError(
        f"The content of a chat message is a string or a list of parts, not {type(content).__name__}."
    )


def trace_text(trace: Trace) -> str:
    """The reasoning of ``trace`` without a leading ``<think>``, up to the first ``</think>``, stripped."""
    text = clean(trace.reasoning).lstrip().removeprefix(_OPEN)
    return text.partition(_CLOSE)[0].strip()


def scoring_parts(question: Question | None, trace: Trace) -> tuple[str, str]:
    """The scoring text in two parts, whose concatenation it is: what precedes the trace, and the trace."""
    # Without a question there is nothing to set apart by a line break.
    return (prompt_text(question) + "\n").lstrip(), trace_text(trace)


def scoring_text(question: Question | None, trace: Trace) -> str:
    r"""What the reward model reads: ``question + "\n" + reasoning``.

    Args:
        question: a string, a list of chat messages (see `prompt_text`), or None for the trace alone.
        trace: its ``reasoning`` is read, without a leading ``<think>`` and up to the first ``</think>``.

    Returns:
        the text, without leading and trailing whitespace.
    """
    return "".join(scoring_parts(question, trace))
