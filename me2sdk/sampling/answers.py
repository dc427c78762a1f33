"""What is compared between candidates: the answer that each gives, read as the caller says."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from me2sdk.errors import ConfigurationError
from me2sdk.schema import Trace
from me2sdk.traces import tool_calls_of
from me2sdk.verify import agroup_answers

__all__ = ["AnswerGroups", "AnswerKey", "AnswerReader", "answer_reader"]

AnswerKey = str | re.Pattern[str] | Callable[[Trace], "str | None"] | None
"""What of a candidate is compared with the others; `best_of_n` lists the forms."""

Comparison = Literal["value", "text", "similarity", "none"]

_NAMES = '"auto", "text", "similar", "json", "json:field.path", "tool_calls", "tool_calls:name"'
_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_TRIES = 200  # openings of an object that are tried in one response


@dataclass(frozen=True)
class AnswerReader:
    """How the answer of a candidate is read, and how two of them are compared.

    Attributes:
        read: the answer of a trace and of the message that it was read from, if there is one.
        compare: "value" where 0.5 and 1/2 are one answer, "text" where only the same text is, "similarity" where there
            are no answers but texts that are near each other, "none" where nothing is compared.
        foreign: whether reading runs what the caller wrote, which may take any time.
    """

    read: Callable[[Trace, Any], str | None]
    compare: Comparison
    foreign: bool = False


@functools.singledispatch
def answer_reader(key: Any) -> AnswerReader:
    """The reader that a key stands for.

    Args:
        key: as `best_of_n` takes it for ``answer``.

    Raises:
        ConfigurationError: the key stands for nothing.
    """
    if key is None:
        return AnswerReader(lambda trace, message: None, "none")
    if callable(key):
        return AnswerReader(lambda trace, message: _text(key(trace)), "value", foreign=True)
    raise ConfigurationError(
        f"answer must be a name, a regular expression, a function of a Trace, or None; it is a {type(key).__name__}. "
        f"Names are {_NAMES}."
    )


@answer_reader.register
def _of_pattern(key: re.Pattern) -> AnswerReader:  # type: ignore[type-arg]
    def read(trace: Trace, message: Any) -> str | None:
        found = None
        for found in key.finditer(_response(trace)):  # noqa: B007  the last is the one that the text ends on
            pass
        return None if found is None else _text(found[1] if key.groups else found[0])

    return AnswerReader(read, "value", foreign=True)


@answer_reader.register
def _of_name(key: str) -> AnswerReader:
    name, _, path = key.partition(":")
    if key == "auto":
        return AnswerReader(lambda trace, message: trace.answer, "value")
    if key == "text":
        return AnswerReader(
            lambda trace, message: _text(" ".join(_response(trace).casefold().split())), "text"
        )
    if key == "similar":
        return AnswerReader(lambda trace, message: None, "similarity")
    if name == "json" and (path or key == "json"):
        return AnswerReader(
            lambda trace, message: _json_field(_response(trace), path), "value" if path else "text"
        )
    if key in ("tool_calls", "tool_calls:name"):
        return AnswerReader(lambda trace, message: _calls(message, names_only=bool(path)), "text")
    if name not in ("json", "tool_calls") and re.search(r"[\\(\[.*+?^$|]", key):
        try:
            return _of_pattern(re.compile(key))
        except re.error as error:
            raise ConfigurationError(f"answer={key!r} is no regular expression: {error}.") from error
    raise ConfigurationError(f"There is no answer={key!r}. Names are {_NAMES}; or pass a regular expression.")


class AnswerGroups:
    """Numbers answers so that equal ones get the same number, and compares again only where a new answer came.

    Args:
        compare: as in `AnswerReader`.
    """

    def __init__(self, compare: Comparison) -> None:
        self._compare = compare
        self._known: dict[str, int | None] = {}

    async def of(self, answers: Sequence[str | None]) -> list[int | None]:
        """The number of each answer; None for a candidate without one."""
        distinct = list(dict.fromkeys(answer for answer in answers if answer is not None))
        if self._known.keys() != set(distinct):
            alike = self._compare == "value" and len(distinct) > 1
            numbers = await agroup_answers(distinct) if alike else range(len(distinct))
            self._known = dict(zip(distinct, numbers, strict=True))
        return [None if answer is None else self._known[answer] for answer in answers]


def _text(given: object) -> str | None:
    return None if given is None else str(given).strip() or None


def _response(trace: Trace) -> str:
    return trace.reasoning if trace.response is None else trace.response


def _json_field(text: str, path: str) -> str | None:
    value = _last_json(text)
    for step in path.split(".") if path else ():
        if isinstance(value, list) and step.lstrip("-").isdecimal() and -len(value) <= int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            return None
    return None if value is None else _text(value if isinstance(value, str) else _canonical(value))


def _last_json(text: str) -> Any:
    """The last object or list of a text, in a fence or bare; None where there is none that can be read."""
    fenced = _FENCE.findall(text)
    for part in (*reversed(fenced), text):
        value, place = None, 0
        for _ in range(_TRIES):
            opening = re.compile(r"[\[{]").search(part, place)
            if opening is None:
                break
            try:
                value, place = json.JSONDecoder().raw_decode(part, opening.start())
            except (ValueError, RecursionError):
                place = opening.end()
        if value is not None:
            return value
    return None


def _canonical(value: Any) -> str:
    """A JSON value in one form, whatever the order of its keys; 1.0 is 1."""

    def plain(item: Any) -> Any:
        if isinstance(item, dict):
            return {name: plain(inner) for name, inner in item.items()}
        if isinstance(item, list):
            return [plain(inner) for inner in item]
        return int(item) if isinstance(item, float) and item.is_integer() else item

    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False)


def _calls(message: Any, *, names_only: bool) -> str | None:
    """What tools a message calls, with their arguments; arguments that are no JSON count as text."""
    made: list[Any] = []
    for name, arguments in tool_calls_of(message) if message is not None else ():
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments)
            except (ValueError, RecursionError):
                arguments = arguments.strip()
        made.append(name if names_only else [name, arguments])
    return _canonical(made) if made else None
