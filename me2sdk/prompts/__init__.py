"""Prompts: files with a version, fences around text that may hold anything, and asking until an answer can be read."""

from __future__ import annotations

from me2sdk.prompts.dialogue import Outcome as Outcome, ask_until as ask_until, correction as correction
from me2sdk.prompts.files import fence as fence, load as load, new_nonce as new_nonce
from me2sdk.prompts.filled import FilledPrompt as FilledPrompt, read_filled as read_filled
from me2sdk.prompts.objects import read_object as read_object
