"""Token counts before a call: a fast upper bound, and a close count as a provider makes it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from me2sdk.llm import door
from me2sdk.schema import Message

__all__ = ["TokenCounter", "estimate_tokens"]

_TOKENS_PER_IMAGE = 1000  # for estimates; providers charge between 85 and 1,500
_TOKENS_PER_MESSAGE = 4  # role and separators
_REPLY = 3  # tokens that open the answer
# The tokenizer never joins the end of a line with what follows it, so counts of such pieces add up exactly.
_PIECES = re.compile(r"(?<=\n)(?=\S)")
_LONGEST = 4000  # characters of a piece: the tokenizer's time grows faster than a word's length


def _upper_bound(text: str) -> int:
    """One token per three bytes of UTF-8."""
    return (len(text.encode(errors="replace")) + 2) // 3


def estimate_tokens(value: Any, of_text: Callable[[str], int] = _upper_bound) -> int:
    """Tokens of a JSON value (messages, tools), estimated on the high side.

    LiteLLM's own counter downloads tokenizers for some model names and takes minutes for a megabyte of one
    character, so it is not used before a call.

    Args:
        value: the value.
        of_text: counts the tokens of a text; by default one per three bytes.

    Returns:
        The number of tokens. Images and other files count with a fixed number.
    """
    if isinstance(value, str):
        return of_text(value)
    if isinstance(value, dict):
        if value.get("type") in ("image_url", "image", "input_audio", "file"):
            return _TOKENS_PER_IMAGE
        own = _TOKENS_PER_MESSAGE if "role" in value else 0
        return own + sum(estimate_tokens(item, of_text) for name, item in value.items() if name != "role")
    if isinstance(value, (list, tuple)):
        return sum(estimate_tokens(item, of_text) for item in value)
    return 0 if value is None else 1


class TokenCounter:
    """Counts tokens of OpenAI's cl100k encoding; the counts of other models differ by some percent.

    It remembers pieces of text, since the prompts of one job hold the same traces again and again. Making one imports
    LiteLLM, whose package holds the encoding; the network is not used.
    """

    def __init__(self) -> None:
        encode = door.encoding().encode_ordinary

        @functools.lru_cache(maxsize=8192)
        def piece(text: str) -> int:
            return len(encode(text))

        self._piece = piece

    def text(self, text: str) -> int:
        """Tokens of a text."""
        return sum(
            self._piece(part[start : start + _LONGEST])
            for part in _PIECES.split(text)
            for start in range(0, len(part), _LONGEST)
        )

    def request(self, messages: Sequence[Message], params: Mapping[str, Any]) -> int:
        """Tokens of a call: its messages and its tools."""
        tools = params.get("tools") or params.get("functions")
        offered = self.text(json.dumps(tools, default=str)) if tools else 0
        return estimate_tokens(list(messages), self.text) + offered + _REPLY
