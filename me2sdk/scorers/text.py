"""What a reward model reads: plain text for a Thinking Reward Model (paper §5.1, App. G.1), a chat for most others.

Pure functions, shared by the local and the remote scorer, so that both send the same characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from me2sdk.errors import ConfigurationError, InvalidTraceError
from me2sdk.schema import Question, Trace, question_parts
from me2sdk.traces import clean

__all__ = [
    "TRACE_OFFSETS",
    "Reads",
    "Template",
    "answer_text",
    "answer_texts",
    "chat_messages",
    "check_reading",
    "is_known_plain",
    "prompt_text",
    "question_prefix",
    "read_scoring_text",
    "scoring_parts",
    "scoring_text",
    "trace_text",
    "usual_reads",
]

Reads = Literal["reasoning", "response", "both"]
Template = Literal["plain", "chat", "auto"]

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


def answer_text(trace: Trace, reads: Reads = "reasoning") -> str:
    """The part of ``trace`` that is scored.

    Args:
        trace: the trace.
        reads: "reasoning" (as `trace_text` gives it), "response", or "both": the reasoning, a blank line and the
            response, or the one that there is. A response that repeats the reasoning is not read twice.

    Returns:
        the text, "" where the trace has no such part.
    """
    reasoning = trace_text(trace)
    if reads == "reasoning":
        return reasoning
    response = clean(trace.response or "").strip()
    if reads == "response":
        return response
    return reasoning if response in ("", reasoning) else f"{reasoning}\n\n{response}"


def answer_texts(traces: Sequence[Trace], reads: Reads) -> list[str]:
    """`answer_text` of each trace.

    Raises:
        InvalidTraceError: a trace has no such part; the message says which.
    """
    texts = [answer_text(trace, reads) for trace in traces]
    if "" in texts:
        raise InvalidTraceError(
            f"Trace {texts.index('')} has no {reads}, so there is nothing to score. Leave it out, or pass "
            'reads="both", which takes what there is.'
        )
    return texts


def check_reading(reads: Reads | None, template: Template) -> None:
    """Make sure that the two are known.

    Raises:
        ConfigurationError: they are not.
    """
    if reads not in (None, *get_args(Reads)):
        raise ConfigurationError(f'reads is None, "reasoning", "response" or "both", not {reads!r}.')
    if template not in get_args(Template):
        raise ConfigurationError(f'template is "plain", "chat" or "auto", not {template!r}.')


def usual_reads(template: Template) -> Reads:
    """The part that is read where none is named: of a chat, all that the assistant says."""
    return "both" if template == "chat" else "reasoning"


def is_known_plain(model: str) -> bool:
    """Whether a name stands for a model that is known to read plain text: the paper's, or a bundled one."""
    return model in ("mini", "small") or model.replace("\\", "/").rpartition("/")[2].lower() == "trm-8b"


def chat_messages(question: Question | None) -> list[dict[str, str]]:
    """The question as chat messages of role and text, in their order; without one the user says nothing.

    Raises:
        ConfigurationError: ``question`` is neither a string nor a list of chat messages.
    """
    parts = question_parts(question) or [("user", "")]
    return [{"role": role or "user", "content": clean(text)} for role, text in parts]


def question_prefix(question: Question | None) -> str:
    """What precedes the trace in a scoring text."""
    # Without a question there is nothing to set apart by a line break.
    return (prompt_text(question) + "\n").lstrip()


def scoring_parts(question: Question | None, trace: Trace) -> tuple[str, str]:
    """The scoring text in two parts, whose concatenation it is: what precedes the trace, and the trace."""
    return question_prefix(question), trace_text(trace)


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
