"""The channels of GPT-OSS (Harmony), whole or in what decoders and servers leave of them."""

from __future__ import annotations

import re
from typing import NamedTuple

from me2sdk.traces.code import Code
from me2sdk.traces.tokens import strip_tokens

__all__ = ["Channels", "read_channels"]

_HEADER = re.compile(
    # The recipient of a tool call stands behind the role or behind the channel.
    r"(?:<\|start\|>[^<]{0,100})?<\|channel\|>\s{0,4}(?P<name>\w{1,20})[^<]{0,200}"
    r"(?:<\|constrain\|>[^<]{0,40})?<\|message\|>"
    r"|<\|start\|>\s{0,4}assistant\s{0,4}<\|message\|>"
)
_END = re.compile(r"<\|(?:end|return|call)\|>|(?=<\|start\|>|<\|channel\|>)")
_ROLE = re.compile(r"\s{0,20}(?:assistant)?\s{0,20}")
_MARKER = re.compile(r"<\|(?:start|channel|message|constrain|end|return|call)\|>")
_HEAD = re.compile(
    r"\s{0,20}(?:(?:assistant\s{0,4})?(?P<name>final|analysis|commentary)\s{0,4}<\|message\|>|<\|message\|>)"
)

# Decoders that drop special tokens leave "analysis…assistantfinal…".
_BARE_START = re.compile(r"(?:assistant)?(?P<name>analysis|commentary)")
_BARE_FINAL = re.compile(r"assistantfinal\s{0,4}")
_BARE_NEXT = re.compile(r"assistant\s?final|assistant(?=analysis|commentary)")
_BARE_BODY = re.compile(r"analysis|commentary")


class Channels(NamedTuple):
    """What the channels hold: texts that are reasoning, texts that are the response, and whether the end is missing."""

    thoughts: list[str]
    spoken: list[str]
    truncated: bool


def read_channels(text: str) -> Channels | None:
    """Split a text by its channels, or None if it has none."""
    if "<|" not in text:
        return _read_bare(text)
    headers = _HEADER.finditer(text)
    first = next(headers, None)
    if first is None:
        return _read_message(text) or _read_bare(text)
    code: Code | None = None
    if "`" in text or "~~~" in text:
        code = Code(text)
        while first is not None and code.holds(first.start(), first.end()):
            first = next(headers, None)
        if first is None:
            return None
    thoughts: list[str] = []
    spoken: list[str] = []
    before = text[: first.start()]
    if not _ROLE.fullmatch(before):
        # The prompt opened the first channel, so only its text and its end were generated.
        thoughts.append(_MARKER.sub("", before).strip())
    called = False
    header: re.Match[str] | None = first
    while header is not None:
        end = _END.search(text, header.end())
        body = text[header.end() : end.start() if end else len(text)]
        (spoken if header["name"] in ("final", None) else thoughts).append(strip_tokens(body).strip())
        # A model that calls a tool ends its turn without a final answer; any other was cut off.
        called = end is not None and end[0] == "<|call|>"
        header = _HEADER.search(text, end.end()) if end else None
    return Channels(thoughts, spoken, not (spoken or called))


def _read_message(text: str) -> Channels | None:
    """A text that begins in the middle of a header, such as ``final<|message|>…``."""
    head = _HEAD.match(text)
    if head is None:
        return None
    body = [strip_tokens(text[head.end() :]).strip()]
    return (
        Channels(body, [], True) if head["name"] in ("analysis", "commentary") else Channels([], body, False)
    )


def _read_bare(text: str) -> Channels | None:
    if final := _BARE_FINAL.match(text):
        return Channels([], [strip_tokens(text[final.end() :]).strip()], False)
    start = _BARE_START.match(text)
    if start is None:
        return None
    thoughts: list[str] = []
    position = start.end()
    for cut in _BARE_NEXT.finditer(text, position):
        thoughts.append(text[position : cut.start()].strip())
        position = cut.end()
        if cut[0].endswith("final"):
            return Channels(thoughts, [strip_tokens(text[position:]).strip()], False)
        position = body.end() if (body := _BARE_BODY.match(text, position)) else position
    if not text[start.end() : start.end() + 1].isupper():
        return None  # prose that begins with the word
    return Channels([*thoughts, text[position:].strip()], [], True)
