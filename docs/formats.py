"""Write the page of the thinking formats from their table: ``python docs/formats.py docs/formats.md``."""

from __future__ import annotations

import sys
from pathlib import Path

from me2sdk.traces import ThinkingFormat, thinking_formats

HEAD = """<!-- Written by docs/formats.py from the table in me2sdk/traces/formats.py. -->

# Thinking formats

`Trace.from_text` and `Trace.from_message` read reasoning in all of these forms. Case does not matter, `…` stands
for any namespace or prefix, tags in code are text, and an answer that is wrapped behind the reasoning is unwrapped.
The channels of GPT-OSS (`<|channel|>analysis<|message|>`) are read too, whole and in what decoders leave of them, and
tokens of chat templates at the ends of a text, such as `<|im_end|>`, are dropped.

| format | opens | closes | answer | models | source |
|---|---|---|---|---|---|
"""
FOOT = """
## Your own

A format that is missing is one call, for the whole process:

```python
from me2sdk import Trace
from me2sdk.traces import ThinkingFormat, register_format

register_format(ThinkingFormat("mine", opening=("<ponder>",), closing=("</ponder>",)))
Trace.from_text("<ponder>7 * 6</ponder>42").response  # '42'
```

## Fields of a message

Reasoning that a provider sends beside the content is read from `reasoning_content`, `reasoning`, `thinking`,
`reasoning_text`, `thinking_blocks` and `reasoning_details`, in this order; from the same names in
`provider_specific_fields`, where LiteLLM keeps what it does not know; and from parts of the content of type
`thinking` or `reasoning`, whose value may be a list. Tags that leak into the content beside it join the reasoning.

`Trace.from_message(message, finish_reason="stop")` says that the model came to its end: reasoning without any
content is then the response as well, and is not cut off.

::: me2sdk.traces.register_format

::: me2sdk.traces.ThinkingFormat
"""


def row(thinking_format: ThinkingFormat) -> str:
    """One format as a row of the table."""
    f = thinking_format
    wrapped = [" ".join(pair) for pair in zip(code(f.answer_opening), code(f.answer_closing), strict=False)]
    answer = "<br>".join(wrapped or code(f.answer_closing))
    cells = (
        f.name,
        "<br>".join(code(f.opening)),
        "<br>".join(code(f.closing)),
        answer,
        f.models,
        link(f.source),
    )
    return "| " + " | ".join(cells) + " |\n"


def code(forms: tuple[str, ...]) -> list[str]:
    """Forms as code in a cell, where a bar would end it."""
    return ["<code>" + escaped(form) + "</code>" for form in forms]


def escaped(form: str) -> str:
    """A form that Markdown and HTML leave as it is."""
    for mark, entity in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("|", "&#124;"),
        ("[", "&#91;"),
        ("_", "&#95;"),
    ):
        form = form.replace(mark, entity)
    return form


def link(source: str) -> str:
    """A source as a link."""
    return f"[{source.partition('/')[2] or source}](https://{source})"


def page() -> str:
    """The whole page."""
    return HEAD + "".join(map(row, thinking_formats())) + FOOT


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), "utf-8")
