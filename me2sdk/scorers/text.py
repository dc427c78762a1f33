"""The text that a Thinking Reward Model reads (paper §5.1, App. G.1): plain, without a chat template.

Pure functions, shared by the local and the remote scorer, so that both send the same characters.
"""

from __future__ import annotations

from me2sdk.errors import ConfigurationError
from me2sdk.schema import Question, Trace, question_parts
from me2sdk.traces import clean

__all__ = ["TRACE_OFFSETS", "prompt_text", "read_scoring_text", "scoring_parts", "scoring_text", "trace_text"]

TRACE_OFFSETS = "x-me2-trace-offsets"
"""Name of the HTTP header that tells where in each scoring text the trace begins; other servers ignore it."""

_OPEN, _CLOSE = "<think>", "</think>"


def prompt_text(question: Question | None) -> str:
    """The question as plain text.

    Args:
        question: a string, a list of chat messages, or None. Of messages, the text of every one of them
            counts, system messages included, joined by line breaks in their order; of content parts, those
            that hold text.

    Returns:
        The text, "" for None. Lone surrogates, which no encoding can carry, become U+FFFD.

    Raises:
        ConfigurationError: ``question`` is of another type.
    """
    return clean("\n".join(text for _, text in question_parts(question)))


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


def read_scoring_text(text: str, offset: int | None = None) -> tuple[Question | None, Trace]:
    r"""The question and the trace of a scoring text: `scoring_parts` gives the same two parts for them again.

    Args:
        text: what `scoring_text` returned.
        offset: where the trace begins, in characters. Where that is not known, the first line is the question, or
            all lines up to the last ``</think>``, which no trace holds; a text of one line is all trace.

    Raises:
        ConfigurationError: no trace can begin at ``offset``.
    """
    if offset is None:
        newline = text.find("\n", max(0, text.rfind(_CLOSE)))
        offset = newline + 1 if text[newline + 1 :].strip() else 0
    elif not 0 <= offset <= len(text) or (offset and text[offset - 1] != "\n"):
        raise ConfigurationError(f"No trace begins at character {offset} of a text with {len(text)}.")
    # The tag keeps a trace that begins with a tag of its own as it is.
    return text[:offset].removesuffix("\n") or None, Trace(reasoning=_OPEN + text[offset:])
