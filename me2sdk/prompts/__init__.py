"""Prompts: files with a version, fences around text that may hold anything, and asking until an answer can be read."""

from __future__ import annotations

from me2sdk.prompts.dialogue import ask_until, correction
from me2sdk.prompts.files import fence, load, new_nonce

__all__ = [
    "ask_until",
    "correction",
    "fence",
    "load",
    "new_nonce",
]
