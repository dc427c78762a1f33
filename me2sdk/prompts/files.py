"""Prompts as data files, and fences around untrusted text.

A prompt is ``me2sdk/prompts/NAME.md``. Its first line, ``version: N``, is not sent; the number goes
up with every change and is kept in results. ``{{name}}`` marks a place to fill.
"""

from __future__ import annotations

import functools
import hashlib
import re
from importlib import resources
from typing import NamedTuple

from me2sdk.errors import ConfigurationError

__all__ = ["Prompt", "fence", "load", "new_nonce"]

_VERSION = re.compile(r"version: (\d+)\n\s*")
_PLACE = re.compile(r"\{\{(\w+)\}\}")
# Control tokens of chat templates, our own markers among them, and our markers as careless models write them.
_CONTROL = re.compile(
    r"<[|｜]([^|｜<>\n]{1,40})[|｜]>|\|\s{0,4}(decision|action|previous)\s{0,4}\|", re.IGNORECASE
)


class Prompt(NamedTuple):
    """A prompt with places to fill.

    Attributes:
        name: its file's name without the ending.
        version: its version.
        text: what is sent, with ``{{name}}`` where values go.
    """

    name: str
    version: int
    text: str

    def fill(self, **values: str) -> str:
        """The text with every place filled, in one pass: braces in a value stay braces.

        Raises:
            ConfigurationError: the names passed are not those of the places.
        """
        places = set(_PLACE.findall(self.text))
        if places != set(values):
            raise ConfigurationError(
                f"Prompt {self.name!r} has the places {sorted(places)}; it was given {sorted(values)}."
            )
        return _PLACE.sub(lambda place: values[place[1]], self.text)


@functools.cache
def load(name: str) -> Prompt:
    """Read ``me2sdk/prompts/NAME.md``.

    Raises:
        ConfigurationError: there is no such prompt, or its first line is not ``version: N``.
    """
    try:
        text = (resources.files("me2sdk") / "prompts" / f"{name}.md").read_text("utf-8")
    except FileNotFoundError:
        raise ConfigurationError(
            f"The prompt {name!r} is missing from this installation of me2sdk. Install it again."
        ) from None
    head = _VERSION.match(text)
    if head is None:
        raise ConfigurationError(f"The prompt {name!r} must begin with a line 'version: N'.")
    return Prompt(name, int(head[1]), text[head.end() :].rstrip())


def new_nonce(*texts: str) -> str:
    """A word that occurs in none of ``texts``, the same for the same texts.

    It is not random, since it is part of the messages and so of the key under which answers are cached. The author of
    one text cannot plant it, since it depends on all of them.
    """
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "replace")
        digest.update(len(data).to_bytes(8, "big") + data)
    counter = 0
    while True:
        salted = digest.copy()
        salted.update(counter.to_bytes(8, "big"))
        nonce = salted.hexdigest()[:12]
        if not any(nonce in text for text in texts):
            return nonce
        counter += 1


def fence(text: str, nonce: str, label: str) -> str:
    """``text`` between two lines that hold ``nonce``, and so cannot be imitated inside.

    Control tokens (``<|im_end|>`` and our own ``<|decision|>``, ``<|action|>``, ``<|previous|>``) are rewritten, since
    some servers interpret them wherever they occur.

    Args:
        text: untrusted text.
        nonce: from `new_nonce` of all texts that stand in the same prompt.
        label: what the text is, as the prompt calls it.
    """
    return f"[begin {label} {nonce}]\n{_disarm(text)}\n[end {label} {nonce}]"


def _disarm(text: str) -> str:
    return _CONTROL.sub(lambda token: f"({token[1] or token[2]})", text)
