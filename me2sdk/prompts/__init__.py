"""The prompts, each a file with a version, and how a text that may hold anything is put into one."""

from __future__ import annotations

from me2sdk.prompts.files import fence, load, new_nonce

__all__ = [
    "fence",
    "load",
    "new_nonce",
]
