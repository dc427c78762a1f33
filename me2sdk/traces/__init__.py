"""From what a model sent to reasoning, response and final answer: pure functions over text.

Each looks at every character a bounded number of times, since traces are hostile: a megabyte of ``<think>`` or of
``\\boxed{`` must cost no more than a megabyte of prose.
"""

from me2sdk.traces.answers import final_answer as final_answer, last_answer as last_answer
from me2sdk.traces.code import Code as Code
from me2sdk.traces.finish import is_cut_off as is_cut_off
from me2sdk.traces.formats import ThinkingFormat, register_format, thinking_formats as thinking_formats
from me2sdk.traces.messages import (
    read_choice as read_choice,
    read_message as read_message,
    tool_calls_of as tool_calls_of,
)
from me2sdk.traces.reader import Reading as Reading, read_text as read_text
from me2sdk.traces.refusals import refusal_of as refusal_of
from me2sdk.traces.sentences import single_number as single_number
from me2sdk.traces.text import clean as clean

__all__ = [
    "ThinkingFormat",
    "register_format",
]
