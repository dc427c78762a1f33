"""What a judge decided: reading its answer, and the label that several votes give."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from me2sdk.errors import InvalidTraceError
from me2sdk.prompts import read_object
from me2sdk.schema import Message, Trace, Vote
from me2sdk.traces import is_cut_off, refusal_of

__all__ = ["Choice", "Decision", "Tally", "read_decision", "settled", "tally"]

Choice = Literal["1", "2", "tie"]

_MARKER = re.compile(r"<?[|｜]\s{0,4}decision\s{0,4}[|｜]>?", re.IGNORECASE)
# The same without its bars, only where a line starts with it: "**Decision:** Trace 1", '"decision": "Trace 1"'.
_LABEL = re.compile(
    r"^[\W_]{0,12}(?:(?:so|thus|therefore|my|the|final|overall),?[ \t]{1,4}){0,4}"
    r"(?:decision|verdict)[\W_]{0,4}?(?::|=|>|\bis\b)",
    re.IGNORECASE | re.MULTILINE,
)
_NAMED = r"(?:trace|answer|response)[\W_]{0,4}(?:no\.?|number)?[\W_]{0,4}(?P<named>1|2|one|two)(?![^\W_])"
_TIE = r"(?P<tie>tied?|draw)(?!-?[^\W_])"
_LEAD = r"(?:\\[a-z]{1,8}\{|[\W_]){0,16}(?:a )?"
_VALUE = re.compile(rf"{_LEAD}(?:{_NAMED}|(?P<bare>1|2)(?=[\W_]{{0,20}}(?:\n|\Z))|{_TIE})", re.IGNORECASE)
_LINE = re.compile(rf"{_LEAD}(?:{_NAMED}|{_TIE})[\W_]*", re.IGNORECASE)
# What may follow on the line: nothing, or a reason after a mark; but not "Trace 1 is weaker".
_REST = re.compile(
    r"(?:[^\w\n]|_)*(?:\n|\Z)|(?:[^\w\n]|_){0,6}(?:[.,;:(<—–-]|(?:wins|is (?:the )?(?:better|stronger|preferred))\b)",
    re.IGNORECASE,
)
# "Trace 1 or Trace 2", "Trace 1, 2": a copy of the choices, not a decision.
_ALTERNATIVE = re.compile(
    r"[^\w\n/|,&]{0,8}(?:[/|,&]|or\b|and\b)[^\w\n]{0,8}(?:(?:trace|answer|response)\W{0,4})?(?:[12]|one|two|tied?)\b",
    re.IGNORECASE,
)
# "Therefore, Trace 1 is more effective than Trace 2." Small models often end with that and no decision in its form.
_CONCLUSION = re.compile(
    r"(?:^|(?<=[.!?] ))[*_]{0,3}(?:therefore|thus|hence|so|overall|in conclusion),?[ \t]{1,4}"
    r"(?:(?:the|my)[ \t](?:final[ \t])?decision (?:is|goes to)(?: that|:)?[ \t]{1,4})?"
    r"(?:trace (?P<named>1|2) is (?:the )?(?:more (?!or less)[a-z]{1,20}|better|stronger)"
    r"|(?P<tie>(?:both traces|trace 1 and trace 2) are equally))\b(?P<rest>[^.!?\n]{0,200})[.!*_\s]{0,8}\Z",
    re.IGNORECASE | re.MULTILINE,
)
_DECISION = re.compile(
    rf"(?<=[.!?] )(?:therefore|thus|hence|so),?[ \t]{{1,4}}(?:the|my)[ \t](?:final[ \t])?decision (?:is|goes to):?"
    rf"[ \t]{{1,4}}(?:{_NAMED}|{_TIE})[.!*_\s]{{0,8}}\Z",
    re.IGNORECASE,
)
_OTHER_TRACE = re.compile(r"\b(?:than|over|compared (?:to|with)) trace [12]\b", re.IGNORECASE)
_DOUBT = re.compile(
    r"\b(?:trace [12]|but|however|though|although|not|less|only|except|unless|or)\b", re.IGNORECASE
)
_OR = re.compile(r"[\W_]*(?:(?:or|and)[\W_]*)?", re.IGNORECASE)


class Decision(NamedTuple):
    """What one answer of a judge says.

    Attributes:
        choice: "1", "2" or "tie" as the judge saw the traces, or None where it cannot be read.
        rationale: what the judge said besides its decision.
        said: its answer without its thinking.
        problem: why it cannot be read, for asking again; empty where it can.
    """

    choice: Choice | None
    rationale: str
    said: str
    problem: str = ""


def read_decision(message: Message, finish_reason: str | None = None) -> Decision:
    """Read the decision at the end of a judge's answer. Its thinking is skipped if it said anything after it.

    The last ``<|decision|>`` counts, with or without its brackets; without one, the last line that starts with
    "Decision:"; without that, a last line that is nothing but a decision, or a last sentence such as "Therefore, Trace
    1 is more effective than Trace 2." An ambiguous decision is not read.

    Args:
        message: the assistant message.
        finish_reason: why the model stopped, as the provider says it.

    Returns:
        The decision; its ``choice`` is None where it cannot be read.
    """
    refusal = refusal_of(message, finish_reason)
    if refusal is not None:
        return Decision(None, "", refusal, "it was a refusal to judge")
    try:
        trace = Trace.from_message(message, finish_reason=finish_reason)
    except InvalidTraceError:
        cut = is_cut_off(finish_reason)
        return Decision(None, "", "", "it was cut off before the decision" if cut else "it was empty")
    said = (trace.response or "").strip()
    if trace.truncated or not said:
        return Decision(None, "", said, "it was cut off before the decision")
    stated = (read_object(said) or {}) if "{" in said else {}
    if isinstance(stated.get("decision"), str):
        return _stated(said, stated)
    start, end, choice = _find(said)
    if choice is None:
        cut = is_cut_off(finish_reason)
        problem = "it was cut off before the decision" if cut else "it does not end with one clear decision"
        return Decision(None, said, said, problem)
    # The reason comes before the decision, or after it if the judge swapped the two.
    parts = (said[:start].rstrip(" \t\r\n`*_#>-"), said[end:].strip(" \t\r\n`*_#>-.,;:"))
    rationale = next((part for part in parts if re.search(r"\w", part)), "")
    return Decision(choice, rationale, said)


def _stated(said: str, stated: dict[str, Any]) -> Decision:
    """The decision of a JSON object."""
    choice = _choice(_value(stated["decision"], 0))
    if choice is None:
        return Decision(None, said, said, "its decision is none of the three")
    return Decision(choice, str(stated.get("assessment") or ""), said)


def _find(said: str) -> tuple[int, int, Choice | None]:
    """Where the decision starts and ends, and what it is."""
    marks = list(_MARKER.finditer(said)) or list(_LABEL.finditer(said))
    if not marks:
        text = said.rstrip("` \t\r\n")
        start = text.rfind("\n") + 1
        found = _LINE.fullmatch(text, start) if len(text) - start < 80 else None
        return start, len(said), _choice(found) or _conclusion(text)
    last = marks[-1]
    value = _value(said, last.end())
    if value is None:  # some models copy the line with all choices first, and conclude in words
        return last.start(), len(said), _conclusion(said[last.end() :].rstrip())
    choice = _choice(value)
    if len(marks) > 1:
        # Two different decisions on one line, or with nothing but "or" between them, are a copy of the instructions.
        before = _VALUE.match(said, marks[-2].end())
        start = before.end() if before else marks[-2].end()
        on_one_line = "\n" not in said[start : last.start()]
        if _choice(before) != choice and (on_one_line or _OR.fullmatch(said, start, last.start())):
            choice = None
    return last.start(), value.end(), choice


def _conclusion(said: str) -> Choice | None:
    """What the last sentence concludes, if it says so without a doubt."""
    place = max(0, len(said) - 400)
    found = _CONCLUSION.search(said, place)
    if found is None:
        return _choice(_DECISION.search(said, place))
    return None if _DOUBT.search(_OTHER_TRACE.sub("", found["rest"])) else _choice(found)


def _value(said: str, start: int) -> re.Match[str] | None:
    """The one decision that stands at a place."""
    found = _VALUE.match(said, start)
    clear = found and _REST.match(said, found.end()) and not _ALTERNATIVE.match(said, found.end())
    return found if clear else None


def _choice(value: re.Match[str] | None) -> Choice | None:
    if value is None:
        return None
    groups = value.groupdict()
    if groups["tie"]:
        return "tie"
    return "1" if (groups["named"] or groups.get("bare") or "").lower() in ("1", "one") else "2"


class Tally(NamedTuple):
    """The label of the votes on one subject. The fields are those of `DimensionVerdict`."""

    preference: Literal["a", "b", "tie", "failed"]
    agreement: float
    consistent: bool
    rationale: str


def tally(votes: Sequence[Vote]) -> Tally:
    """The label of some votes (paper §4.3): a preference only if all votes that could be read agree on it.

    Each order needs a vote that could be read, since otherwise position bias would look like a preference; if one
    order has none, the label is "failed".
    """
    read = [vote for vote in votes if vote.decision != "failed"]
    if not read:
        return Tally("failed", 0.0, False, "")
    first = {vote.decision: vote.rationale for vote in reversed(read)}
    decision, count = Counter(vote.decision for vote in read).most_common(1)[0]
    agreement = count / len(read)
    if len(first) > 1:
        names = {"a": "For A", "b": "For B", "tie": "For a tie"}
        reasons = [f"{names[choice]}: {first[choice]}" for choice in names if choice in first]
        return Tally("tie", agreement, False, "\n\n".join(reasons))
    if decision != "tie" and len({vote.order for vote in read}) < 2:
        return Tally("failed", agreement, True, read[0].rationale)
    return Tally(decision, agreement, True, read[0].rationale)


def settled(votes: Iterable[Vote]) -> bool:
    """Whether no further vote can make the label anything but a tie."""
    decisions = {vote.decision for vote in votes} - {"failed"}
    return "tie" in decisions or len(decisions) > 1
