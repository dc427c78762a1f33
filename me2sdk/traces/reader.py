"""Where the reasoning stands in a completion."""

from __future__ import annotations

from typing import NamedTuple

from me2sdk.traces.blocks import Blocks, read_blocks, unwrap_answer
from me2sdk.traces.channels import read_channels
from me2sdk.traces.patterns import patterns
from me2sdk.traces.tokens import strip_tokens

__all__ = ["Reading", "join", "read_text", "split_text"]


class Reading(NamedTuple):
    """The parts of one completion.

    Attributes:
        reasoning: what the model wrote before its response; the whole completion where it did not separate the two.
        response: what it answered, or None where it never got that far.
        truncated: True if the model was cut off.
    """

    reasoning: str
    response: str | None
    truncated: bool


def read_text(text: str) -> Reading:
    """Split a completion into its reasoning and its response.

    Knows the formats of `thinking_formats` (several blocks, nested, unclosed, only a closing) and the channels of
    GPT-OSS, whole or with their special tokens stripped. Tags in code are text. Text with neither is both: the
    whole completion is the trace.
    """
    parts = split_text(text)
    if parts is None:
        whole = patterns().answer_marker.sub("", strip_tokens(text))
        return Reading(whole, whole, False)
    reasoning, response = join(parts.thoughts), join(parts.spoken)
    if parts.truncated:
        return Reading(reasoning, response or None, True)
    # An empty think block is how hybrid models say "no thinking": the response is all the reasoning there is.
    # A call of a tool in a channel ends the turn, and nothing was said.
    return Reading(reasoning or response, response if parts.spoken else None, False)


def split_text(text: str) -> Blocks | None:
    """The reasoning in a text and what was said beside it, or None where nothing marks any."""
    if channels := read_channels(text):
        return Blocks(*channels)
    forms = patterns()
    blocks = read_blocks(strip_tokens(text, forms))
    if blocks is None:
        return None
    return blocks._replace(spoken=[unwrap_answer(strip_tokens(part), forms) for part in blocks.spoken])


def join(parts: list[str]) -> str:
    """Parts as one text, without those that are blank."""
    return "\n\n".join(stripped for part in parts if (stripped := part.strip()))
