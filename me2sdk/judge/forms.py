"""The two forms in which a judge may answer: a line with a marker (App. J.4), and a JSON object."""

from __future__ import annotations

from typing import Any

from me2sdk.llm import schema_params

__all__ = [
    "DECISION_SCHEMA",
    "GRADE_SCHEMA",
    "HIGHEST",
    "ORDER_SCHEMA",
    "decision_again",
    "decision_form",
    "grade_again",
    "grade_form",
    "order_again",
    "order_form",
]

HIGHEST = 10
"""The best grade; the worst is 0."""

_REASON = {"assessment": {"type": "string"}}
DECISION_SCHEMA: dict[str, Any] = schema_params(
    "decision", {**_REASON, "decision": {"type": "string", "enum": ["Trace 1", "Trace 2", "Tie"]}}
)
"""The parameter of a call that holds a judge to a decision on two traces."""

# As text, since not every provider takes bounds of a number, and without them small models write the answer there.
_GRADES = [str(grade) for grade in range(HIGHEST + 1)]
GRADE_SCHEMA: dict[str, Any] = schema_params(
    "grade", {**_REASON, "grade": {"type": "string", "enum": _GRADES}}
)
"""The parameter of a call that holds a judge to the grade of one trace."""

# A list of lists: traces that stand together are equally good.
_TIERS = {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}
ORDER_SCHEMA: dict[str, Any] = schema_params("order", {**_REASON, "order": _TIERS})
"""The parameter of a call that holds a judge to an order of several traces."""

# The words below are part of the prompts: where they change, the versions of the prompts go up. Small models copy a
# list of all choices, most of all from the end of a prompt, and decide for a trace that stands in an example.
_DECISION_MARKED = """Then end with one line that starts with
<|decision|>, as in <|decision|>Tie, and decides for Trace 1, for Trace 2 or for Tie, as follows from them. Begin with
the sentence on Trace 1."""
_DECISION_JSON = """Write it as one JSON object and nothing else: "assessment" holds those sentences, and after it
"decision" is "Trace 1", "Trace 2" or "Tie"."""
_GRADE_MARKED = f"""Then end with one line that starts
with <|decision|>, as in <|decision|>5, and holds the grade that follows from
them: a whole number from 0 to {HIGHEST}."""
_GRADE_JSON = f"""Write it as one JSON object and nothing else: "assessment" holds those sentences, and after it "grade"
is the grade, a whole number from 0 to {HIGHEST}."""
_ORDER_MARKED = """Then write one line with <|decision|> and the numbers of all {count} traces, the best first, as in
<|decision|>{one} or <|decision|>{other}, with = between two of which neither is better in any way that matters."""
_ORDER_JSON = """Write it as one JSON object and nothing else: "assessment" holds those sentences, and after it "order"
is a list of lists that holds the numbers of all {count} traces, the best first. Traces of which neither is better
in any way that matters stand in one list, as in {example}."""


def decision_form(*, as_json: bool) -> str:
    """How a prompt asks for a decision on two traces."""
    return _DECISION_JSON if as_json else _DECISION_MARKED


def decision_again(*, as_json: bool) -> str:
    """The same in a few words, for asking again."""
    if as_json:
        return 'one JSON object with an "assessment", then a "decision" that is "Trace 1", "Trace 2" or "Tie"'
    return (
        "only the line that is missing, which starts with <|decision|>"  # a list of choices would be copied
    )


def grade_form(*, as_json: bool) -> str:
    """How a prompt asks for a grade."""
    return _GRADE_JSON if as_json else _GRADE_MARKED


def grade_again(*, as_json: bool) -> str:
    """The same in a few words, for asking again."""
    if as_json:
        return (
            f'one JSON object with an "assessment", then a "grade" that is a whole number from 0 to {HIGHEST}'
        )
    return f"only the line that is missing, <|decision|> and a whole number from 0 to {HIGHEST}"


def order_form(count: int, *, as_json: bool) -> str:
    """How a prompt asks for the order of some traces."""
    form = _ORDER_JSON if as_json else _ORDER_MARKED
    numbers = [str(number) for number in range(1, count + 1)]
    return form.format(
        count=count,
        example=_example(count),
        one=" > ".join(numbers),
        other=" > ".join(reversed(numbers)),
    )


def order_again(count: int, *, as_json: bool) -> str:
    """The same in a few words, for asking again."""
    if as_json:
        return f'one JSON object with an "assessment", then an "order" that holds all traces, as in {_example(count)}'
    return (
        f"only the line that is missing, <|decision|> and the numbers of all {count} traces, the best first, with > "
        "between them"
    )


def _example(count: int) -> str:
    """An order in which no trace stands in its own place, as far as that goes."""
    return str([[number] for number in range(count, 0, -1)])
