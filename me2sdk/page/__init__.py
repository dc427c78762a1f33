"""Self-contained web pages: what all of them share, so that they look alike and nothing in them can run.

A page has one stylesheet (``page.css``), scripts of ours alone, and text that is escaped before it goes in.
"""

from __future__ import annotations

from me2sdk.page.mathematics import typeset, typeset_answer
from me2sdk.page.parts import bar, percent, question_block
from me2sdk.page.shell import data_block, escaped, fill, page, printable, read_file

__all__ = [
    "bar",
    "data_block",
    "escaped",
    "fill",
    "page",
    "percent",
    "printable",
    "question_block",
    "read_file",
    "typeset",
    "typeset_answer",
]
