"""Where the reasoning stands in a model's output.

Pure functions over text. Each looks at every character a bounded number of times, since traces are hostile:
a megabyte of ``<think>`` or of ``\\boxed{`` must cost no more than a megabyte of prose.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_NAMES = r"(?:think|thinking|thought|reasoning|budget:thinking)"
_TAG = re.compile(rf"<(?P<close>/?){_NAMES}>|\[(?P<mclose>/?)THINK\]", re.IGNORECASE)
_CHANNEL = re.compile(
    r"(?:<\|start\|>\s{0,4}\w{0,20}\s{0,4})?<\|channel\|>\s{0,4}(?P<name>\w{1,20})[^<]{0,200}"
    r"(?:<\|constrain\|>[^<]{0,40})?<\|message\|>"
)
_CHANNEL_END = re.compile(r"<\|(?:end|return|call)\|>|(?=<\|start\|>|<\|channel\|>)")
_STRIPPED_CHANNEL = re.compile(r"assistant\s?final")


class Reading(NamedTuple):
    """The parts of one completion."""

    reasoning: str
    response: str | None
    truncated: bool


def read_text(text: str) -> Reading:
    """Split a completion into its reasoning and its response.

    Understands think tags (several, unclosed, only a closing one) and the channel markers of GPT-OSS, whole
    or with their special tokens stripped. Text with neither is both: the whole completion is the trace.
    """
    reading = _read_channels(text) or _read_tags(text)
    if reading is None:
        return Reading(text, text, False)
    if reading.reasoning.strip() or reading.truncated:
        return reading
    # An empty think block is how hybrid models say "no thinking": the response is all the reasoning there is.
    response = reading.response or ""
    return Reading(response, response, False)


def _read_channels(text: str) -> Reading | None:
    first = _CHANNEL.search(text)
    if first is None or text[: first.start()].strip():
        # Decoders that drop special tokens leave "analysis…assistantfinal…".
        if text.startswith("analysis") and (cut := _STRIPPED_CHANNEL.search(text)):
            return Reading(text[len("analysis") : cut.start()].strip(), text[cut.end() :].strip(), False)
        return None
    thoughts: list[str] = []
    final: list[str] = []
    called = False
    header: re.Match[str] | None = first
    while header is not None:
        end = _CHANNEL_END.search(text, header.end())
        body = text[header.end() : end.start() if end else len(text)].strip()
        (final if header["name"] == "final" else thoughts).append(body)
        # A model that calls a tool ends its turn without a final answer; any other was cut off.
        called = end is not None and end[0] == "<|call|>"
        header = _CHANNEL.search(text, end.end()) if end else None
    return Reading(
        "\n\n".join(filter(None, thoughts)), "\n\n".join(final) if final else None, not (final or called)
    )


def _read_tags(text: str) -> Reading | None:
    thoughts: list[str] = []
    spoken: list[str] = []
    opened: int | None = None  # where the content of the open block starts
    position = 0  # end of what has been handed to one of the two lists
    last_unclosed: int | None = None
    for tag in _TAG.finditer(text):
        closes = bool(tag["close"] or tag["mclose"])
        if not closes:
            if opened is None:
                opened, last_unclosed = tag.end(), tag.start()
        elif opened is not None:
            spoken.append(text[position:last_unclosed])
            thoughts.append(text[opened : tag.start()])
            opened, position = None, tag.end()
        elif not thoughts:
            # The chat template opened the tag, so only its end was generated.
            thoughts.append(text[: tag.start()])
            position = tag.end()
    if opened is not None and last_unclosed is not None and not text[position:last_unclosed].strip():
        # Cut off while thinking. An opening tag in the midst of prose is prose.
        thoughts.append(text[opened:])
        response = _join(spoken)
        return Reading(_join(thoughts), response or None, True)
    if not thoughts:
        return None
    spoken.append(text[position:])
    return Reading(_join(thoughts), _join(spoken), False)


def _join(parts: list[str]) -> str:
    return "\n\n".join(stripped for part in parts if (stripped := part.strip()))


def read_message(message: Any) -> Reading:
    """Split an assistant message (dict, or any object with the OpenAI attributes) as `read_text` does.

    Reasoning that the provider sends in a field of its own (``reasoning_content``, ``reasoning``,
    ``thinking_blocks``, content parts of type ``thinking``) wins over tags in the content.
    """
    content, parts = _content(_get(message, "content"))
    fields = (_get(message, "reasoning_content"), _get(message, "reasoning"))
    field = next((value for value in fields if isinstance(value, str) and value.strip()), None)
    field = field or _thinking(_get(message, "thinking_blocks")) or parts
    content = content if content.strip() else _tool_calls(_get(message, "tool_calls"))
    if not field:
        return read_text(content)
    tagged = _read_tags(content) if content.lstrip()[:1] in ("<", "[") else None
    response = tagged.response if tagged and not tagged.truncated else content
    # Reasoning without any content: the model was cut off before it began to answer.
    return Reading(
        field.strip(), response.strip() if response and response.strip() else None, not content.strip()
    )


def _get(message: Any, name: str) -> Any:
    return message.get(name) if isinstance(message, dict) else getattr(message, name, None)


def _content(content: Any) -> tuple[str, str]:
    """The text of a content field, and the text of its thinking parts."""
    if content is None:
        return "", ""
    if isinstance(content, str):
        return content, ""
    texts = [p if isinstance(p, str) else _get(p, "text") or "" for p in content]
    return "".join(texts), _thinking(content)


def _tool_calls(calls: Any) -> str:
    """Tool calls as text, ``name(arguments)`` a line: the response of a message that only calls tools."""
    functions = [_get(call, "function") for call in calls] if isinstance(calls, list) else []
    return "\n".join(f"{_get(f, 'name')}({_get(f, 'arguments')})" for f in functions if f)


def _thinking(blocks: Any) -> str:
    if not isinstance(blocks, list):
        return ""
    return "\n\n".join(t for b in blocks if isinstance(t := _get(b, "thinking"), str) and t.strip())
