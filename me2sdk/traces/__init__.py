"""From what a model sent to reasoning, response and final answer: pure functions over text.

Each looks at every character a bounded number of times, since traces are hostile: a megabyte of ``<think>`` or of
``\\boxed{`` must cost no more than a megabyte of prose.
"""

from me2sdk.traces.answers import final_answer, last_answer
from me2sdk.traces.finish import is_cut_off
from me2sdk.traces.formats import ThinkingFormat, register_format, thinking_formats
from me2sdk.traces.messages import read_message
from me2sdk.traces.reader import Reading, read_text
from me2sdk.traces.refusals import refusal_of
from me2sdk.traces.sentences import single_number
from me2sdk.traces.text import clean

__all__ = [
    "Reading",
    "ThinkingFormat",
    "clean",
    "final_answer",
    "is_cut_off",
    "last_answer",
    "read_message",
    "read_text",
    "refusal_of",
    "register_format",
    "single_number",
    "thinking_formats",
]
