"""Cutting a text into sentences of tokens, once for all that is counted in it.

Everything that depends on the length of the text runs inside regular expressions, sets and counters; a trace of a
thousand characters takes a fraction of a millisecond.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise

__all__ = ["Reading", "content_words"]

_BREAK = re.compile(r"\n\s*|(?<=[.!?;])[\"')\]*]{0,4}\s+")
_TOKEN = re.compile(
    r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\\[a-z]+|[=≈]"
)
_STOP = frozenset(
    "the and for are was were has have had that this with from she her his him they them their its will would can "
    "could should each all there then than what which who how many much more less into out per get gets got does did "
    "you your our not but when where also need needs let lets since because only one "
    "therefore thus hence finally answer boxed right".split()
)


_MOST_STEMS = 50_000
_MOST_TOKENS = 20_000  # of a text whose pairs are taken


class _Stems(dict[str, str]):
    """The stem of each word that was met, "" for what carries no content; the same words come again and again."""

    def __missing__(self, token: str) -> str:
        if len(self) >= _MOST_STEMS:
            self.clear()
        content = len(token) > 2 and token[0].isalpha() and token not in _STOP
        stem = "" if not content else token[:-1] if token[-1] == "s" else token[:7]
        self[token] = stem
        return stem


_STEMS = _Stems()


def content_words(tokens: list[str]) -> set[str]:
    """The stems of the words of ``tokens`` that carry content; crude ones, so that "egg" and "eggs" are the same."""
    stems = set(map(_STEMS.__getitem__, tokens))
    stems.discard("")
    return stems


@dataclass(frozen=True)
class Reading:
    """A text in tokens.

    Attributes:
        sentences: its sentences and lines, in lower case, those without a token left out.
        tokens: the tokens of each: words, numbers as they are written, LaTeX commands, equals signs.
    """

    sentences: tuple[str, ...]
    tokens: tuple[list[str], ...]

    @classmethod
    def of(cls, text: str) -> Reading:
        """Read a text."""
        cut = [(part, tokens) for part in _BREAK.split(text.lower()) if (tokens := _TOKEN.findall(part))]
        return cls(tuple(part for part, _ in cut), tuple(tokens for _, tokens in cut))

    @cached_property
    def numbers_of(self) -> list[list[str]]:
        """The numbers of each sentence, as they are written."""
        return [[token for token in tokens if token[0].isdecimal()] for tokens in self.tokens]

    @cached_property
    def content_of(self) -> list[set[str]]:
        """The content words of each sentence."""
        return [content_words(tokens) for tokens in self.tokens]

    @cached_property
    def all_tokens(self) -> list[str]:
        """The tokens in order."""
        return list(chain.from_iterable(self.tokens))

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each token stands there."""
        return Counter(self.all_tokens)

    @cached_property
    def words(self) -> set[str]:
        """The different words."""
        return {token for token in self.counts if token[0].isalpha()}

    @cached_property
    def numbers(self) -> set[str]:
        """The different numbers, as they are written."""
        return {token for token in self.counts if token[0].isdecimal()}

    @cached_property
    def pairs(self) -> set[tuple[str, str]]:
        """The different pairs of neighbouring tokens, of a very long text those of its first and last part."""
        tokens = self.all_tokens
        if len(tokens) > _MOST_TOKENS:
            tokens = tokens[: _MOST_TOKENS // 2] + tokens[-_MOST_TOKENS // 2 :]
        return set(pairwise(tokens))

    @cached_property
    def results(self) -> set[str]:
        """The different numbers that follow an equals sign."""
        return {after for sign, after in self.pairs if sign in "=≈" and after[0].isdecimal()}
