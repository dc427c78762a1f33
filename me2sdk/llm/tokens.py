"""Counting tokens as a provider would, for estimates that are to be near."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from me2sdk.llm import door
from me2sdk.llm.answer import estimate_tokens
from me2sdk.schema import Message

__all__ = ["TokenCounter"]

_REPLY = 3  # tokens that open the answer
# The tokenizer never joins a line's end with what follows it, so counts of such pieces add up exactly.
_PIECES = re.compile(r"(?<=\n)(?=\S)")
_LONGEST = 4000  # characters of a piece: the tokenizer's time grows faster than a word's length


class TokenCounter:
    """Counts tokens of OpenAI's cl100k encoding, which other models' differ from by some percent.

    It remembers pieces of text, since the prompts of one job hold the same traces again and again. Making one imports
    LiteLLM, in whose package the encoding lies; the network is not used.
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
        """Tokens of a call: its messages, and the tools that it offers."""
        tools = params.get("tools") or params.get("functions")
        offered = self.text(json.dumps(tools, default=str)) if tools else 0
        return estimate_tokens(list(messages), self.text) + offered + _REPLY
